#include "framework/ops/matmul.h"

#include <algorithm>

#include "framework/autograd/autograd.h"
#include "framework/core/dispatch.h"
#include "framework/ops/residual.h"
#include "kernels/cuda/scratch_need.h"
#include "kernels/matmul.h"

namespace noisette {
namespace {

void check_same(const char* op, const char* second, const Tensor& a, const Tensor& b) {
  check(a.dtype() == b.dtype() && a.device() == b.device(),
        "[{}] the factors must share dtype and device; got {} on {}, {} {} on {}", op, a.dtype(),
        a.device(), second, b.dtype(), b.device());
}

/// c = a b (+ residual), one kernel call.
void multiply(const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& residual,
              const Tensor& c, const MatmulDims& d, int64_t residual_rows = 1) {
  count_flops("matmul", d.flops());
  count_scratch([&] { return cuda::need::product(d, int64_t(size_of(a.dtype()))); });
  NOISETTE_DISPATCH(a, matmul, a.data<T>(), b.data<T>(), data_or_null<acc_t<T>>(bias),
                    data_or_null<T>(residual), c.data<T>(), d, residual_rows);
}

/// A sum over the batch, where the optimiser reads it.
void multiply_into(const Tensor& a, const Tensor& b, const GradTarget& to, const MatmulDims& d) {
  count_flops("matmul_accumulate", d.flops());
  count_scratch([&] { return cuda::need::product(d, int64_t(size_of(a.dtype()))); });
  NOISETTE_DISPATCH(a, matmul_accumulate, a.data<T>(), b.data<T>(), to.buffer.data<acc_t<T>>(),
                    to.accumulate, d);
}

/// The gradient of input i, with what other uses of the input have left added to it; written over
/// the latter where nobody else holds it.
Tensor product_gradient(const Needs& needs, std::size_t i, const Shape& shape, const Tensor& a,
                        const Tensor& b, const MatmulDims& d) {
  const Tensor other = needs.take(i);
  Tensor g = other.defined() && other.sole_owner() ? other : empty(shape, a.dtype(), a.device());
  multiply(a, b, {}, other, g, d);
  return g;
}

int64_t rows_of(const Shape& shape, int64_t trailing) {
  int64_t rows = 1;
  for (int64_t i = 0; i < shape.ndim() - trailing; ++i) rows *= shape.dim(i);
  return rows;
}

/// The extents of a product; a shared b is folded into one product of all rows. Throws for shapes
/// that do not fit.
MatmulDims product_dims(const Tensor& a, const Tensor& b, const MatmulOptions& options) {
  check(a.ndim() >= 2 && b.ndim() >= 2, "[matmul] wants matrices; got a {} and b {}", a.shape(),
        b.shape());
  const bool shared = b.ndim() == 2 && a.ndim() > 2;
  check(!shared || !options.trans_a,
        "[matmul] a matrix b shared by a batch wants a as it is; got trans_a with a {} and b {}",
        a.shape(), b.shape());
  const std::vector<int64_t>&as = a.shape().dims(), &bs = b.shape().dims();
  check(shared || (as.size() == bs.size() && std::equal(as.begin(), as.end() - 2, bs.begin())),
        "[matmul] the leading axes must be equal; got a {} and b {}", a.shape(), b.shape());
  MatmulDims d;
  d.trans_a = options.trans_a, d.trans_b = options.trans_b;
  d.m = a.dim(d.trans_a ? -1 : -2), d.k = a.dim(d.trans_a ? -2 : -1);
  d.n = b.dim(d.trans_b ? -2 : -1);
  const int64_t inner = b.dim(d.trans_b ? -1 : -2);
  check(d.k == inner, "[matmul] the inner extents must be equal; got {} of a {}{} and {} of b {}{}",
        d.k, a.shape(), d.trans_a ? " transposed" : "", inner, b.shape(),
        d.trans_b ? " transposed" : "");
  d.batch = rows_of(a.shape(), 2);
  if (shared) d.m *= std::exchange(d.batch, 1);
  return d;
}

/// The extents of x W^T + b. Throws for tensors that do not fit.
MatmulDims affine_dims(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check(x.ndim() >= 1 && weight.ndim() == 2 && x.dim(-1) == weight.dim(1),
        "[{}] wants x [..., in] and weight [out, in]; got x {} and weight {}", op, x.shape(),
        weight.shape());
  check_same(op, "weight", x, weight);
  const int64_t out = weight.dim(0);
  check(
      !bias.defined() || (bias.shape() == Shape{out} && bias.dtype() == accumulator_of(x.dtype())),
      "[{}] bias must be {} [{}]; got {} {}", op, accumulator_of(x.dtype()), out, bias.dtype(),
      bias.shape());
  return {.m = rows_of(x.shape(), 1), .n = out, .k = weight.dim(1), .trans_b = true};
}

/// [..., columns] for x [..., any].
Tensor empty_rows(const Tensor& x, int64_t columns) {
  std::vector<int64_t> shape = x.shape().dims();
  shape.back() = columns;
  return empty(Shape(std::move(shape)), x.dtype(), x.device());
}

bool any_needs_grad(std::initializer_list<Tensor> inputs) {
  return grad_enabled() && std::any_of(inputs.begin(), inputs.end(), [](const Tensor& t) {
           return t.defined() && t.needs_grad();
         });
}

/// Those of x, W and b from dy, that of x W^T + b.
Grads affine_gradients(const Tensor& dy, const Saved& x, const Tensor& w, const MatmulDims& d,
                       const Needs& needs) {
  const int64_t rows = d.m, out = d.n, in = d.k;
  const GradTarget dw = needs.target(1), db = needs.target(2);
  if (dw.buffer.defined())  // first: x made again is gone then, where nobody else has it
    multiply_into(dy, x.get(), dw, {.m = out, .n = in, .k = rows, .trans_a = true});
  if (db.buffer.defined()) {
    count_scratch([&] { return cuda::need::columns(1, rows, out, int64_t(size_of(dy.dtype()))); });
    NOISETTE_DISPATCH(dy, column_sum, dy.data<T>(), db.buffer.data<acc_t<T>>(), rows, out,
                      db.accumulate);
  }
  Tensor dx;
  if (needs[0]) dx = product_gradient(needs, 0, x.shape(), dy, w, {.m = rows, .n = in, .k = out});
  return {dx, dw.buffer, db.buffer};
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options) {
  const MatmulDims d = product_dims(a, b, options);
  check_same("matmul", "b", a, b);
  std::vector<int64_t> shape = a.shape().dims();
  if (d.trans_a) shape[shape.size() - 2] = d.m;
  shape.back() = d.n;
  Tensor c = empty(Shape(std::move(shape)), a.dtype(), a.device());  // [..., m, n]
  multiply(a, b, {}, {}, c, d);
  return record("matmul", c, {a, b},
                [a = a.detach(), b = b.detach(), d](const Tensor& dc, const Needs& needs) -> Grads {
                  Tensor da, db;
                  if (needs[0])  // dA = dC B^T, stored transposed: B dC^T
                    da = d.trans_a ? product_gradient(needs, 0, a.shape(), b, dc,
                                                      {d.batch, d.k, d.m, d.n, d.trans_b, true})
                                   : product_gradient(needs, 0, a.shape(), dc, b,
                                                      {d.batch, d.m, d.k, d.n, false, !d.trans_b});
                  // dB = A^T dC, stored transposed: dC^T A
                  const MatmulDims dims =
                      d.trans_b ? MatmulDims{d.batch, d.n, d.k, d.m, true, d.trans_a}
                                : MatmulDims{d.batch, d.k, d.n, d.m, !d.trans_a, false};
                  const Tensor &first = d.trans_b ? dc : a, &second = d.trans_b ? a : dc;
                  if (const GradTarget target = b.ndim() == 2 ? needs.target(1) : GradTarget{};
                      target.buffer.defined()) {
                    multiply_into(first, second, target, dims);
                    db = target.buffer;
                  } else if (needs[1]) {
                    db = product_gradient(needs, 1, b.shape(), first, second, dims);
                  }
                  return {da, db};
                });
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& residual) {
  const MatmulDims d = affine_dims("linear", x, weight, bias);
  Tensor y = empty_rows(x, d.n);  // [..., out]
  const int64_t residual_rows = rows_sharing_residual("linear", residual, y);
  multiply(x, weight, bias, residual, y, d, residual_rows);
  return record("linear", y, {x, weight, bias, residual},
                [x = Saved(x), w = weight.detach(), shape = residual.shape(), d](
                    const Tensor& dy, const Needs& needs) -> Grads {
                  Grads all = affine_gradients(dy, x, w, d, needs);
                  all.push_back(needs[3] ? residual_gradient(dy, shape) : Tensor());
                  return all;
                });
}

Tensor linear_activation(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation kind,
                         const Tensor& residual) {
  const MatmulDims d = affine_dims("linear_activation", x, weight, bias);
  Tensor y = empty_rows(x, d.n);  // [..., out]
  const int64_t residual_rows = rows_sharing_residual("linear_activation", residual, y);
  const Tensor s = any_needs_grad({x, weight, bias, residual}) ? empty_like(y) : Tensor();
  count_flops("matmul_activation", d.flops());
  count_scratch([&] { return cuda::need::product(d, int64_t(size_of(x.dtype()))); });
  NOISETTE_DISPATCH(x, matmul_activation, x.data<T>(), weight.data<T>(),
                    data_or_null<acc_t<T>>(bias), data_or_null<T>(residual), data_or_null<T>(s),
                    y.data<T>(), kind, d, residual_rows);
  return record("linear_activation", y, {x, weight, bias, residual},
                [x = Saved(x), w = weight.detach(), shape = residual.shape(), s, kind, d](
                    const Tensor& dy, const Needs& needs) -> Grads {
                  const Tensor ds = empty_like(s);
                  NOISETTE_DISPATCH(s, activation_backward, s.data<T>(), dy.data<T>(), ds.data<T>(),
                                    s.numel(), kind);
                  Grads all = affine_gradients(ds, x, w, d, needs);
                  all.push_back(needs[3] ? residual_gradient(ds, shape) : Tensor());
                  return all;
                });
}

Tensor linear_geglu(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const MatmulDims d = affine_dims("linear_geglu", x, weight, bias);
  check(d.n % 2 == 0,
        "[linear_geglu] weight must have an even number of rows, values, then gates; "
        "got weight {}",
        weight.shape());
  Tensor y = empty_rows(x, d.n / 2);  // [..., C]
  const Tensor s = any_needs_grad({x, weight, bias}) ? empty_rows(x, d.n) : Tensor();
  count_flops("matmul_geglu", d.flops());
  count_scratch(
      [&] { return cuda::need::product_geglu(d, s.defined(), int64_t(size_of(x.dtype()))); });
  NOISETTE_DISPATCH(x, matmul_geglu, x.data<T>(), weight.data<T>(), data_or_null<acc_t<T>>(bias),
                    data_or_null<T>(s), y.data<T>(), d);
  return record(
      "linear_geglu", y, {x, weight, bias},
      [x = Saved(x), w = weight.detach(), s, d](const Tensor& dy, const Needs& needs) -> Grads {
        const Tensor ds = empty_like(s);
        NOISETTE_DISPATCH(s, geglu_backward, s.data<T>(), dy.data<T>(), ds.data<T>(), d.m, d.n / 2);
        return affine_gradients(ds, x, w, d, needs);
      });
}

}  // namespace noisette
