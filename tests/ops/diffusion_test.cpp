#include "framework/ops/diffusion.h"

#include "framework/autograd/autograd.h"
#include "framework/ops/elementwise.h"
#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::message_of;
using testing_support::normals;
using testing_support::tensor_of;
using testing_support::values_of;

const std::vector<double> kSignal{0.9, 0.6, 0.1}, kNoise{0.4, 0.8, 0.99};

NoiseSchedule schedule_on(Device device) {
  const auto table = [&](const std::vector<double>& v) { return from_vector(v, {3}, device); };
  return {table(kSignal), table(kNoise), table({-0.4, -0.8, -0.99}), table(kSignal)};
}

TEST(Diffusion, AddsNoiseByTimestep) {
  std::mt19937 engine(5);
  const Shape shape{3, 5, 7};
  const auto x0 = normals(105, engine, 0, 1), eps = normals(105, engine, 0, 1);
  const std::vector<int64_t> t{2, 0, 1};
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const DType full = accumulator_of(dtype);
    const NoisyBatch b = add_noise(tensor_of(x0, shape, full), tensor_of(eps, shape, full),
                                   from_vector(t, {3}), schedule_on(kCpu), dtype);
    EXPECT_EQ(b.x_t.dtype(), dtype);
    EXPECT_EQ(b.target.dtype(), full);
    const auto x_t = values_of(b.x_t), target = values_of(b.target);
    const double rounding = dtype == DType::f64 ? 1e-15 : dtype == DType::f32 ? 4e-7 : 8e-3;
    for (size_t i = 0; i < x0.size(); ++i) {
      const size_t k = size_t(t[i / 35]);
      EXPECT_NEAR(x_t[i], kSignal[k] * x0[i] + kNoise[k] * eps[i], rounding);
      EXPECT_NEAR(target[i], kSignal[k] * eps[i] - kNoise[k] * x0[i],
                  dtype == DType::f64 ? 1e-15 : 4e-7);
    }
  }
}

TEST(Diffusion, ATimestepOutsideTheScheduleIsNan) {
  const Tensor x = full({2, 2}, 1, DType::f32), t = from_vector<int64_t>({3, -1}, {2});
  for (const double v : values_of(add_noise(x, x, t, schedule_on(kCpu), DType::f32).x_t))
    EXPECT_TRUE(std::isnan(v));
  for (const double v : values_of(gather_table(schedule_on(kCpu).signal, t)))
    EXPECT_TRUE(std::isnan(v));
}

TEST(Diffusion, GathersWeights) {
  const Tensor t = from_vector<int64_t>({1, 1, 0}, {3});
  EXPECT_EQ(values_of(gather_table(schedule_on(kCpu).signal, t, DType::f64)),
            (std::vector<double>{0.6, 0.6, 0.9}));
}

TEST(Diffusion, SamplerStepClampsAndCombines) {
  const SamplerCoefficients c{.x0_from_x = 2,
                              .x0_from_out = -1,
                              .clip = 1,
                              .to_x0 = 0.5,
                              .to_x = 0.25,
                              .to_out = 3,
                              .sigma = 0.1};
  const Tensor x = from_vector<double>({0.25, 4, -4}, {3}),
               out = from_vector<double>({0.5, 1, 1}, {3});
  const Tensor z = from_vector<double>({1, 0, -2}, {3});
  const auto y = values_of(sampler_step(x, out, z, c));
  EXPECT_NEAR(y[0], 0.5 * 0 + 0.0625 + 1.5 + 0.1, 1e-15);
  EXPECT_NEAR(y[1], 0.5 * 1 + 1 + 3, 1e-15);
  EXPECT_NEAR(y[2], 0.5 * -1 - 1 + 3 - 0.2, 1e-15);
  SamplerCoefficients quiet = c;
  quiet.sigma = 0;
  quiet.clip = std::numeric_limits<double>::infinity();
  EXPECT_NEAR(values_of(sampler_step(x, out, Tensor(), quiet))[1], 0.5 * 7 + 1 + 3, 1e-15);
  EXPECT_NE(message_of([&] { sampler_step(x, out, Tensor(), c); }).find("sigma 0.1"),
            std::string::npos);
}

TEST(Diffusion, OpsWithoutAGradientThrowWhenABackwardReachesThem) {
  const auto schedule = schedule_on(kCpu);
  const Tensor x = zeros({3, 2}, DType::f32).requires_grad(), t = zeros({3}, DType::i64);
  const auto thrown = [](const Tensor& y) { return message_of([&] { backward(sum(y)); }); };
  EXPECT_NE(thrown(sampler_step(x, x, x, SamplerCoefficients{})).find("sampler_step"),
            std::string::npos);
  const Tensor noisy = add_noise(x, x, t, schedule, DType::f32).x_t;
  EXPECT_NE(thrown(noisy).find("add_noise"), std::string::npos);
}

TEST(Diffusion, WorksOnMeta) {
  const Tensor x = empty({3, 2}, DType::f32, kMeta), t = empty({3}, DType::i64, kMeta);
  EXPECT_EQ(add_noise(x, x, t, schedule_on(kMeta), DType::bf16).x_t.dtype(), DType::bf16);
  EXPECT_EQ(gather_table(schedule_on(kMeta).signal, t).shape(), (Shape{3}));
  EXPECT_EQ(sampler_step(x, empty({3, 2}, DType::bf16, kMeta), x, SamplerCoefficients{}).dtype(),
            DType::f32);
}

}  // namespace
}  // namespace noisette
