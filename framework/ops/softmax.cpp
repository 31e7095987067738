#include "framework/ops/softmax.h"

#include <algorithm>

#include "framework/autograd/autograd.h"
#include "framework/core/dispatch.h"
#include "kernels/softmax.h"

namespace noisette {

Tensor softmax(const Tensor& x) {
  check(x.ndim() > 0, "[softmax] x needs at least one axis; got shape {}", x.shape());
  const int64_t cols = x.dim(-1), rows = x.numel() / std::max<int64_t>(cols, 1);
  Tensor y = empty_like(x);
  NOISETTE_DISPATCH(x, softmax_forward, x.data<T>(), y.data<T>(), rows, cols);
  return record(
      "softmax", y, {x}, [y = y.detach(), rows, cols](const Tensor& dy, const Needs&) -> Grads {
        Tensor dx = empty_like(y);  // y * (dy - sum(y * dy))
        NOISETTE_DISPATCH(y, softmax_backward, y.data<T>(), dy.data<T>(), dx.data<T>(), rows, cols);
        return {dx};
      });
}

}  // namespace noisette
