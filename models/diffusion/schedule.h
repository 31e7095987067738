// The noise schedule: how much of the image is left after t steps of diffusion. Everything in
// doubles.
//
// Ho, Jain, Abbeel 2020, "Denoising Diffusion Probabilistic Models", arXiv:2006.11239 ("Ho" below).
// Ho counts steps from 1 to T; here, as in every training code, t = 0 .. T-1, and t = -1 is the
// clean image: alpha_bar(-1) = 1.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "framework/config/fields.h"

namespace noisette::diffusion {

enum class Betas { linear, scaled_linear, cosine };
inline constexpr std::array<std::string_view, 3> kBetasNames = {"linear", "scaled_linear",
                                                                "cosine"};
constexpr std::span<const std::string_view> enum_names(Betas) { return kBetasNames; }

/// Variance of the reverse step, Ho section 3.2: both are used with the same network.
enum class Variance { fixed_large, fixed_small };
inline constexpr std::array<std::string_view, 2> kVarianceNames = {"fixed_large", "fixed_small"};
constexpr std::span<const std::string_view> enum_names(Variance) { return kVarianceNames; }

struct ScheduleConfig {
  Betas betas = Betas::linear;
  int64_t steps = 1000;
  double beta_start = 1e-4;
  double beta_end = 0.02;
  bool zero_terminal_snr = false;

  void fields(config::Fields& f);
  std::string problem() const;
};

/// Coefficients of the posterior q(x_s | x_t, x_0) = N(from_x0 * x_0 + from_xt * x_t, variance), Ho
/// eq. 6 and 7.
struct Posterior {
  double from_x0 = 0;
  double from_xt = 0;
  double variance = 0;  // "beta tilde"
};

class Schedule {
 public:
  /// Throws UsageError when the configuration breaks its own rule (problem()).
  explicit Schedule(const ScheduleConfig& config);

  int64_t steps() const { return int64_t(alpha_bar_.size()); }
  /// beta_t = 1 - alpha_bar(t) / alpha_bar(t - 1): the variance added by step t.
  double beta(int64_t t) const { return beta_between(t, t - 1); }
  /// Product of 1 - beta over the steps 0 .. t: x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar)
  /// eps, Ho eq. 4.
  double alpha_bar(int64_t t) const;
  /// 1 - alpha_bar(t), summed up on its own so that the first steps keep their digits.
  double noise_variance(int64_t t) const;
  double signal(int64_t t) const;  // sqrt(alpha_bar(t))
  double noise(int64_t t) const;   // sqrt(1 - alpha_bar(t))
  double snr(int64_t t) const;     // alpha_bar / (1 - alpha_bar)

  /// The same for a jump from t to any earlier s >= -1, which is how fewer steps than T are taken
  /// (Nichol & Dhariwal 2021, section 4, arXiv:2102.09672).
  double beta_between(int64_t t, int64_t s) const;
  Posterior posterior(int64_t t, int64_t s) const;
  Posterior posterior(int64_t t) const { return posterior(t, t - 1); }

  /// Logarithm of the variance of p(x_{t-1} | x_t). The posterior of the last step has variance 0,
  /// so there both conventions take the posterior variance at t = 1 (as the code of the paper
  /// does).
  double log_variance(int64_t t, Variance variance) const;

 private:
  std::vector<double> beta_, alpha_bar_, noise_variance_;
};

}  // namespace noisette::diffusion
