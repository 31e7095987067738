#include "kernels/cpu/vector_math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace noisette::cpu {
namespace {

/// Distance from the exact value in units of the last place of the f32 nearest to it.
double ulps(float got, double exact) {
  const float nearest = std::max(std::fabs(float(exact)), std::numeric_limits<float>::min());
  const double unit = double(std::nextafter(nearest, INFINITY)) - double(nearest);
  return std::fabs(double(got) - exact) / unit;
}

/// The largest error of f over `count` points of [lo, hi], computed by the vectorised loop.
template <class F, class G>
double worst(double lo, double hi, F f, G exact) {
  constexpr int kCount = 400001;
  std::vector<float> x(kCount), y(kCount);
  for (int i = 0; i < kCount; ++i) x[size_t(i)] = float(lo + (hi - lo) * i / (kCount - 1));
  const float* in = x.data();
  float* out = y.data();
#pragma omp simd
  for (int i = 0; i < kCount; ++i) out[i] = f(in[i]);
  double error = 0;
  for (int i = 0; i < kCount; ++i) error = std::max(error, ulps(out[i], exact(double(in[i]))));
  return error;
}

// Bounds: measured worst case over the same grid, rounded up to the next half ulp.
TEST(VectorMath, IsWithinAFewUlpOfTheExactValue) {
  auto exp_f = [](float x) { return vexp(x); };
  auto exp_d = [](double x) { return std::exp(x); };
  EXPECT_LE(worst(-87, 88.7, exp_f, exp_d), 1.5);
  EXPECT_LE(worst(-1, 1, exp_f, exp_d), 1.5);
  EXPECT_LE(worst(
                1e-6, 20, [](float x) { return vlog(x); }, [](double x) { return std::log(x); }),
            2.0);
  EXPECT_LE(worst(
                -80, 80, [](float x) { return vsigmoid(x); },
                [](double x) { return 1 / (1 + std::exp(-x)); }),
            2.5);
  auto tanh_f = [](float x) { return vtanh(x); };
  auto tanh_d = [](double x) { return std::tanh(x); };
  EXPECT_LE(worst(-20, 20, tanh_f, tanh_d), 2.0);
  EXPECT_LE(worst(-0.7, 0.7, tanh_f, tanh_d), 2.0);
  auto erf_f = [](float x) { return verf(x); };
  auto erf_d = [](double x) { return std::erf(x); };
  EXPECT_LE(worst(-6, 6, erf_f, erf_d), 2.0);
  EXPECT_LE(worst(-1e-3, 1e-3, erf_f, erf_d), 2.0);
}

TEST(VectorMath, KeepsRelativeAccuracyInTheTailOfTheNormal) {
  double error = 0;
  for (float x = -12; x < 6; x += 1e-3f) {
    const double exact = 0.5 * std::erfc(-double(x) * std::sqrt(0.5));
    error = std::max(error, std::fabs(double(vnormal_cdf(x)) - exact) / exact);
  }
  EXPECT_LE(error, 1e-5);  // x^2 / 2 = 72 is rounded before exp: 72 * 2^-24 = 4.3e-6
}

TEST(VectorMath, SineAndCosineOfTurns) {
  double error = 0;
  for (int i = 0; i <= 1 << 16; ++i) {
    const float u = float(i) / float(1 << 16);
    float s = 0, c = 0;
    vsincos_turns(u, s, c);
    error = std::max({error, std::fabs(s - std::sin(2 * M_PI * double(u))),
                      std::fabs(c - std::cos(2 * M_PI * double(u)))});
  }
  EXPECT_LE(error, 1.5e-7);
}

TEST(VectorMath, HandlesTheEndsOfTheRange) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(vexp(-inf), 0.0f);
  EXPECT_EQ(vexp(inf), inf);
  EXPECT_EQ(vexp(0.0f), 1.0f);
  EXPECT_EQ(vexp(-200.0f), 0.0f);
  EXPECT_NEAR(vexp(-100.0f) / std::exp(-100.0f), 1.0, 0.02);  // a denormal keeps few bits
  EXPECT_EQ(vsigmoid(inf), 1.0f);
  EXPECT_LT(vsigmoid(-inf), 1e-37f);
  EXPECT_EQ(vtanh(inf), 1.0f);
  EXPECT_EQ(vtanh(-inf), -1.0f);
  EXPECT_EQ(verf(inf), 1.0f);
  for (const float nan : {std::nanf(""), -std::nanf("")}) {
    EXPECT_TRUE(std::isnan(vexp(nan)));
    EXPECT_TRUE(std::isnan(vsigmoid(nan)));
    EXPECT_TRUE(std::isnan(vtanh(nan)));
    EXPECT_TRUE(std::isnan(verf(nan)));
    EXPECT_TRUE(std::isnan(vnormal_cdf(nan)));
  }
}

}  // namespace
}  // namespace noisette::cpu
