// Predictions into each other, the weights that make their losses equal, and the losses no model
// can beat.
#include "models/diffusion/objective.h"

#include <gtest/gtest.h>

#include <cmath>

#include "framework/core/check.h"
#include "tests/diffusion/gaussian_data.h"

namespace noisette::diffusion {
namespace {

constexpr Target kTargets[] = {Target::eps, Target::x0, Target::v};

TEST(Objective, PredictionsRoundTrip) {
  const Schedule s({});
  for (int64_t t = 0; t < s.steps(); t += 37) {
    const double ab = s.alpha_bar(t), x0 = 0.6, eps = -1.3, x = s.signal(t) * x0 + s.noise(t) * eps;
    for (const Target target : kTargets) {
      const TargetMix mix = target_mix(target, ab);
      const double out = mix.x0 * x0 + mix.eps * eps;
      // rounding of x grows by the slope of the conversion
      EXPECT_NEAR(x0_from(target, ab)(x, out), x0, 1e-15 * (4 + 4 / s.signal(t)));
      EXPECT_NEAR(eps_from(target, ab)(x, out), eps, 1e-15 * (4 + 4 / s.noise(t)));
    }
  }
}

// The same error of the clean image costs eps SNR times, and v SNR + 1 times, what it costs x0.
TEST(Objective, LossesDifferByTheSignalToNoiseRatio) {
  const Schedule s({});
  for (int64_t t = 0; t < s.steps(); t += 53) {
    const double ab = s.alpha_bar(t), snr = s.snr(t);
    const auto loss = [&](Target target) {  // when the prediction's clean image is off by 1
      const double out = 1 / x0_from(target, ab).out;
      return out * out;
    };
    EXPECT_NEAR(loss(Target::x0), 1, 1e-15);
    EXPECT_NEAR(loss(Target::eps) / snr, 1, 1e-12);
    EXPECT_NEAR(loss(Target::v) / (snr + 1), 1, 1e-12);
  }
}

TEST(Objective, MinSnrWeighsEveryTargetAlike) {
  const Schedule s({.zero_terminal_snr = true});
  for (int64_t t = 0; t + 1 < s.steps(); t += 41) {
    const double ab = s.alpha_bar(t), snr = s.snr(t);
    for (const Target target : kTargets) {
      const double weight = loss_weight({target, Weighting::min_snr, 5}, ab);
      const double per_x0 = weight / std::pow(x0_from(target, ab).out, 2);
      EXPECT_NEAR(per_x0 / std::min(snr, 5.0), 1, 1e-12) << t;
    }
  }
  EXPECT_EQ(loss_weight({Target::v, Weighting::min_snr, 5}, 0), 0);
  EXPECT_EQ(loss_weight({Target::v, Weighting::min_snr, 5, 0.2}, 0), 0.2);
  EXPECT_EQ(loss_weight({Target::v, Weighting::min_snr, 5, 0.2}, 0.5), 0.5);
  EXPECT_EQ(loss_weight({Target::eps, Weighting::min_snr, 5}, 0), 1);
  EXPECT_EQ(loss_weight({Target::eps, Weighting::min_snr, 5}, 0.1), 1);
  EXPECT_NEAR(loss_weight({Target::eps, Weighting::min_snr, 5}, 10.0 / 11), 0.5, 1e-15);
  EXPECT_EQ(loss_weight({Target::eps, Weighting::uniform, 5}, 0.99), 1);
}

TEST(Objective, TrainingTables) {
  const Schedule s({});
  const TrainingTables tables =
      training_tables(s, {.target = Target::v, .weighting = Weighting::min_snr});
  ASSERT_EQ(tables.weight.size(), 1000u);
  const size_t t = 321;
  const double ab = s.alpha_bar(321);
  EXPECT_EQ(tables.signal[t], std::sqrt(ab));
  EXPECT_NEAR(tables.noise[t], std::sqrt(1 - ab), 1e-15);
  EXPECT_NEAR(tables.target_x0[t], -tables.noise[t], 1e-15);
  EXPECT_EQ(tables.target_eps[t], tables.signal[t]);
  EXPECT_EQ(tables.weight[t], loss_weight({Target::v, Weighting::min_snr, 5}, ab));
  EXPECT_THROW(training_tables(Schedule({.zero_terminal_snr = true}), {}), UsageError);
}

// Facts of the schedule, not of any model: the mean over t of the smallest possible squared error
// of eps.
TEST(Objective, SmallestLossOnGaussianData) {
  const Schedule linear({});
  const Schedule scaled({.betas = Betas::scaled_linear, .beta_start = 0.00085, .beta_end = 0.012});
  const auto mean_loss = [](const Schedule& s, double variance) {
    double sum = 0;
    for (int64_t t = 0; t < s.steps(); ++t)
      sum += GaussianData{0.3, variance}.best_loss(Target::eps, s.alpha_bar(t));
    return sum / double(s.steps());
  };
  EXPECT_NEAR(mean_loss(linear, 1), 0.2755, 0.5e-4);
  EXPECT_NEAR(mean_loss(scaled, 1), 0.3734, 0.5e-4);
  EXPECT_NEAR(mean_loss(linear, 0.25), 0.1731, 0.5e-4);
  EXPECT_NEAR(mean_loss(scaled, 0.25), 0.2176, 0.5e-4);
  EXPECT_NEAR(mean_loss(linear, 0.01), 0.0414, 0.5e-4);
  EXPECT_NEAR(mean_loss(scaled, 0.01), 0.0331, 0.5e-4);
}

// The closed form is what an integral over the data and the noise gives, and no other affine model
// does better.
TEST(Objective, TheClosedFormIsTheMinimum) {
  const GaussianData data{0.3, 0.25};
  for (const Target target : kTargets)
    for (const double ab : {0.999, 0.5, 0.01}) {
      const double a = std::sqrt(ab), b = std::sqrt(1 - ab);
      // E[(k x_t + c - target)^2] over x_0 = mean + s u, eps; k, c free
      const auto loss = [&](double k, double c) {
        const TargetMix mix = target_mix(target, ab);
        const double s = std::sqrt(data.variance);
        const double of_u = (k * a - mix.x0) * s, of_eps = k * b - mix.eps;
        const double bias = k * a * data.mean + c - mix.x0 * data.mean;
        return of_u * of_u + of_eps * of_eps + bias * bias;
      };
      const double c = data.best_output(target, 0, ab), k = data.best_output(target, 1, ab) - c;
      const double best = data.best_loss(target, ab);
      EXPECT_NEAR(loss(k, c), best, 1e-12);
      for (const double d : {-1e-2, 1e-2}) {
        EXPECT_GT(loss(k + d, c), best + 1e-7);
        EXPECT_GT(loss(k, c + d), best + 1e-7);
      }
    }
}

}  // namespace
}  // namespace noisette::diffusion
