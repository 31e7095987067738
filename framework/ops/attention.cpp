#include "framework/ops/attention.h"

#include <cmath>

#include "framework/core/dispatch.h"
#include "kernels/attention.h"
#include "kernels/cuda/scratch_need.h"

namespace noisette {
namespace {

double scale_of(const AttentionOptions& options, int64_t head_dim) {
  return options.scale ? double(*options.scale) : 1 / std::sqrt(double(head_dim));
}

/// Floating-point operations of one of the products (two forward, five backward).
double product_flops(const AttentionDims& d) {
  const double pairs = d.causal ? 0.5 * double(d.queries) * double(d.queries + 1)
                                : double(d.queries) * double(d.keys);
  return 2 * double(d.batch * d.heads * d.head_dim) * pairs;
}

void announce_backward(const AttentionDims& d, DType dtype) {
  count_flops("attention_backward", 5 * product_flops(d));
  count_scratch([&] { return cuda::need::attention_backward(d, int64_t(size_of(dtype))); });
}

/// Room for the log-sum-exp, which only a backward pass asks for.
Tensor log_sum_exp(const Tensor& x, bool wanted, const AttentionDims& d) {
  if (!wanted || !grad_enabled()) return {};
  return empty({d.batch, d.heads, d.queries}, accumulator_of(x.dtype()), x.device());
}

}  // namespace

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads,
                 const AttentionOptions& options) {
  check(q.ndim() == 3 && k.ndim() == 3 && k.dim(0) == q.dim(0) && k.dim(2) == q.dim(2) &&
            v.shape() == k.shape(),
        "[attention] wants q [N, L, C], k and v [N, M, C]; got q {}, k {}, v {}", q.shape(),
        k.shape(), v.shape());
  check(q.dtype() == k.dtype() && q.dtype() == v.dtype() && q.device() == k.device() &&
            q.device() == v.device(),
        "[attention] q, k and v must share dtype and device; got {} on {}, {} on {}, {} on {}",
        q.dtype(), q.device(), k.dtype(), k.device(), v.dtype(), v.device());
  const int64_t batch = q.dim(0), queries = q.dim(1), keys = k.dim(1), width = q.dim(2);
  check(heads > 0 && width > 0 && width % heads == 0,
        "[attention] channels must be a multiple of heads; got q {} with heads = {}", q.shape(),
        heads);
  check(!options.causal || queries == keys,
        "[attention] causal attention wants as many keys as queries; got q {}, k {}", q.shape(),
        k.shape());
  const AttentionDims d{batch,
                        queries,
                        keys,
                        heads,
                        width / heads,
                        width,
                        width,
                        width,
                        width,
                        options.causal,
                        scale_of(options, width / heads)};
  Tensor o = empty(q.shape(), q.dtype(), q.device());  // [N, L, C]
  const Tensor lse =
      log_sum_exp(q, q.needs_grad() || k.needs_grad() || v.needs_grad(), d);  // [N, heads, L]
  count_flops("attention_forward", 2 * product_flops(d));
  NOISETTE_DISPATCH(q, attention_forward, q.data<T>(), k.data<T>(), v.data<T>(), o.data<T>(),
                    data_or_null<acc_t<T>>(lse), d);
  return record(
      "attention", o, {q, k, v},
      [q = q.detach(), k = k.detach(), v = v.detach(), o = o.detach(), lse, d](
          const Tensor& dy, const Needs& needs) -> Grads {
        announce_backward(d, dy.dtype());
        Tensor dq = empty_like(q), dk = empty_like(k), dv = empty_like(v);
        NOISETTE_DISPATCH(q, attention_backward, q.data<T>(), k.data<T>(), v.data<T>(), o.data<T>(),
                          lse.data<acc_t<T>>(), dy.data<T>(), dq.data<T>(), dk.data<T>(),
                          dv.data<T>(), d);
        return {needs[0] ? dq : Tensor(), needs[1] ? dk : Tensor(), needs[2] ? dv : Tensor()};
      });
}

Tensor self_attention(const Tensor& qkv, int64_t heads, const AttentionOptions& options) {
  check(qkv.ndim() == 3 && qkv.dim(2) % 3 == 0, "[self_attention] wants qkv [N, L, 3C]; got {}",
        qkv.shape());
  const int64_t batch = qkv.dim(0), length = qkv.dim(1), width = qkv.dim(2) / 3;
  check(
      heads > 0 && width > 0 && width % heads == 0,
      "[self_attention] channels must be a multiple of heads; got qkv {} (C = {}) with heads = {}",
      qkv.shape(), width, heads);
  const int64_t row = 3 * width;
  const AttentionDims d{batch,
                        length,
                        length,
                        heads,
                        width / heads,
                        row,
                        row,
                        row,
                        width,
                        options.causal,
                        scale_of(options, width / heads)};
  Tensor o = empty({batch, length, width}, qkv.dtype(), qkv.device());  // [N, L, C]
  const Tensor lse = log_sum_exp(qkv, qkv.needs_grad(), d);             // [N, heads, L]
  count_flops("attention_forward", 2 * product_flops(d));
  NOISETTE_DISPATCH(qkv, attention_forward, qkv.data<T>(), qkv.data<T>() + width,
                    qkv.data<T>() + 2 * width, o.data<T>(), data_or_null<acc_t<T>>(lse), d);
  return record(
      "self_attention", o, {qkv},
      [x = qkv.detach(), o = o.detach(), lse, d, width](const Tensor& dy, const Needs&) -> Grads {
        announce_backward(d, dy.dtype());
        Tensor dx = empty_like(x);  // every column belongs to q, k or v
        NOISETTE_DISPATCH(x, attention_backward, x.data<T>(), x.data<T>() + width,
                          x.data<T>() + 2 * width, o.data<T>(), lse.data<acc_t<T>>(), dy.data<T>(),
                          dx.data<T>(), dx.data<T>() + width, dx.data<T>() + 2 * width, d);
        return {dx};
      });
}

}  // namespace noisette
