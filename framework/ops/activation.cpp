#include "framework/ops/activation.h"

#include "framework/autograd/autograd.h"
#include "framework/core/dispatch.h"
#include "kernels/activation.h"

namespace noisette {
namespace {

Tensor activation(const char* name, const Tensor& x, Activation kind) {
  const int64_t n = x.numel();
  Tensor y = empty_like(x);
  NOISETTE_DISPATCH(x, activation_forward, x.data<T>(), y.data<T>(), n, kind);
  return record(name, y, {x}, [x = x.detach(), n, kind](const Tensor& dy, const Needs&) -> Grads {
    Tensor dx = empty_like(x);
    NOISETTE_DISPATCH(x, activation_backward, x.data<T>(), dy.data<T>(), dx.data<T>(), n, kind);
    return {dx};
  });
}

}  // namespace

Tensor silu(const Tensor& x) { return activation("silu", x, Activation::silu); }
Tensor gelu(const Tensor& x) { return activation("gelu", x, Activation::gelu); }
Tensor gelu_tanh(const Tensor& x) { return activation("gelu_tanh", x, Activation::gelu_tanh); }
Tensor quick_gelu(const Tensor& x) { return activation("quick_gelu", x, Activation::quick_gelu); }

Tensor geglu(const Tensor& x) {
  check(x.ndim() > 0 && x.dim(-1) % 2 == 0,
        "[geglu] the last axis must be even: values, then gates; got x {}", x.shape());
  std::vector<int64_t> dims = x.shape().dims();
  dims.back() /= 2;
  Tensor y = empty(Shape(dims), x.dtype(), x.device());
  const int64_t channels = dims.back();
  const int64_t rows = channels == 0 ? 0 : y.numel() / channels;
  NOISETTE_DISPATCH(x, geglu_forward, x.data<T>(), y.data<T>(), rows, channels);
  return record("geglu", y, {x},
                [x = x.detach(), rows, channels](const Tensor& dy, const Needs&) -> Grads {
                  Tensor dx = empty_like(x);
                  NOISETTE_DISPATCH(x, geglu_backward, x.data<T>(), dy.data<T>(), dx.data<T>(),
                                    rows, channels);
                  return {dx};
                });
}

}  // namespace noisette
