// What the network predicts, how the loss weighs the timesteps, and how to turn one prediction into
// another.
//
// With a = signal(t), b = noise(t), x_t = a x_0 + b eps:
//   eps   the noise itself                       Ho et al. 2020, eq. 12
//   x0    the clean image
//   v     a eps - b x_0                          Salimans & Ho 2022, section 4, arXiv:2202.00512
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "framework/config/fields.h"
#include "models/diffusion/schedule.h"

namespace noisette::diffusion {

enum class Target { eps, x0, v };
inline constexpr std::array<std::string_view, 3> kTargetNames = {"eps", "x0", "v"};
constexpr std::span<const std::string_view> enum_names(Target) { return kTargetNames; }

enum class Weighting { uniform, min_snr };
inline constexpr std::array<std::string_view, 2> kWeightingNames = {"uniform", "min_snr"};
constexpr std::span<const std::string_view> enum_names(Weighting) { return kWeightingNames; }

struct ObjectiveConfig {
  Target target = Target::eps;
  Weighting weighting = Weighting::uniform;
  double snr_gamma = 5;
  double least_weight = 0;

  void fields(config::Fields& f);
};

/// A combination of the noisy image and the network's output: x * x_t + out * output.
struct FromOutput {
  double x = 0;
  double out = 0;

  double operator()(double x_t, double output) const { return x * x_t + out * output; }
};

/// How the clean image follows from a prediction. Infinite where it does not: eps at alpha_bar = 0.
FromOutput x0_from(Target target, double alpha_bar);

/// How the noise follows from a prediction. Infinite where it does not: x0 at alpha_bar = 1.
FromOutput eps_from(Target target, double alpha_bar);

/// How a target is made: x0 * x_0 + eps * noise.
struct TargetMix {
  double x0 = 0;
  double eps = 0;
};
TargetMix target_mix(Target target, double alpha_bar);

/// Weight of the squared error of `target` at a timestep, for min_snr as Hang et al. 2023,
/// "Efficient Diffusion Training via Min-SNR Weighting Strategy", section 3.4, arXiv:2303.09556:
///   x0  min(SNR, gamma)      eps  min(SNR, gamma) / SNR      v  min(SNR, gamma) / (SNR + 1)
/// and never less than least_weight (ours).
double loss_weight(const ObjectiveConfig& config, double alpha_bar);

/// Everything a training step needs per timestep; each list has schedule.steps() entries, gathered
/// by t.
///   x_t = signal[t] x_0 + noise[t] eps,   target = target_x0[t] x_0 + target_eps[t] eps,
///   loss = weight[t] * mean((output - target)^2)
struct TrainingTables {
  std::vector<double> signal, noise, target_x0, target_eps, weight;
};
TrainingTables training_tables(const Schedule& schedule, const ObjectiveConfig& config);

}  // namespace noisette::diffusion
