#include "models/diffusion/sample.h"

#include <numeric>

#include "framework/autograd/autograd.h"
#include "framework/ops/diffusion.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/random.h"

namespace noisette::diffusion {
namespace {

/// a over b along the first axis.
Tensor stack(const Tensor& a, const Tensor& b) {
  std::vector<int64_t> dims = a.shape().dims();
  dims[0] += b.dim(0);
  Tensor both = empty(Shape(dims), a.dtype(), a.device());
  copy(a, both.rows(0, a.dim(0)));
  copy(b, both.rows(a.dim(0), both.dim(0)));
  return both;
}

}  // namespace

Tensor numbers_of(const std::vector<Step>& plan, Device device) {
  return sampler_numbers({plan.begin(), plan.end()}, device);
}

Tensor sample(const TakeStep& take, const std::vector<Step>& plan, const Tensor& numbers, Tensor x,
              const StepNoise& noise, const std::function<void(int64_t)>& progress) {
  const NoGrad no_grad;
  for (size_t i = 0; i < plan.size(); ++i) {
    const Step& step = plan[i];
    const auto row = int64_t(i);
    x = take(step, {.x = x,
                    .t = full({x.dim(0)}, double(step.t), DType::i64, x.device()),
                    .numbers = numbers.rows(row, row + 1).view({numbers.dim(1)}),
                    .z = step.sigma > 0 ? noise(row) : Tensor()});
    if (progress) progress(row + 1);
  }
  return x;
}

Tensor sample(const Denoiser& denoise, const std::vector<Step>& plan, Tensor x, DType dtype,
              const StepNoise& noise, const std::function<void(int64_t)>& progress,
              const Denoiser& unguided) {
  const auto take = [&](const Step& step, const StepInputs& in) {
    const Denoiser& ask = step.guided || !unguided ? denoise : unguided;
    return sampler_step(in.x, ask(cast(in.x, dtype), in.t), in.z, in.numbers);
  };
  return sample(take, plan, numbers_of(plan, x.device()), x, noise, progress);
}

Tensor image_noise(uint64_t seed, int64_t first, int64_t step, const Shape& shape, DType dtype,
                   Device device) {
  check(shape.ndim() > 0 && first >= 0 && step >= -1,
        "[image_noise] wants a batch of images, first >= 0, step >= -1; got shape {}, first {}, "
        "step {}",
        shape, first, step);
  const RngKey key = step < 0 ? RngKey{seed, Purpose::kSample}
                              : RngKey{seed, Purpose::kSampleStep, uint32_t(step)};
  std::vector<int64_t> index(static_cast<size_t>(shape.dim(0)));
  std::iota(index.begin(), index.end(), first);
  return normal(shape, dtype, key, from_vector(index, {shape.dim(0)}, device));
}

Tensor sample(const Denoiser& denoise, const std::vector<Step>& plan, const Shape& shape,
              DType dtype, uint64_t seed, int64_t first, Device device,
              const std::function<void(int64_t)>& progress) {
  const DType wide = accumulator_of(dtype);
  const auto noise = [&](int64_t step) {
    return image_noise(seed, first, step, shape, wide, device);
  };
  return sample(denoise, plan, noise(-1), dtype, noise, progress);
}

Denoiser guide(LabelledDenoiser denoise, Tensor labels, int64_t empty_label, double w) {
  check(labels.ndim() == 1 && labels.dtype() == DType::i64, "[guide] labels are [N] i64; got {} {}",
        labels.shape(), labels.dtype());
  const Tensor none = full(labels.shape(), double(empty_label), DType::i64, labels.device());
  if (w == 0 || w == 1)
    return [denoise = std::move(denoise), asked = w == 1 ? labels : none](
               const Tensor& x, const Tensor& t) { return denoise(x, t, asked); };
  return [denoise = std::move(denoise), both = stack(labels, none), w](const Tensor& x,
                                                                       const Tensor& t) {
    const int64_t n = x.dim(0);
    const Tensor out = denoise(stack(x, x), stack(t, t), both);       // [2N, ...]
    return scaled_sum(w, out.rows(0, n), 1 - w, out.rows(n, 2 * n));  // [N, ...]
  };
}

Denoiser autoguide(Denoiser denoise, Denoiser weaker, double w) {
  if (w == 1) return denoise;
  return [denoise = std::move(denoise), weaker = std::move(weaker), w](const Tensor& x,
                                                                       const Tensor& t) {
    return scaled_sum(w, denoise(x, t), 1 - w, weaker(x, t));
  };
}

}  // namespace noisette::diffusion
