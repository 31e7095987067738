#include "framework/ops/residual.h"

#include <algorithm>

#include "framework/core/dispatch.h"
#include "kernels/cuda/scratch_need.h"
#include "kernels/elementwise.h"

namespace noisette {
namespace {

/// Of a sample of y [N, ..., C].
int64_t rows_of_sample(const Tensor& y) {
  return y.numel() / std::max<int64_t>(y.dim(0) * y.dim(-1), 1);
}

}  // namespace

int64_t rows_sharing_residual(const char* op, const Tensor& residual, const Tensor& y) {
  if (!residual.defined()) return 1;
  const bool alike = residual.shape() == y.shape();
  const bool per_sample = y.ndim() > 2 && residual.shape() == Shape{y.dim(0), y.dim(-1)};
  check(residual.dtype() == y.dtype() && (alike || per_sample),
        "[{}] residual must be {} {} like the result or, where that is [N, ..., C], [N, C]; got {} "
        "{}",
        op, y.dtype(), y.shape(), residual.dtype(), residual.shape());
  return alike ? 1 : rows_of_sample(y);
}

Tensor residual_gradient(const Tensor& dy, const Shape& residual) {
  if (residual == dy.shape()) return dy;
  const int64_t n = dy.dim(0), c = dy.dim(-1), rows = rows_of_sample(dy);
  Tensor sums = empty(residual, dy.dtype(), dy.device());
  count_scratch([&] { return cuda::need::columns(n, rows, c, int64_t(size_of(dy.dtype()))); });
  NOISETTE_DISPATCH(dy, add_per_sample_backward, dy.data<T>(), sums.data<T>(), n, rows, c);
  return sums;
}

}  // namespace noisette
