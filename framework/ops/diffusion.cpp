#include "framework/ops/diffusion.h"

#include <algorithm>

#include "framework/autograd/autograd.h"
#include "framework/core/dispatch.h"

namespace noisette {
namespace {

constexpr int64_t kSamplerNumbers = 7;

void check_timesteps(const char* op, const Tensor& t, int64_t batch) {
  check(t.shape() == Shape{batch} && t.dtype() == DType::i64,
        "[{}] {} samples need timesteps of i64 [{}]; got {} {}", op, batch, batch, t.dtype(),
        t.shape());
}

}  // namespace

NoisyBatch add_noise(const Tensor& x0, const Tensor& eps, const Tensor& t,
                     const NoiseSchedule& schedule, DType dtype) {
  check(x0.ndim() >= 1 && x0.shape() == eps.shape(),
        "[add_noise] x0 and eps need one shape [N, ...]; got {} and {}", x0.shape(), eps.shape());
  check(x0.dtype() == accumulator_of(dtype) && eps.dtype() == x0.dtype(),
        "[add_noise] x0 and eps for {} must be {}; got {} and {}", dtype, accumulator_of(dtype),
        x0.dtype(), eps.dtype());
  check_timesteps("add_noise", t, x0.dim(0));
  for (const Tensor* table :
       {&schedule.signal, &schedule.noise, &schedule.target_x0, &schedule.target_eps})
    check(table->dtype() == DType::f64 && table->ndim() == 1 &&
              table->shape() == schedule.signal.shape(),
          "[add_noise] the tables of a schedule must be f64 of one length; got {} {} beside {}",
          table->dtype(), table->shape(), schedule.signal.shape());

  const int64_t batch = x0.dim(0), per_item = x0.numel() / std::max<int64_t>(batch, 1);
  Tensor x_t = empty(x0.shape(), dtype, x0.device()), target = empty_like(x0);
  const NoiseTables tables{schedule.signal.data<double>(), schedule.noise.data<double>(),
                           schedule.target_x0.data<double>(), schedule.target_eps.data<double>(),
                           schedule.signal.numel()};
  NOISETTE_DISPATCH(x_t, add_noise, x0.data<acc_t<T>>(), eps.data<acc_t<T>>(), t.data<int64_t>(),
                    tables, x_t.data<T>(), target.data<acc_t<T>>(), batch, per_item);
  return {record("add_noise", x_t, {x0, eps}), record("add_noise", target, {x0, eps})};
}

Tensor gather_table(const Tensor& table, const Tensor& t, DType dtype) {
  check(table.ndim() == 1 && table.dtype() == DType::f64,
        "[gather_table] the table must be f64 [steps]; got {} {}", table.dtype(), table.shape());
  check(t.ndim() == 1, "[gather_table] timesteps must be [N]; got {}", t.shape());
  check(dtype == DType::f32 || dtype == DType::f64, "[gather_table] gives f32 or f64; got {}",
        dtype);
  check_timesteps("gather_table", t, t.dim(0));
  Tensor y = empty(t.shape(), dtype, t.device());
  const int64_t steps = table.numel(), batch = t.numel();
  if (dtype == DType::f64)
    NOISETTE_CPU_KERNEL(t.device(), gather_table, table.data<double>(), steps, t.data<int64_t>(),
                        y.data<double>(), batch);
  else
    NOISETTE_KERNEL(t.device(), gather_table, table.data<double>(), steps, t.data<int64_t>(),
                    y.data<float>(), batch);
  return record("gather_table", y, {});
}

Tensor sampler_numbers(const std::vector<SamplerCoefficients>& steps, Device device) {
  static_assert(sizeof(SamplerCoefficients) == kSamplerNumbers * sizeof(double));
  const Tensor all = empty({int64_t(steps.size()), kSamplerNumbers}, DType::f64);
  std::copy_n(steps.data(), steps.size(),
              reinterpret_cast<SamplerCoefficients*>(all.data<double>()));
  return to_device(all, device);
}

Tensor sampler_step(const Tensor& x, const Tensor& out, const Tensor& z,
                    const SamplerCoefficients& coefficients) {
  check(z.defined() || coefficients.sigma == 0, "[sampler_step] sigma {} needs noise; got none",
        coefficients.sigma);
  return sampler_step(x, out, z,
                      sampler_numbers({coefficients}, x.device()).view({kSamplerNumbers}));
}

Tensor sampler_step(const Tensor& x, const Tensor& out, const Tensor& z, const Tensor& numbers) {
  check(x.shape() == out.shape() && x.dtype() == accumulator_of(out.dtype()),
        "[sampler_step] x must have the shape of out {} {} in its accumulator type; got {} {}",
        out.dtype(), out.shape(), x.dtype(), x.shape());
  check(numbers.shape() == Shape{kSamplerNumbers} && numbers.dtype() == DType::f64,
        "[sampler_step] numbers must be f64 [{}]; got {} {}", kSamplerNumbers, numbers.dtype(),
        numbers.shape());
  check(!z.defined() || (z.shape() == x.shape() && z.dtype() == x.dtype()),
        "[sampler_step] z must be {} {} like x; got {} {}", x.dtype(), x.shape(), z.dtype(),
        z.shape());
  Tensor y = empty_like(x);
  NOISETTE_DISPATCH(out, sampler_step, x.data<acc_t<T>>(), out.data<T>(), data_or_null<acc_t<T>>(z),
                    y.data<acc_t<T>>(),
                    reinterpret_cast<const SamplerCoefficients*>(numbers.data<double>()),
                    x.numel());
  return record("sampler_step", y, {x, out, z});
}

}  // namespace noisette
