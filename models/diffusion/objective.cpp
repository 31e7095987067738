#include "models/diffusion/objective.h"

#include <algorithm>
#include <cmath>

#include "framework/core/check.h"

namespace noisette::diffusion {

void ObjectiveConfig::fields(config::Fields& f) {
  f.add("target", target, {.doc = "what the network predicts"});
  f.add("weighting", weighting, {.doc = "weight of each timestep in the loss"});
  f.add("snr_gamma", snr_gamma,
        {.above = 0, .doc = "cap on the signal-to-noise ratio; only for weighting = \"min_snr\""});
  f.add(
      "least_weight", least_weight,
      {.min = 0,
       .max = 1,
       .doc = "no timestep weighs less: min_snr goes to 0 in mere noise for the targets v and x0, "
              "and there the brightness of an image is decided"});
}

FromOutput x0_from(Target target, double alpha_bar) {
  const double a = std::sqrt(alpha_bar), b = std::sqrt(1 - alpha_bar);
  switch (target) {
    case Target::eps:
      return {1 / a, -b / a};
    case Target::x0:
      return {0, 1};
    case Target::v:
      return {a, -b};
  }
  throw std::logic_error("x0_from: target");
}

FromOutput eps_from(Target target, double alpha_bar) {
  const double a = std::sqrt(alpha_bar), b = std::sqrt(1 - alpha_bar);
  switch (target) {
    case Target::eps:
      return {0, 1};
    case Target::x0:
      return {1 / b, -a / b};
    case Target::v:
      return {b, a};
  }
  throw std::logic_error("eps_from: target");
}

TargetMix target_mix(Target target, double alpha_bar) {
  switch (target) {
    case Target::eps:
      return {0, 1};
    case Target::x0:
      return {1, 0};
    case Target::v:
      return {-std::sqrt(1 - alpha_bar), std::sqrt(alpha_bar)};
  }
  throw std::logic_error("target_mix: target");
}

namespace {

/// Hang et al. 2023, section 3.4.
double min_snr_weight(Target target, double gamma, double alpha_bar) {
  const double snr = alpha_bar / (1 - alpha_bar), capped = std::min(snr, gamma);
  switch (target) {
    case Target::eps:
      return snr <= gamma ? 1 : capped / snr;  // 1 also at SNR 0
    case Target::x0:
      return capped;
    case Target::v:
      return capped / (snr + 1);
  }
  throw std::logic_error("min_snr_weight: target");
}

}  // namespace

double loss_weight(const ObjectiveConfig& config, double alpha_bar) {
  if (config.weighting == Weighting::uniform) return 1;
  return std::max(min_snr_weight(config.target, config.snr_gamma, alpha_bar), config.least_weight);
}

TrainingTables training_tables(const Schedule& schedule, const ObjectiveConfig& config) {
  if (config.target == Target::eps && schedule.alpha_bar(schedule.steps() - 1) == 0)
    throw UsageError(
        "[objective] the target eps says nothing about the image where the schedule ends in pure "
        "noise; "
        "got target = \"eps\" with zero_terminal_snr = true");
  TrainingTables tables;
  for (int64_t t = 0; t < schedule.steps(); ++t) {
    const double alpha_bar = schedule.alpha_bar(t);
    const TargetMix mix = target_mix(config.target, alpha_bar);
    tables.signal.push_back(schedule.signal(t));
    tables.noise.push_back(schedule.noise(t));
    tables.target_x0.push_back(mix.x0);
    tables.target_eps.push_back(mix.eps);
    tables.weight.push_back(loss_weight(config, alpha_bar));
  }
  return tables;
}

}  // namespace noisette::diffusion
