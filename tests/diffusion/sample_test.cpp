// Plans on tensors against plans on numbers; guidance; independence of the batch.
#include "models/diffusion/sample.h"

#include <gtest/gtest.h>

#include <cmath>

#include "framework/ops/diffusion.h"
#include "framework/ops/elementwise.h"
#include "kernels/philox.h"
#include "tests/diffusion/gaussian_data.h"

namespace noisette::diffusion {
namespace {

template <class T>
Tensor random_tensor(const Shape& shape, uint64_t seed) {
  Tensor x = empty(shape, dtype_of<T>);
  for (int64_t i = 0; i < x.numel(); ++i)
    x.data<T>()[i] = T(3 * uniform(philox_block({seed}, uint64_t(i), 0)[0]) - 1.5f);
  return x;
}

const SamplerConfig kDdpm{.sampler = Sampler::ddpm, .steps = 10};
const SamplerConfig kDdim{.steps = 10, .eta = 0.5};

TEST(Sample, StepEqualsTheReferenceOnNumbers) {
  const Schedule s({});
  const Shape shape{3, 5, 7, 3};
  const Tensor x = random_tensor<double>(shape, 1), out = random_tensor<double>(shape, 2),
               z = random_tensor<double>(shape, 3);
  for (const SamplerConfig& config : {kDdpm, kDdim})
    for (const Target target : {Target::eps, Target::x0, Target::v})
      for (const Step& step : make_plan(s, target, config)) {
        const Tensor y = sampler_step(x, out, z, step);
        for (int64_t i = 0; i < x.numel(); ++i)
          ASSERT_NEAR(
              y.data<double>()[i],
              apply_step(step, x.data<double>()[i], out.data<double>()[i], z.data<double>()[i]),
              1e-13)
              << step.t;
      }
}

// f32 and bf16 outputs: the arithmetic is f32 either way. Clamping bounds x0 by 1, so all terms are
// of order 1.
TEST(Sample, StepInLowerPrecision) {
  const Schedule s({});
  const Tensor x = random_tensor<float>({1000}, 1), z = random_tensor<float>({1000}, 3);
  const Tensor out32 = random_tensor<float>({1000}, 2), out16 = cast(out32, DType::bf16);
  for (const Step& step : make_plan(s, Target::v, kDdim)) {
    const Tensor y32 = sampler_step(x, out32, z, step), y16 = sampler_step(x, out16, z, step);
    EXPECT_EQ(y16.dtype(), DType::f32);
    for (int64_t i = 0; i < 1000; ++i) {
      const double xi = x.data<float>()[i], zi = z.data<float>()[i];
      EXPECT_NEAR(y32.data<float>()[i], apply_step(step, xi, out32.data<float>()[i], zi), 1e-6);
      EXPECT_NEAR(y16.data<float>()[i], apply_step(step, xi, float(out16.data<bfloat16>()[i]), zi),
                  1e-6);
    }
  }
}

TEST(Sample, AStepWithoutItsNoiseIsRefused) {
  const auto plan = make_plan(Schedule({}), Target::eps, kDdpm);
  const Tensor x = zeros({2, 3}, DType::f32), none = zeros({0, 3}, DType::f32);
  EXPECT_THROW(sampler_step(x, x, {}, plan[0]), Error);
  EXPECT_NO_THROW(sampler_step(x, x, {}, plan.back())) << "the last step needs none";
  EXPECT_EQ(sampler_step(none, none, {}, plan.back()).numel(), 0);
}

TEST(Sample, ANanIsNotClampedAway) {
  const auto plan = make_plan(Schedule({}), Target::eps, kDdim);
  Tensor out = zeros({2}, DType::f32);
  out.data<float>()[1] = std::nanf("");
  const Tensor y = sampler_step(out.clone(), out, zeros({2}, DType::f32), plan[3]);
  EXPECT_TRUE(std::isfinite(y.data<float>()[0]));
  EXPECT_TRUE(std::isnan(y.data<float>()[1]));
}

/// A network that knows the answer, element by element, for one Gaussian per label; counts its
/// calls.
struct Oracle {
  const Schedule& schedule;
  std::vector<GaussianData> data;
  int64_t* calls = nullptr;

  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& labels) const {
    if (calls) ++*calls;
    Tensor out = empty_like(x);
    const int64_t per_image = x.numel() / std::max<int64_t>(x.dim(0), 1);
    for (int64_t i = 0; i < x.numel(); ++i) {
      const int64_t n = i / per_image;
      out.data<double>()[i] = data[size_t(labels.data<int64_t>()[n])].best_output(
          Target::eps, x.data<double>()[i], schedule.alpha_bar(t.data<int64_t>()[n]));
    }
    return out;
  }
};

TEST(Sample, LoopEqualsTheLoopOnNumbers) {
  const Schedule s({});
  const Oracle oracle{s, {{0.5, 0.04}}};
  const Shape shape{3, 2, 2, 1};
  const Tensor labels = zeros({3}, DType::i64), x = random_tensor<double>(shape, 5);
  for (const SamplerConfig& config : {kDdpm, kDdim}) {
    const auto plan = make_plan(s, Target::eps, config);
    int64_t told = 0, asked = 0;
    const Tensor y = sample([&](const Tensor& x, const Tensor& t) { return oracle(x, t, labels); },
                            plan, x, DType::f64,
                            [&](int64_t step) {
                              ++asked;
                              return random_tensor<double>(shape, uint64_t(100 + step));
                            },
                            [&](int64_t done) { EXPECT_EQ(done, ++told); });
    EXPECT_EQ(told, 10);
    EXPECT_EQ(asked, config.sampler == Sampler::ddpm ? 9 : 10 - (plan.back().sigma == 0));
    for (int64_t i = 0; i < x.numel(); ++i) {
      double v = x.data<double>()[i];
      for (size_t k = 0; k < plan.size(); ++k)
        v = apply_step(plan[k], v,
                       oracle.data[0].best_output(Target::eps, v, s.alpha_bar(plan[k].t)),
                       random_tensor<double>(shape, 100 + k).data<double>()[i]);
      EXPECT_NEAR(y.data<double>()[i], v, 1e-12);
    }
  }
}

TEST(Sample, GuidanceInOneBatchEqualsTwoPasses) {
  const Schedule s({});
  int64_t calls = 0;
  const Oracle oracle{s, {{0.5, 0.04}, {-0.5, 0.09}, {0, 1}}, &calls};
  const Tensor labels = from_vector<int64_t>({0, 1, 0}, {3});
  const Tensor none = full({3}, 2, DType::i64);
  const Tensor x = random_tensor<double>({3, 2, 1, 2}, 5), t = full({3}, 400, DType::i64);
  const Tensor c = oracle(x, t, labels), u = oracle(x, t, none);
  for (const double w : {0.0, 1.0, 3.0, 7.5}) {
    calls = 0;
    const Tensor g = guide(oracle, labels, 2, w)(x, t);
    EXPECT_EQ(calls, 1);
    for (int64_t i = 0; i < x.numel(); ++i) {
      const double uc = u.data<double>()[i], cc = c.data<double>()[i];
      if (w == 0 || w == 1) {
        EXPECT_EQ(g.data<double>()[i], w == 0 ? uc : cc) << w;
      }
      EXPECT_NEAR(g.data<double>()[i], guided(uc, cc, w), 1e-13);
    }
  }
}

TEST(Sample, AutoguidanceGoesAwayFromTheWeakerNetwork) {
  int64_t calls = 0;
  const auto network = [&calls](double a) -> Denoiser {
    return [a, &calls](const Tensor& x, const Tensor&) {
      ++calls;
      return scaled_sum(a, x, 0, x);
    };
  };
  const Tensor x = image_noise(3, 0, -1, {2, 3, 3, 1}, DType::f64);
  const Tensor t = full({2}, 7, DType::i64);
  for (const double w : {1.0, 1.5, 3.0}) {
    calls = 0;
    const Tensor y = autoguide(network(0.5), network(-2), w)(x, t);
    EXPECT_EQ(calls, w == 1 ? 1 : 2);
    for (int64_t i = 0; i < x.numel(); ++i)
      EXPECT_NEAR(y.data<double>()[i], guided(-2, 0.5, w) * x.data<double>()[i], 1e-13) << w;
  }
}

TEST(Sample, StepsThatAreNotGuidedAskTheOtherDenoiser) {
  const auto plan = make_plan(Schedule({}), Target::v,
                              {.steps = 10, .guidance_above = 0.25, .guidance_below = 0.75});
  std::vector<int64_t> guided, plain;
  const auto recording = [](std::vector<int64_t>& seen) -> Denoiser {
    return [&seen](const Tensor& x, const Tensor& t) {
      seen.push_back(t.data<int64_t>()[0]);
      return x;
    };
  };
  const Tensor x = image_noise(3, 0, -1, {1, 2, 2, 1}, DType::f64);
  sample(recording(guided), plan, x, DType::f64, nullptr, nullptr, recording(plain));
  EXPECT_EQ(guided, (std::vector<int64_t>{699, 599, 499, 399, 299}));
  EXPECT_EQ(plain, (std::vector<int64_t>{999, 899, 799, 199, 99}));
  guided.clear();
  sample(recording(guided), plan, x, DType::f64, nullptr);
  EXPECT_EQ(guided.size(), 10u) << "there is no other";
}

TEST(Sample, AnImageDoesNotDependOnItsBatch) {
  const Schedule s({});
  const Oracle oracle{s, {{0.5, 0.04}}};
  const auto network = [&](const Tensor& x, const Tensor& t) {
    return oracle(x, t, zeros({x.dim(0)}, DType::i64));
  };
  for (const SamplerConfig& config : {kDdpm, kDdim}) {
    const auto plan = make_plan(s, Target::eps, config);
    const auto draw = [&](int64_t first, int64_t n, uint64_t seed = 4) {
      return sample(network, plan, Shape{n, 3, 3, 2}, DType::f64, seed, first);
    };
    const Tensor all = draw(0, 8), alone = draw(5, 1), some = draw(4, 3), other = draw(0, 8, 5);
    for (int64_t i = 0; i < 18; ++i) {
      EXPECT_EQ(alone.data<double>()[i], all.data<double>()[5 * 18 + i]);
      EXPECT_EQ(some.data<double>()[18 + i], all.data<double>()[5 * 18 + i]);
      EXPECT_NE(alone.data<double>()[i], all.data<double>()[4 * 18 + i]);
      EXPECT_NE(other.data<double>()[i], all.data<double>()[i]);
    }
  }
}

// Many one-pixel images of N(m, s^2) data: mean and variance of what comes out, within five
// standard errors of what the affine recursion of the plan says.
TEST(Sample, MomentsOfGaussianSamples) {
  const Schedule s({});
  const GaussianData data{0.3, 0.25};
  const Oracle oracle{s, {data}};
  constexpr int64_t kImages = 4000;
  const Tensor labels = zeros({kImages}, DType::i64);
  for (SamplerConfig config : {kDdpm, kDdim}) {
    config.steps = 25;
    config.clip.reset();
    const auto plan = make_plan(s, Target::eps, config);
    double mean = 0, variance = 1;
    for (const Step& step : plan) {
      const auto f = [&](double x) {
        return apply_step(step, x, data.best_output(Target::eps, x, s.alpha_bar(step.t)), 0);
      };
      const double scale = f(1) - f(0);
      mean = f(mean);
      variance = scale * scale * variance + step.sigma * step.sigma;
    }
    const Tensor y = sample([&](const Tensor& x, const Tensor& t) { return oracle(x, t, labels); },
                            plan, Shape{kImages, 1, 1, 1}, DType::f64, 11, 0);
    double sum = 0, squares = 0;
    for (const double v : y.span<double>()) {
      sum += v;
      squares += (v - mean) * (v - mean);
    }
    EXPECT_NEAR(sum / kImages, mean, 5 * std::sqrt(variance / kImages));
    EXPECT_NEAR(squares / kImages, variance, 5 * variance * std::sqrt(2.0 / kImages));
  }
}

}  // namespace
}  // namespace noisette::diffusion
