#include "framework/ops/optimizer.h"

#include "framework/core/dispatch.h"

namespace noisette {
namespace {

constexpr int64_t kNumbers = sizeof(UpdateNumbers) / sizeof(double);
static_assert(sizeof(UpdateNumbers) == kNumbers * sizeof(double));

UpdateNumbers* numbers_of(const Tensor& x) {
  check(x.shape() == Shape{kNumbers} && x.dtype() == DType::f64,
        "[optimizer] the numbers of an update are f64 [{}]; got {} {}", kNumbers, x.dtype(),
        x.shape());
  return reinterpret_cast<UpdateNumbers*>(x.data<double>());
}

void check_full(const char* op, const Tensor& x) {
  check(x.dtype() == DType::f32 || x.dtype() == DType::f64, "[{}] buffers are f32 or f64; got {}",
        op, x.dtype());
}

}  // namespace

Tensor make_update_numbers(const UpdateNumbers& numbers, Device device) {
  const double values[kNumbers] = {numbers.learning_rate, numbers.ema_decay, numbers.step,
                                   numbers.squares, numbers.finite};
  return from_span<double>(values, {kNumbers}, device);
}

void gradient_squares(const Tensor& grad, const Tensor& numbers) {
  check_full("gradient_squares", grad);
  UpdateNumbers* n = numbers_of(numbers);
  if (grad.dtype() == DType::f64)
    NOISETTE_CPU_KERNEL(grad.device(), gradient_squares, grad.data<double>(), grad.numel(), n);
  else
    NOISETTE_KERNEL(grad.device(), gradient_squares, grad.data<float>(), grad.numel(), n);
}

void require_finite(const Tensor& x, const Tensor& numbers) {
  check_full("require_finite", x);
  UpdateNumbers* n = numbers_of(numbers);
  if (x.dtype() == DType::f64)
    NOISETTE_CPU_KERNEL(x.device(), require_finite, x.data<double>(), x.numel(), n);
  else
    NOISETTE_KERNEL(x.device(), require_finite, x.data<float>(), x.numel(), n);
}

void adamw_step(const OptimizerBuffers& b, const Tensor& numbers, const AdamWOptions& options) {
  check_full("adamw_step", b.weight);
  for (const Tensor* x : {&b.grad, &b.m, &b.v, &b.average})
    check(x == &b.average && !x->defined()
              ? true
              : x->shape() == b.weight.shape() && x->dtype() == b.weight.dtype(),
          "[adamw_step] all buffers must be {} {} like the weights; got {} {}", b.weight.dtype(),
          b.weight.shape(), x->dtype(), x->shape());
  check(!b.compute.defined() || b.compute.shape() == b.weight.shape(),
        "[adamw_step] the bf16 copy must be {} like the weights; got {}", b.weight.shape(),
        b.compute.defined() ? b.compute.shape() : Shape());
  const UpdateNumbers* n = numbers_of(numbers);
  if (b.weight.dtype() == DType::f64)
    NOISETTE_CPU_KERNEL(b.weight.device(), adamw_step, b.weight.data<double>(),
                        b.grad.data<double>(), b.m.data<double>(), b.v.data<double>(),
                        data_or_null<double>(b.average), data_or_null<bfloat16>(b.compute),
                        b.weight.numel(), n, options);
  else
    NOISETTE_KERNEL(b.weight.device(), adamw_step, b.weight.data<float>(), b.grad.data<float>(),
                    b.m.data<float>(), b.v.data<float>(), data_or_null<float>(b.average),
                    data_or_null<bfloat16>(b.compute), b.weight.numel(), n, options);
}

}  // namespace noisette
