// The schedules against published numbers, and the identities of the forward process.
#include "models/diffusion/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "framework/config/config.h"
#include "framework/core/check.h"
#include "kernels/philox.h"

namespace noisette::diffusion {
namespace {

const ScheduleConfig kLinear{};
const ScheduleConfig kScaled{
    .betas = Betas::scaled_linear, .beta_start = 0.00085, .beta_end = 0.012};
const ScheduleConfig kCosine{.betas = Betas::cosine};
const std::vector<ScheduleConfig> kAll = {kLinear,
                                          kScaled,
                                          kCosine,
                                          {.betas = Betas::scaled_linear,
                                           .beta_start = 0.00085,
                                           .beta_end = 0.012,
                                           .zero_terminal_snr = true},
                                          {.betas = Betas::linear, .steps = 10},
                                          {.betas = Betas::cosine, .steps = 4000}};

double sigma(const Schedule& s, int64_t t) { return s.noise(t) / s.signal(t); }

TEST(Schedule, PublishedNumbers) {
  const Schedule linear(kLinear), scaled(kScaled), cosine(kCosine);
  EXPECT_EQ(linear.beta(0), 1e-4);
  EXPECT_EQ(linear.beta(999), 0.02);
  EXPECT_NEAR(linear.alpha_bar(999), 4.036e-5, 0.5e-8);
  EXPECT_NEAR(sigma(linear, 0), 0.0100, 0.5e-4);
  EXPECT_NEAR(sigma(linear, 999), 157.4, 0.05);
  EXPECT_NEAR(scaled.alpha_bar(999), 0.00466, 0.5e-5);
  EXPECT_NEAR(scaled.signal(999), 0.0683, 0.5e-4);
  EXPECT_NEAR(scaled.snr(999), 0.00468, 0.5e-5);
  EXPECT_NEAR(sigma(scaled, 0), 0.0292, 0.5e-4);
  EXPECT_NEAR(sigma(scaled, 999), 14.6146, 0.5e-4);
  EXPECT_NEAR(cosine.beta(0), 4.13e-5, 0.5e-7);
  EXPECT_NEAR(cosine.alpha_bar(999), 2.4e-9, 0.5e-10);
  int clipped = 0;
  for (int64_t t = 0; t < 1000; ++t) clipped += cosine.beta(t) == 0.999;
  EXPECT_EQ(clipped, 1);
}

TEST(Schedule, VarianceOfDiffusersTests) {  // its fixed_small at t = 0, 487, 999
  const Schedule linear(kLinear);
  EXPECT_EQ(linear.posterior(0).variance, 0);
  EXPECT_NEAR(linear.posterior(487).variance, 0.00979, 1e-5);
  EXPECT_NEAR(linear.posterior(999).variance, 0.02, 1e-5);
}

// Averaging the posterior over q(x_t | x_0) must give q(x_s | x_0): mean sqrt(a_s), variance 1 -
// a_s.
TEST(Schedule, PosteriorUndoesTheForwardStep) {
  for (const ScheduleConfig& config : kAll) {
    const Schedule s(config);
    for (int64_t t = 0; t < s.steps(); ++t)
      for (const int64_t before : {t - 1, t / 2, int64_t(-1)}) {
        if (before >= t) continue;
        const Posterior p = s.posterior(t, before);
        const double a_s = s.alpha_bar(before);
        EXPECT_NEAR(p.from_x0 + p.from_xt * s.signal(t), std::sqrt(a_s), 1e-14)
            << t << " " << before;
        EXPECT_NEAR(p.variance + p.from_xt * p.from_xt * s.noise_variance(t), 1 - a_s, 1e-14);
        EXPECT_NEAR(p.variance, (1 - a_s) / (1 - s.alpha_bar(t)) * s.beta_between(t, before),
                    1e-14);
      }
  }
}

TEST(Schedule, OneStepAtATimeEqualsTheJump) {
  for (const ScheduleConfig& config : kAll) {
    const Schedule s(config);
    double mean = 1, variance = 0;  // of x_t given x_0 = 1
    for (int64_t t = 0; t < s.steps(); ++t) {
      mean *= std::sqrt(1 - s.beta(t));
      variance = (1 - s.beta(t)) * variance + s.beta(t);
      EXPECT_NEAR(mean, s.signal(t), 1e-12);  // a thousand roundings
      EXPECT_NEAR(variance, 1 - s.alpha_bar(t), 1e-12);
      EXPECT_GE(s.alpha_bar(t), 0);
      EXPECT_LT(s.alpha_bar(t), s.alpha_bar(t - 1));
    }
  }
}

TEST(Schedule, SampledChainHasTheMomentsOfTheJump) {
  const Schedule s({.steps = 20, .beta_start = 0.01, .beta_end = 0.3});
  const double x0 = 0.7;
  constexpr int64_t kSamples = 20000;
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < kSamples; ++i) {
    double x = x0;
    for (int64_t t = 0; t < s.steps(); ++t) {
      const PhiloxBlock r = philox_block({.seed = 3}, uint64_t(i), uint32_t(t));
      const double z =
          std::sqrt(-2 * std::log(uniform_open(r[0]))) * std::cos(2 * M_PI * uniform(r[1]));
      x = std::sqrt(1 - s.beta(t)) * x + std::sqrt(s.beta(t)) * z;
    }
    sum += x;
    squares += x * x;
  }
  const double mean = sum / kSamples, variance = squares / kSamples - mean * mean;
  const double expected = 1 - s.alpha_bar(19);
  EXPECT_NEAR(mean, s.signal(19) * x0, 5 * std::sqrt(expected / kSamples));
  EXPECT_NEAR(variance, expected, 5 * expected * std::sqrt(2.0 / kSamples));
}

TEST(Schedule, ZeroTerminalSnrKeepsTheFirstAndEmptiesTheLast) {
  for (ScheduleConfig config : {kLinear, kScaled, kCosine}) {
    const Schedule plain(config);
    config.zero_terminal_snr = true;
    const Schedule s(config);
    EXPECT_NEAR(s.alpha_bar(0), plain.alpha_bar(0), 1e-15);
    EXPECT_EQ(s.alpha_bar(999), 0);
    EXPECT_EQ(s.snr(999), 0);
    EXPECT_EQ(s.beta(999), 1);
    // sqrt(alpha_bar) is mapped by one affine function
    const double u = (s.signal(300) - s.signal(700)) / (plain.signal(300) - plain.signal(700));
    const double v = (s.signal(100) - s.signal(900)) / (plain.signal(100) - plain.signal(900));
    EXPECT_NEAR(u, v, 1e-12);
  }
}

TEST(Schedule, LogVariances) {
  const Schedule s(kLinear);
  EXPECT_EQ(s.log_variance(500, Variance::fixed_large), std::log(s.beta(500)));
  EXPECT_EQ(s.log_variance(500, Variance::fixed_small), std::log(s.posterior(500).variance));
  EXPECT_EQ(s.log_variance(0, Variance::fixed_large), std::log(s.posterior(1).variance));
  EXPECT_EQ(s.log_variance(0, Variance::fixed_small), std::log(s.posterior(1).variance));
}

TEST(Schedule, Config) {
  const auto c = config::from_text<ScheduleConfig>("betas = 'cosine'\nsteps = 4000", "x.toml");
  EXPECT_EQ(c.betas, Betas::cosine);
  EXPECT_EQ(Schedule(c).steps(), 4000);
  EXPECT_THROW(config::from_text<ScheduleConfig>("beta_start = 0.5", "x.toml"), UsageError);
  EXPECT_THROW(Schedule({.beta_start = 0.5}), UsageError);
  EXPECT_THROW(Schedule({.steps = 1}), Error);
  const Schedule s(kLinear);
  EXPECT_THROW(s.alpha_bar(1000), Error);
  EXPECT_THROW(s.alpha_bar(-2), Error);
  EXPECT_THROW(s.posterior(5, 5), Error);
}

}  // namespace
}  // namespace noisette::diffusion
