#include "models/diffusion/vlb.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "framework/core/check.h"

namespace noisette::diffusion {

double bits(double nats) { return nats / std::numbers::ln2; }

double gaussian_kl(double mean_q, double log_var_q, double mean_p, double log_var_p) {
  const double d = mean_q - mean_p, gap = log_var_q - log_var_p;
  return 0.5 * (std::expm1(gap) - gap + d * d * std::exp(-log_var_p));
}

double log_normal_cdf(double x) {
  if (x > -1) return std::log1p(-0.5 * std::erfc(x / std::numbers::sqrt2));
  if (x > -30) return std::log(0.5 * std::erfc(-x / std::numbers::sqrt2));
  // Mills ratio: Phi(x) = phi(x) / |x| * (1 - 1/x^2 + 3/x^4 - 15/x^6 + 105/x^8); the next term is
  // below 1e-11.
  const double y = 1 / (x * x);
  const double series = std::log1p(y * (-1 + y * (3 + y * (-15 + y * 105))));
  return -0.5 * x * x - std::log(-x) - 0.5 * std::log(2 * std::numbers::pi) + series;
}

double log_normal_interval(double a, double b) {
  if (a > -b) {  // the upper tail is the lower one seen in a mirror
    const double old_a = a;
    a = -b;
    b = -old_a;
  }
  if (b > 0)  // a < 0 < b: two parts, both positive
    return std::log(0.5 * (std::erf(b / std::numbers::sqrt2) - std::erf(a / std::numbers::sqrt2)));
  const double upper = log_normal_cdf(b);
  return upper + std::log(-std::expm1(log_normal_cdf(a) - upper));
}

double decoder_nll(double x, double mean, double log_std) {
  constexpr double kHalf = 1.0 / 255;
  const double inverse = std::exp(-log_std);
  const double below = (x - kHalf - mean) * inverse, above = (x + kHalf - mean) * inverse;
  if (x <= -1 + kHalf / 2) return -log_normal_cdf(above);
  if (x >= 1 - kHalf / 2) return -log_normal_cdf(-below);
  return -log_normal_interval(below, above);
}

double prior_kl(const Schedule& schedule, double x0) {
  const int64_t last = schedule.steps() - 1;
  return gaussian_kl(schedule.signal(last) * x0, std::log1p(-schedule.alpha_bar(last)), 0, 0);
}

VlbTerm vlb_term(const Schedule& schedule, int64_t t, Variance variance) {
  check(t >= 1, "[vlb] the steps between two noisy images have t >= 1; got {}", t);
  const Posterior posterior = schedule.posterior(t);
  const double log_var = schedule.log_variance(t, variance);
  return {.offset = gaussian_kl(0, std::log(posterior.variance), 0, log_var),
          .weight = 0.5 * posterior.from_x0 * posterior.from_x0 * std::exp(-log_var)};
}

double decoder_log_std(const Schedule& schedule, Variance variance) {
  return 0.5 * schedule.log_variance(0, variance);
}

}  // namespace noisette::diffusion
