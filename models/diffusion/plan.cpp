#include "models/diffusion/plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "framework/core/check.h"

namespace noisette::diffusion {

void SamplerConfig::fields(config::Fields& f) {
  f.add("sampler", sampler, {.doc = "how a picture is drawn from noise"});
  f.add("steps", steps,
        {.unit = "steps",
         .min = 1,
         .doc = "network evaluations per picture (guidance doubles them)"});
  f.add("eta", eta,
        {.min = 0,
         .max = 1,
         .doc = "noise added by ddim: 0 none, 1 as much as ddpm with fixed_small"});
  f.add("variance", variance, {.doc = "variance of a ddpm step"});
  f.add("spacing", spacing, {.doc = "which timesteps are visited"});
  f.add("offset", offset,
        {.unit = "steps", .min = 0, .doc = "added to each timestep of spacing = \"leading\""});
  f.add("clip", clip, {.above = 0, .doc = "clamp the predicted clean image to [-clip, clip]"});
  f.add("use_clipped_model_output", use_clipped_model_output,
        {.doc = "the noise follows from the clamped image, as ddpm has it; false, for ddim: from "
                "the network's output, as diffusers has it by default"});
  f.add("last_to_clean", last_to_clean,
        {.doc = "the last step goes to the clean image, not to the noise level of timestep 0"});
  f.add("guidance", guidance,
        {.min = 0, .max = 100, .doc = "classifier-free guidance: 1 conditional, 0 unconditional"});
  f.add("autoguidance", autoguidance,
        {.min = 1,
         .max = 100,
         .doc = "how far predictions go from a weaker network's beyond the network's own; 1: no "
                "weaker network"});
  f.add("autoguidance_share", autoguidance_share,
        {.min = 0,
         .below = 1,
         .doc = "the weaker network is the run's own after this share of its updates, whose "
                "checkpoint stays for good; 0: `sample --weaker` says which"});
  f.add("guidance_above", guidance_above,
        {.min = 0,
         .max = 1,
         .doc = "guidance and autoguidance act from this share of the schedule's timesteps on; "
                "below it the weight is 1, or guidance where that is less"});
  f.add("guidance_below", guidance_below,
        {.min = 0, .max = 1, .doc = "they act up to this share of the timesteps, not above"});
}

std::string SamplerConfig::problem() const {
  if (offset > 0 && spacing != Spacing::leading)
    return fmt::format("offset is for spacing = \"leading\"; got {} with spacing = \"{}\"", offset,
                       config::name_of(spacing));
  if (guidance_above >= guidance_below)
    return fmt::format("guidance_above must be less than guidance_below; got {} and {}",
                       guidance_above, guidance_below);
  if (sampler == Sampler::ddpm && eta > 0)
    return fmt::format("eta is for sampler = \"ddim\"; got {} with sampler = \"ddpm\"", eta);
  if (sampler == Sampler::ddpm && !last_to_clean)
    return "last_to_clean = false is for sampler = \"ddim\"";
  if (sampler == Sampler::ddpm && !use_clipped_model_output)
    return "use_clipped_model_output = false is for sampler = \"ddim\"; ddpm always uses the "
           "clamped image";
  return "";
}

std::vector<int64_t> sampled_timesteps(int64_t schedule_steps, const SamplerConfig& config) {
  const int64_t T = schedule_steps, n = config.steps;
  if (n < 1 || n > T)
    throw UsageError(
        fmt::format("[sampler] steps must be in [1, {}], the steps of the schedule; got {}", T, n));
  std::vector<int64_t> out;
  for (int64_t i = n - 1; i >= 0; --i) {
    switch (config.spacing) {
      case Spacing::leading:
        out.push_back(i * (T / n) + config.offset);
        break;
      case Spacing::trailing:
        out.push_back(std::llrint(double(i + 1) * double(T) / double(n)) - 1);
        break;
      case Spacing::linspace:
        out.push_back(n == 1 ? T - 1 : std::llrint(double(i) * double(T - 1) / double(n - 1)));
        break;
    }
  }
  if (out.front() >= T)
    throw UsageError(fmt::format(
        "[sampler] timesteps must stay below {}; got {} from steps = {} with offset = {}", T,
        out.front(), n, config.offset));
  return out;
}

namespace {

/// The step from t to s <= t; s = t only where DDIM ends at the noise level of timestep 0.
Step make_step(const Schedule& schedule, Target target, const SamplerConfig& config, int64_t t,
               int64_t s) {
  const double alpha_bar = schedule.alpha_bar(t);
  if (alpha_bar == 0 && target == Target::eps)
    throw UsageError(
        "[sampler] the target eps cannot start from pure noise; the schedule has zero_terminal_snr "
        "= true");
  const FromOutput x0 = x0_from(target, alpha_bar);
  const Posterior posterior = s < t ? schedule.posterior(t, s) : Posterior{};
  Step step;
  step.t = t;
  step.next = s;
  const double share = double(t) / double(schedule.steps());
  step.guided = config.guidance_above <= share && share < config.guidance_below;
  step.x0_from_x = x0.x;
  step.x0_from_out = x0.out;
  step.clip = config.clip.value_or(std::numeric_limits<double>::infinity());
  if (config.sampler == Sampler::ddpm) {
    const bool large = config.variance == Variance::fixed_large;
    step.to_x0 = posterior.from_x0;
    step.to_x = posterior.from_xt;
    if (s >= 0)  // Ho algorithm 2, line 3: none in the last step
      step.sigma = std::sqrt(large ? schedule.beta_between(t, s) : posterior.variance);
  } else {
    const FromOutput eps = eps_from(target, alpha_bar);
    step.sigma = config.eta * std::sqrt(posterior.variance);  // Song eq. 16
    const double direction =
        std::sqrt(std::max(0.0, schedule.noise_variance(s) - step.sigma * step.sigma));
    step.to_x0 = schedule.signal(s);  // Song eq. 12
    step.to_x = direction * eps.x;
    step.to_out = direction * eps.out;
    if (config.use_clipped_model_output && config.clip) {  // eps = (x_t - signal x0) / noise
      step.to_x = direction / schedule.noise(t);
      step.to_x0 -= direction * schedule.signal(t) / schedule.noise(t);
      step.to_out = 0;
    }
  }
  return step;
}

}  // namespace

std::vector<Step> make_plan(const Schedule& schedule, Target target, const SamplerConfig& config) {
  const std::string problem = config.problem();
  if (!problem.empty()) throw UsageError("[sampler] " + problem);
  const std::vector<int64_t> timesteps = sampled_timesteps(schedule.steps(), config);
  std::vector<Step> plan;
  for (size_t i = 0; i < timesteps.size(); ++i) {
    const bool last = i + 1 == timesteps.size();
    const int64_t end = config.last_to_clean ? -1 : 0;
    plan.push_back(
        make_step(schedule, target, config, timesteps[i], last ? end : timesteps[i + 1]));
  }
  return plan;
}

double apply_step(const Step& s, double x, double out, double z) {
  const double x0 = std::clamp(s.x0_from_x * x + s.x0_from_out * out, -s.clip, s.clip);
  return s.to_x0 * x0 + s.to_x * x + s.to_out * out + s.sigma * z;
}

}  // namespace noisette::diffusion
