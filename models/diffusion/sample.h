// Drawing images: a plan (plan.h) carried out on tensors.
//
// The image being drawn stays in f32 (f64 with a f64 network) whatever the network computes in.
// Every image has its own noise, keyed by (seed, image index), so an image does not depend on the
// batch it is drawn in.
#pragma once
#include <functional>
#include <vector>

#include "framework/core/tensor.h"
#include "models/diffusion/plan.h"

namespace noisette::diffusion {

/// The network as a sampler sees it: x [N, H, W, C] and t [N] i64 to its output, shape and dtype of
/// x.
using Denoiser = std::function<Tensor(const Tensor& x, const Tensor& t)>;

/// The same with a class per image: labels [N] i64.
using LabelledDenoiser =
    std::function<Tensor(const Tensor& x, const Tensor& t, const Tensor& labels)>;

/// What a step of a plan is done with.
struct StepInputs {
  Tensor x;        // [N, H, W, C], f32; f64 with f64
  Tensor t;        // [N] i64: the step's timestep
  Tensor numbers;  // [7] f64: its row of sampler_numbers()
  Tensor z;        // noise like x; undefined where the step adds none
};
/// Takes one step: the next x.
using TakeStep = std::function<Tensor(const Step& step, const StepInputs& in)>;

/// Standard normal noise for step `step` (from 0) of the plan, shape and dtype of the image.
using StepNoise = std::function<Tensor(int64_t step)>;

/// Noise of images first .. first + shape[0] - 1, whatever batch they are drawn in: `step` -1 is
/// the noise an image starts from (Purpose::kSample), others are added by that step of the plan
/// (Purpose::kSampleStep).
Tensor image_noise(uint64_t seed, int64_t first, int64_t step, const Shape& shape, DType dtype,
                   Device device = kCpu);

/// sampler_numbers() of a plan.
Tensor numbers_of(const std::vector<Step>& plan, Device device);

/// Carries out `plan`, whose numbers_of() are `numbers`, from the noise `x` [N, H, W, C] (f32; f64
/// with f64). `noise` is called only for steps that add some. `progress`, when given, hears how
/// many steps are done.
Tensor sample(const TakeStep& take, const std::vector<Step>& plan, const Tensor& numbers, Tensor x,
              const StepNoise& noise, const std::function<void(int64_t)>& progress = nullptr);

/// The same by asking `denoise` in `dtype` once per step; steps that are not guided ask `unguided`,
/// if given.
Tensor sample(const Denoiser& denoise, const std::vector<Step>& plan, Tensor x, DType dtype,
              const StepNoise& noise, const std::function<void(int64_t)>& progress = nullptr,
              const Denoiser& unguided = nullptr);

/// The same for images first .. first + shape[0] - 1 of a seed, with image_noise() throughout.
Tensor sample(const Denoiser& denoise, const std::vector<Step>& plan, const Shape& shape,
              DType dtype, uint64_t seed, int64_t first, Device device = kCpu,
              const std::function<void(int64_t)>& progress = nullptr);

/// Classifier-free guidance with one pass over a batch of double size: the first half is asked with
/// `labels`, the second with `empty_label`. w = 1 asks only for the labels and w = 0 only for the
/// empty label. Formula: guided() of plan.h.
Denoiser guide(LabelledDenoiser denoise, Tensor labels, int64_t empty_label, double w);

/// Autoguidance, Karras et al. 2024, "Guiding a Diffusion Model with a Bad Version of Itself",
/// eq. 3, arXiv:2406.02507: weaker + w (denoise - weaker), away from the errors that a less trained
/// network makes more of. Unlike guide() it does not draw the images of a class together. w = 1
/// asks `denoise` alone.
Denoiser autoguide(Denoiser denoise, Denoiser weaker, double w);

}  // namespace noisette::diffusion
