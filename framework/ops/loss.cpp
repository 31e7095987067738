#include "framework/ops/loss.h"

#include <algorithm>

#include "framework/autograd/autograd.h"
#include "framework/core/dispatch.h"
#include "kernels/loss.h"

namespace noisette {

Tensor weighted_mse(const Tensor& x, const Tensor& target, const Tensor& weight) {
  const DType full = accumulator_of(x.dtype());
  check(x.ndim() >= 1 && x.shape() == target.shape() && weight.shape() == Shape{x.dim(0)},
        "[weighted_mse] wants x and target [N, ...] and weight [N]; got {}, {} and {}", x.shape(),
        target.shape(), weight.shape());
  check(target.dtype() == full && weight.dtype() == full,
        "[weighted_mse] target and weight of a {} prediction must be {}; got {} and {}", x.dtype(),
        full, target.dtype(), weight.dtype());
  const int64_t batch = x.dim(0), per_item = x.numel() / std::max<int64_t>(batch, 1);
  Tensor loss = empty({batch}, full, x.device());
  NOISETTE_DISPATCH(x, weighted_mse_forward, x.data<T>(), target.data<acc_t<T>>(),
                    weight.data<acc_t<T>>(), loss.data<acc_t<T>>(), batch, per_item);
  return record("weighted_mse", loss, {x},
                [x = x.detach(), target = target.detach(), weight = weight.detach(), batch,
                 per_item](const Tensor& dloss, const Needs&) -> Grads {
                  Tensor dx = empty_like(x);
                  NOISETTE_DISPATCH(x, weighted_mse_backward, x.data<T>(), target.data<acc_t<T>>(),
                                    weight.data<acc_t<T>>(), dloss.data<acc_t<T>>(), dx.data<T>(),
                                    batch, per_item);
                  return {dx};
                });
}

namespace {

/// Calls f with the label's data, whatever its integer type.
template <class F>
void with_labels(const Tensor& label, const F& f) {
  if (label.dtype() == DType::i64) return f(label.data<int64_t>());
  f(label.data<int32_t>());
}

}  // namespace

Tensor cross_entropy(const Tensor& x, const Tensor& label) {
  check(x.ndim() == 2 && label.shape() == Shape{x.dim(0)},
        "[cross_entropy] wants x [N, C] and label [N]; got {} and {}", x.shape(), label.shape());
  check(label.dtype() == DType::i64 || label.dtype() == DType::i32,
        "[cross_entropy] labels must be i64 or i32; got {}", label.dtype());
  const int64_t batch = x.dim(0), classes = x.dim(1);
  Tensor loss = empty({batch}, accumulator_of(x.dtype()), x.device());
  with_labels(label, [&](const auto* k) {
    NOISETTE_DISPATCH(x, cross_entropy_forward, x.data<T>(), k, loss.data<acc_t<T>>(), batch,
                      classes);
  });
  return record("cross_entropy", loss, {x},
                [x = x.detach(), label = label.detach(), batch, classes](const Tensor& dloss,
                                                                         const Needs&) -> Grads {
                  Tensor dx = empty_like(x);
                  with_labels(label, [&](const auto* k) {
                    NOISETTE_DISPATCH(x, cross_entropy_backward, x.data<T>(), k,
                                      dloss.data<acc_t<T>>(), dx.data<T>(), batch, classes);
                  });
                  return {dx};
                });
}

}  // namespace noisette
