// Samplers on numbers: published sums, exact answers on Gaussian data, order of convergence,
// guidance.
#include "models/diffusion/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "framework/config/config.h"
#include "framework/core/check.h"
#include "tests/diffusion/gaussian_data.h"

namespace noisette::diffusion {
namespace {

using Timesteps = std::vector<int64_t>;

// diffusers' scheduler tests: sample arange(N) / N, model x t / (t + 1), ten DDIM steps, sum of
// |x|. Their sums (172.0067, 52.5302, 149.0784, 149.8295) are f32; these are the same in doubles.
double dummy_sum(const ScheduleConfig& schedule, Target target, bool last_to_clean) {
  const std::vector<Step> plan = make_plan(Schedule(schedule), target,
                                           {.steps = 10,
                                            .spacing = Spacing::leading,
                                            .use_clipped_model_output = false,
                                            .last_to_clean = last_to_clean});
  double sum = 0;
  for (int i = 0; i < 768; ++i) {
    double x = i / 768.0;
    for (const Step& step : plan)
      x = apply_step(step, x, x * double(step.t) / double(step.t + 1), 0);
    sum += std::abs(x);
  }
  return sum;
}

TEST(Plan, DdimGoldensOfDiffusers) {
  EXPECT_NEAR(dummy_sum({}, Target::eps, true), 172.0065, 0.5e-4);
  EXPECT_NEAR(dummy_sum({}, Target::v, true), 52.5301, 0.5e-4);
  EXPECT_NEAR(dummy_sum({.beta_start = 0.01}, Target::eps, true), 149.8295, 0.5e-4);
  EXPECT_NEAR(dummy_sum({.beta_start = 0.01}, Target::eps, false), 149.0784, 0.5e-4);
}

TEST(Plan, Timesteps) {
  const auto at = [](Spacing spacing, int64_t steps, int64_t offset = 0) {
    return sampled_timesteps(1000, {.steps = steps, .spacing = spacing, .offset = offset});
  };
  EXPECT_EQ(at(Spacing::leading, 5), (Timesteps{800, 600, 400, 200, 0}));
  EXPECT_EQ(at(Spacing::leading, 5, 1), (Timesteps{801, 601, 401, 201, 1}));
  EXPECT_EQ(at(Spacing::leading, 3), (Timesteps{666, 333, 0}));
  EXPECT_EQ(at(Spacing::trailing, 5), (Timesteps{999, 799, 599, 399, 199}));
  EXPECT_EQ(at(Spacing::trailing, 3), (Timesteps{999, 666, 332}));
  EXPECT_EQ(at(Spacing::linspace, 5), (Timesteps{999, 749, 500, 250, 0}));
  EXPECT_EQ(at(Spacing::linspace, 1), (Timesteps{999}));
  for (const Spacing spacing : {Spacing::leading, Spacing::trailing, Spacing::linspace})
    for (int64_t n = 1; n <= 1000; n += n < 20 ? 1 : 49) {
      const Timesteps t = at(spacing, n);
      ASSERT_EQ(int64_t(t.size()), n);
      for (size_t i = 1; i < t.size(); ++i) EXPECT_LT(t[i], t[i - 1]) << n;
      EXPECT_LT(t.front(), 1000);
      EXPECT_GE(t.back(), 0);
    }
  for (const Spacing spacing : {Spacing::leading, Spacing::trailing, Spacing::linspace})
    EXPECT_EQ(at(spacing, 1000).back(), 0) << "every timestep once";
  EXPECT_THROW(at(Spacing::leading, 1001), UsageError);
  EXPECT_THROW(at(Spacing::leading, 1000, 1), UsageError);
}

// The whole chain as one affine map x -> scale * x + shift, and the variance its noise adds.
struct Chain {
  double scale = 1, shift = 0, variance = 0;
};

Chain run(const Schedule& s, const std::vector<Step>& plan, Target target,
          const GaussianData& data) {
  Chain chain;
  for (const Step& step : plan) {
    const double ab = s.alpha_bar(step.t);
    const auto f = [&](double x) {
      return apply_step(step, x, data.best_output(target, x, ab), 0);
    };
    const double shift = f(0), scale = f(1) - shift;
    chain = {scale * chain.scale, scale * chain.shift + shift,
             scale * scale * chain.variance + step.sigma * step.sigma};
  }
  return chain;
}

// The probability-flow ODE moves x along its quantile: (x_t - a_t m) / std(x_t) is constant. DDIM
// is a first-order method for it, whatever the network predicts.
TEST(Plan, DdimConvergesToTheFlowAtFirstOrder) {
  const GaussianData data{0.4, 0.09};
  for (const Betas betas : {Betas::linear, Betas::scaled_linear})
    for (const Target target : {Target::eps, Target::x0, Target::v}) {
      const Schedule s({.betas = betas});
      const double first = s.alpha_bar(999), last = s.alpha_bar(0);
      const double scale = std::sqrt(data.marginal(last) / data.marginal(first));
      double error_before = 0;
      for (const int64_t intervals : {37, 111, 333, 999}) {
        const std::vector<Step> plan = make_plan(s, target,
                                                 {.steps = intervals + 1,
                                                  .spacing = Spacing::linspace,
                                                  .clip = std::nullopt,
                                                  .last_to_clean = false});
        const double error = std::abs(run(s, plan, target, data).scale - scale);
        if (error_before > 0) {  // three times the steps, a third of the error: 2.89 .. 2.99
          EXPECT_GT(error_before / error, 2.8) << intervals;
          EXPECT_LT(error_before / error, 3.1) << intervals;
        }
        error_before = error;
      }
      EXPECT_LT(error_before / scale, 0.01);
    }
}

TEST(Plan, TheTargetDoesNotChangeTheSample) {
  const Schedule s({});
  const GaussianData data{0.4, 0.09};
  for (const Sampler sampler : {Sampler::ddpm, Sampler::ddim})
    for (const double eta : {0.0, 0.5, 1.0}) {
      if (sampler == Sampler::ddpm && eta > 0) continue;
      const SamplerConfig config{.sampler = sampler, .steps = 25, .eta = eta, .clip = std::nullopt};
      const Chain eps = run(s, make_plan(s, Target::eps, config), Target::eps, data);
      for (const Target target : {Target::x0, Target::v}) {
        const Chain other = run(s, make_plan(s, target, config), target, data);
        EXPECT_NEAR(other.scale, eps.scale, 1e-12);
        EXPECT_NEAR(other.shift, eps.shift, 1e-11);
        EXPECT_NEAR(other.variance, eps.variance, 1e-12);
      }
    }
}

// Song et al. 2021, section 4.1: DDIM at eta = 1 is DDPM with the small variance.
TEST(Plan, DdimAtEtaOneIsDdpm) {
  const Schedule s({});
  const auto ddim = make_plan(s, Target::eps, {.steps = 40, .eta = 1, .clip = std::nullopt});
  const auto ddpm = make_plan(s, Target::eps,
                              {.sampler = Sampler::ddpm,
                               .steps = 40,
                               .variance = Variance::fixed_small,
                               .clip = std::nullopt});
  for (size_t i = 0; i < 40; ++i) {
    EXPECT_EQ(ddim[i].t, ddpm[i].t);
    EXPECT_NEAR(ddim[i].sigma, ddpm[i].sigma, 1e-14);
    for (const double x : {-1.0, 2.0})
      for (const double out : {-0.5, 1.5})
        EXPECT_NEAR(apply_step(ddim[i], x, out, 0), apply_step(ddpm[i], x, out, 0), 1e-10) << i;
  }
}

// Ho et al. 2020, section 3.2: the large variance is exact for x_0 ~ N(0, 1), the small one for a
// single image. With the matching one, a chain that starts right has the right variance after every
// step, with any number of steps.
TEST(Plan, AncestralSamplingIsExactWhereTheVarianceIs) {
  const Schedule s({});
  for (const bool large : {true, false})
    for (const int64_t steps : {7, 50, 1000}) {
      const GaussianData data{0.3, large ? 1.0 : 0.0};
      const auto plan =
          make_plan(s, Target::eps,
                    {.sampler = Sampler::ddpm,
                     .steps = steps,
                     .variance = large ? Variance::fixed_large : Variance::fixed_small,
                     .clip = std::nullopt});
      double variance = data.marginal(s.alpha_bar(plan[0].t));
      double mean = s.signal(plan[0].t) * data.mean;
      // Without the last step, which adds no noise and so is not exact for N(0, 1).
      for (size_t i = 0; i + 1 < plan.size(); ++i) {
        const double ab = s.alpha_bar(plan[i].t);
        const auto f = [&](double x) {
          return apply_step(plan[i], x, data.best_output(Target::eps, x, ab), 0);
        };
        const double scale = f(1) - f(0);
        mean = f(mean);
        variance = scale * scale * variance + plan[i].sigma * plan[i].sigma;
        EXPECT_NEAR(variance, data.marginal(s.alpha_bar(plan[i].next)), 1e-11) << steps << " " << i;
        EXPECT_NEAR(mean, s.signal(plan[i].next) * data.mean, 1e-11);
      }
    }
}

// For data in between, the two variances bound the right one from above and below.
TEST(Plan, TheTwoVariancesEncloseTheData) {
  const Schedule s({});
  const GaussianData data{0, 0.25};
  const auto end_variance = [&](Variance variance) {
    const auto plan = make_plan(
        s, Target::eps,
        {.sampler = Sampler::ddpm, .steps = 1000, .variance = variance, .clip = std::nullopt});
    const Chain c = run(s, plan, Target::eps, data);
    return c.variance + c.scale * c.scale;  // from x_T ~ N(0, 1)
  };
  const double large = end_variance(Variance::fixed_large),
               small = end_variance(Variance::fixed_small);
  EXPECT_GT(large, data.variance);
  EXPECT_LT(small, data.variance);
  EXPECT_NEAR(large, data.variance, 0.01);
  EXPECT_NEAR(small, data.variance, 0.01);
}

TEST(Plan, ClipsTheCleanImageBeforeThePosteriorMean) {
  const Schedule s({});
  const auto plan = make_plan(s, Target::x0, {.sampler = Sampler::ddpm, .steps = 1000});
  const Step& step = plan[500];
  const Posterior p = s.posterior(step.t);
  EXPECT_NEAR(apply_step(step, 0.3, 7.0, 0), p.from_x0 * 1.0 + p.from_xt * 0.3, 1e-15);
  EXPECT_NEAR(apply_step(step, 0.3, -7.0, 2.0),
              -p.from_x0 + p.from_xt * 0.3 + 2 * std::sqrt(s.beta(step.t)), 1e-15);
  EXPECT_EQ(plan.back().sigma, 0);
  EXPECT_EQ(apply_step(plan.back(), 0.3, 0.25, 9.0), 0.25)
      << "the last step returns the prediction";
}

TEST(Plan, TheNoiseFollowsTheClampedImage) {
  const Schedule schedule{ScheduleConfig{}};
  SamplerConfig c;
  c.steps = 10;
  for (const Target target : {Target::eps, Target::x0, Target::v}) {
    const Step step = make_plan(schedule, target, c)[3];
    const double x = 0.7, out = -1.9;
    const double x0 = std::clamp(step.x0_from_x * x + step.x0_from_out * out, -1.0, 1.0);
    const double eps = (x - schedule.signal(step.t) * x0) / schedule.noise(step.t);
    EXPECT_NEAR(apply_step(step, x, out, 0),
                schedule.signal(step.next) * x0 + schedule.noise(step.next) * eps, 1e-13);
  }
}

// What the clamp cuts off the image stays in the next x_t with the network's own noise.
TEST(Plan, TheNetworksOwnNoiseKeepsWhatTheClampCuts) {
  const Schedule s({});
  SamplerConfig c{.steps = 10};
  const double x = -0.2, raw = -1.5;  // the network's image, half beyond the clamp
  const Step consistent = make_plan(s, Target::x0, c)[3];
  c.use_clipped_model_output = false;
  const Step own = make_plan(s, Target::x0, c)[3];
  const double noise = (x - s.signal(own.t) * raw) / s.noise(own.t);
  EXPECT_NEAR(apply_step(own, x, raw, 0), s.signal(own.next) * -1 + s.noise(own.next) * noise,
              1e-13);
  const double kept = s.noise(own.next) / s.noise(own.t) * s.signal(own.t) * (-1 - raw);
  EXPECT_NEAR(apply_step(own, x, raw, 0) - apply_step(consistent, x, raw, 0), kept, 1e-13);
  EXPECT_GT(kept, 0) << "brighter";
  EXPECT_EQ(make_plan(s, Target::x0, {.sampler = Sampler::ddpm}).size(), 50u);
  EXPECT_THROW(
      make_plan(s, Target::x0, {.sampler = Sampler::ddpm, .use_clipped_model_output = false}),
      UsageError);
}

TEST(Plan, GuidanceIntervalIsAShareOfTheTimesteps) {
  const Schedule s({});
  const auto guided = [&](double above, double below) {
    std::string marks;
    for (const Step& step : make_plan(s, Target::v,
                                      {.steps = 10,
                                      .spacing = Spacing::leading,  // 900, 800, ... 0
                                       .guidance_above = above,
                                      .guidance_below = below}))
      marks += step.guided ? 'g' : '-';
    return marks;
  };
  EXPECT_EQ(guided(0, 1), "gggggggggg");
  EXPECT_EQ(guided(0.3, 0.8), "--ggggg---") << "300 is in, 800 is not";
  EXPECT_EQ(guided(0.85, 0.95), "g---------");
  EXPECT_THROW(make_plan(s, Target::v, {.guidance_above = 0.5, .guidance_below = 0.5}), UsageError);
}

TEST(Plan, ZeroTerminalSnrStartsFromPureNoise) {
  const Schedule s({.zero_terminal_snr = true});
  EXPECT_THROW(make_plan(s, Target::eps, {}), UsageError);
  for (const Sampler sampler : {Sampler::ddpm, Sampler::ddim})
    for (const Target target : {Target::x0, Target::v})
      for (const Step& step : make_plan(s, target, {.sampler = sampler}))
        EXPECT_TRUE(std::isfinite(apply_step(step, 0.3, 0.2, 0.1))) << step.t;
}

// Both conditions Gaussian, N(+-mean, variance): the guided prediction is affine in x_t again, that
// of Gaussian data with the mean extrapolated to u + w (c - u), so the end of the chain is known
// for every w.
TEST(Plan, GuidanceOnGaussianDataExtrapolatesTheMean) {
  const Schedule s({});
  const GaussianData yes{0.5, 0.04}, no{-0.1, 0.04};
  for (const double w : {0.0, 1.0, 3.0, 7.5}) {
    const GaussianData merged{no.mean + w * (yes.mean - no.mean), 0.04};
    const auto plan = make_plan(s, Target::eps, {.steps = 100, .clip = std::nullopt});
    double x = 1.3, expected = 1.3;
    for (const Step& step : plan) {
      const double ab = s.alpha_bar(step.t);
      const double out =
          guided(no.best_output(Target::eps, x, ab), yes.best_output(Target::eps, x, ab), w);
      x = apply_step(step, x, out, 0);
      expected = apply_step(step, expected, merged.best_output(Target::eps, expected, ab), 0);
    }
    EXPECT_NEAR(x, expected, 1e-10) << w;
    EXPECT_NEAR(x, merged.mean + 1.3 * 0.2, 0.05 * (1 + w)) << "the flow keeps the quantile";
  }
}

// A mixture of two narrow Gaussians: the posterior class weights are Bayes' rule, and the score of
// the mixture is the weighted sum; that sum is the unconditional prediction of guidance.
TEST(Plan, MixtureScoreIsThePosteriorMeanOfTheScores) {
  const Schedule s({});
  const GaussianData a{0.5, 0.04}, b{-0.3, 0.09};
  for (const int64_t t : {10, 300, 700})
    for (const double x : {-1.0, 0.1, 0.8}) {
      const double ab = s.alpha_bar(t);
      const auto density = [&](const GaussianData& d, double at) {
        const double v = d.marginal(ab), e = at - s.signal(t) * d.mean;
        return std::exp(-e * e / (2 * v)) / std::sqrt(v);
      };
      const double h = 1e-5;
      const auto log_density = [&](double at) {
        return std::log(0.5 * density(a, at) + 0.5 * density(b, at));
      };
      const double score = (log_density(x + h) - log_density(x - h)) / (2 * h);
      const double wa = density(a, x) / (density(a, x) + density(b, x));
      const double eps =
          wa * a.best_output(Target::eps, x, ab) + (1 - wa) * b.best_output(Target::eps, x, ab);
      EXPECT_NEAR(-eps / s.noise(t), score, 1e-6 * (1 + std::abs(score)));
    }
}

TEST(Plan, GuidanceIdentities) {
  const double u = 0.123, c = -0.7;
  EXPECT_EQ(guided(u, c, 0), u);
  EXPECT_NEAR(guided(u, c, 1), c, 1e-16);
  EXPECT_EQ(guided(u, u, 7.5), u);
  for (const double w : {-1.0, 0.3, 3.0, 7.5})
    EXPECT_NEAR(guided(u, c, w), guided(c, u, 1 - w), 1e-14);
}

TEST(Plan, Config) {
  const auto c =
      config::from_text<SamplerConfig>("sampler = 'ddpm'\nclip = 'none'\nsteps = 1000", "x.toml");
  EXPECT_EQ(c.sampler, Sampler::ddpm);
  EXPECT_FALSE(c.clip.has_value());
  EXPECT_THROW(config::from_text<SamplerConfig>("offset = 1", "x.toml"), UsageError);
  EXPECT_THROW(config::from_text<SamplerConfig>("sampler = 'ddpm'\neta = 1", "x.toml"), UsageError);
  EXPECT_THROW(config::from_text<SamplerConfig>("eta = 1.1", "x.toml"), UsageError);
}

}  // namespace
}  // namespace noisette::diffusion
