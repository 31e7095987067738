#include "models/diffusion/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "framework/core/check.h"

namespace noisette::diffusion {
namespace {

/// Variance of the noise after one more step.
double add_step(double variance, double beta) { return (1 - beta) * variance + beta; }

/// Ho section 4: evenly spaced from start to end.
std::vector<double> linear_betas(int64_t steps, double start, double end) {
  std::vector<double> betas(static_cast<size_t>(steps));
  for (int64_t t = 0; t < steps; ++t)
    betas[size_t(t)] = start + (end - start) * double(t) / double(steps - 1);
  return betas;
}

/// Latent diffusion models (Rombach et al. 2022): the square roots are evenly spaced.
std::vector<double> scaled_linear_betas(int64_t steps, double start, double end) {
  std::vector<double> betas = linear_betas(steps, std::sqrt(start), std::sqrt(end));
  for (double& b : betas) b *= b;
  return betas;
}

/// Nichol & Dhariwal 2021, eq. 17: alpha_bar = f(t) / f(0) with f = cos^2((t/T + s) / (1 + s) *
/// pi/2), s = 0.008; beta at most 0.999.
std::vector<double> cosine_betas(int64_t steps) {
  const auto f = [&](int64_t t) {
    constexpr double s = 0.008;
    const double c = std::cos((double(t) / double(steps) + s) / (1 + s) * std::numbers::pi / 2);
    return c * c;
  };
  std::vector<double> betas(static_cast<size_t>(steps));
  for (int64_t t = 0; t < steps; ++t) betas[size_t(t)] = std::min(1 - f(t + 1) / f(t), 0.999);
  return betas;
}

/// Lin et al. 2024, "Common Diffusion Noise Schedules and Sample Steps are Flawed", algorithm 1,
/// arXiv:2305.08891: shifts and scales sqrt(alpha_bar) so that the last is 0 and the first stays.
void rescale_to_zero_terminal_snr(std::vector<double>& alpha_bar, std::vector<double>& beta) {
  const double first = std::sqrt(alpha_bar.front()), last = std::sqrt(alpha_bar.back());
  double before = 1;
  for (size_t t = 0; t < alpha_bar.size(); ++t) {
    const double root = (std::sqrt(alpha_bar[t]) - last) * first / (first - last);
    alpha_bar[t] = t + 1 == alpha_bar.size() ? 0 : root * root;
    if (t > 0) beta[t] = 1 - alpha_bar[t] / before;  // the first step is unchanged
    before = alpha_bar[t];
  }
}

}  // namespace

void ScheduleConfig::fields(config::Fields& f) {
  f.add("betas", betas, {.doc = "shape of the noise schedule"});
  f.add("steps", steps,
        {.unit = "steps", .min = 2, .max = 100000, .doc = "diffusion steps T of training"});
  f.add("beta_start", beta_start,
        {.above = 0, .below = 1, .doc = "first beta; not used by cosine"});
  f.add("beta_end", beta_end, {.above = 0, .below = 1, .doc = "last beta; not used by cosine"});
  f.add("zero_terminal_snr", zero_terminal_snr,
        {.doc = "rescale so that the last step is pure noise; needs the target x0 or v"});
}

std::string ScheduleConfig::problem() const {
  if (betas != Betas::cosine && beta_start > beta_end)
    return fmt::format("beta_start must not exceed beta_end; got {} and {}", beta_start, beta_end);
  return "";
}

Schedule::Schedule(const ScheduleConfig& config) {
  check(config.steps >= 2, "[schedule] needs at least 2 steps; got {}", config.steps);
  const std::string problem = config.problem();
  if (!problem.empty()) throw UsageError("[schedule] " + problem);
  switch (config.betas) {
    case Betas::linear:
      beta_ = linear_betas(config.steps, config.beta_start, config.beta_end);
      break;
    case Betas::scaled_linear:
      beta_ = scaled_linear_betas(config.steps, config.beta_start, config.beta_end);
      break;
    case Betas::cosine:
      beta_ = cosine_betas(config.steps);
      break;
  }
  double product = 1;
  for (const double b : beta_) alpha_bar_.push_back(product *= 1 - b);
  if (config.zero_terminal_snr) rescale_to_zero_terminal_snr(alpha_bar_, beta_);
  double variance = 0;
  for (const double b : beta_) noise_variance_.push_back(variance = add_step(variance, b));
}

double Schedule::alpha_bar(int64_t t) const {
  check(t >= -1 && t < steps(), "[schedule] timestep must be in [-1, {}]; got {}", steps() - 1, t);
  return t < 0 ? 1 : alpha_bar_[size_t(t)];
}

double Schedule::noise_variance(int64_t t) const {
  check(t >= -1 && t < steps(), "[schedule] timestep must be in [-1, {}]; got {}", steps() - 1, t);
  return t < 0 ? 0 : noise_variance_[size_t(t)];
}

double Schedule::signal(int64_t t) const { return std::sqrt(alpha_bar(t)); }
double Schedule::noise(int64_t t) const { return std::sqrt(noise_variance(t)); }
double Schedule::snr(int64_t t) const { return alpha_bar(t) / noise_variance(t); }

double Schedule::beta_between(int64_t t, int64_t s) const {
  check(s < t, "[schedule] a reverse step goes to an earlier timestep; got {} to {}", t, s);
  check(t < steps() && s >= -1, "[schedule] timesteps must be in [-1, {}]; got {} to {}",
        steps() - 1, t, s);
  double variance = 0;  // 1 - alpha_bar(t) / alpha_bar(s), without the cancellation
  for (int64_t i = s + 1; i <= t; ++i) variance = add_step(variance, beta_[size_t(i)]);
  return variance;
}

Posterior Schedule::posterior(int64_t t, int64_t s) const {
  const double b = beta_between(t, s), n_t = noise_variance(t), n_s = noise_variance(s);
  return {.from_x0 = signal(s) * b / n_t,
          .from_xt = signal(t) / signal(s) * n_s / n_t,
          .variance = n_s / n_t * b};
}

double Schedule::log_variance(int64_t t, Variance variance) const {
  if (t == 0) return std::log(posterior(1).variance);
  return std::log(variance == Variance::fixed_large ? beta(t) : posterior(t).variance);
}

}  // namespace noisette::diffusion
