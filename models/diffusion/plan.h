// Samplers as plans: which timesteps are visited, and per step the few numbers that turn x_t into
// x_s. A step is the same short formula for every sampler, so a tensor backend needs one fused
// kernel.
//
//   x0  = clamp(x0_from_x * x + x0_from_out * out, -clip, clip)        the predicted clean image
//   x_s = to_x0 * x0 + to_x * x + to_out * out + sigma * z             z standard normal
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "framework/config/fields.h"
#include "kernels/diffusion.h"
#include "models/diffusion/objective.h"
#include "models/diffusion/schedule.h"

namespace noisette::diffusion {

/// ddpm   Ho et al. 2020, algorithm 2: the mean of the posterior at the predicted image, plus
///        noise; no noise in the last step.
/// ddim   Song, Meng, Ermon 2021, "Denoising Diffusion Implicit Models", eq. 12 and 16,
///        arXiv:2010.02502; eta = 0 adds no noise, eta = 1 as much as ddpm with fixed_small.
///        The direction is the noise that leads from the clamped image to x_t, as ddpm has it. With
///        use_clipped_model_output = false it is the network's own noise (diffusers' default):
///        where the clamp cuts, image and noise then no longer add up to x_t, and what is cut stays
///        in the picture step after step. Data with much black or white become too bright or dark.
enum class Sampler { ddpm, ddim };
inline constexpr std::array<std::string_view, 2> kSamplerNames = {"ddpm", "ddim"};
constexpr std::span<const std::string_view> enum_names(Sampler) { return kSamplerNames; }

/// Which n of T timesteps are visited, noisiest first (Lin et al. 2024,
/// table 2). With T = 1000, n = 10:
/// leading    i * (T / n) + offset, whole division   900, 800, .. 100, 0     never the noisiest
/// trailing   round((i + 1) * T / n) - 1             999, 899, .. 199, 99    never the cleanest
/// linspace   round(i * (T - 1) / (n - 1))           999, 888, .. 111, 0     both
enum class Spacing { leading, trailing, linspace };
inline constexpr std::array<std::string_view, 3> kSpacingNames = {"leading", "trailing",
                                                                  "linspace"};
constexpr std::span<const std::string_view> enum_names(Spacing) { return kSpacingNames; }

/// Guidance and autoguidance can be limited to an interval of timesteps: Kynkaanniemi et al. 2024,
/// "Applying Guidance in a Limited Interval Improves Sample and Distribution Quality in Diffusion
/// Models", arXiv:2404.07724. guidance_above and guidance_below are its ends, as t / T.
struct SamplerConfig {
  Sampler sampler = Sampler::ddim;
  int64_t steps = 50;
  double eta = 0;
  Variance variance = Variance::fixed_large;
  Spacing spacing = Spacing::trailing;
  int64_t offset = 0;
  std::optional<double> clip = 1.0;
  bool use_clipped_model_output = true;
  bool last_to_clean = true;
  double guidance = 1;
  double autoguidance = 1;
  double autoguidance_share = 0;
  double guidance_above = 0;
  double guidance_below = 1;

  void fields(config::Fields& f);
  std::string problem() const;
};

struct Step : SamplerCoefficients {
  int64_t t = 0;       // the timestep the network is asked at
  int64_t next = 0;    // where the step leads, -1 is the clean image
  bool guided = true;  // t lies in the interval of guidance
};

/// The steps of one sample, in the order they are taken. Throws UsageError when the configuration
/// cannot be met by the schedule (more steps than it has; the target eps with a schedule that ends
/// in pure noise).
std::vector<Step> make_plan(const Schedule& schedule, Target target, const SamplerConfig& config);

/// The visited timesteps, noisiest first, without repetition.
std::vector<int64_t> sampled_timesteps(int64_t schedule_steps, const SamplerConfig& config);

/// One step on one number: the reference of sampler_step() on tensors (framework/ops/diffusion.h).
double apply_step(const Step& step, double x, double out, double z);

/// Classifier-free guidance, Ho & Salimans 2022, arXiv:2207.12598, in the form where w = 1 is the
/// conditional and w = 0 the unconditional prediction: u + w (c - u).
inline double guided(double unconditional, double conditional, double w) {
  return unconditional + w * (conditional - unconditional);
}

}  // namespace noisette::diffusion
