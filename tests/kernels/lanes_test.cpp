// Vectors of kernels/cpu/lanes.h against their scalar counterparts.
#include "kernels/cpu/lanes.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

#include "kernels/cpu/vector_math.h"

namespace noisette {
namespace {

using namespace cpu::lanes;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(Lanes, RoundToBf16LikeTheScalarConversion) {
  std::mt19937 engine(1);
  std::vector<float> x = {0.0f,       -0.0f,   1.0f,     kInfinity,
                          -kInfinity, 3.4e38f, -3.4e38f, 1.17549435e-38f};
  for (const uint32_t tie : {0x3f808000u, 0x3f818000u, 0x3f808001u, 0x3f807fffu, 0xbf808000u})
    x.push_back(std::bit_cast<float>(tie));
  while (x.size() % kLanes != 0 || x.size() < 100'000) {
    const float v = std::bit_cast<float>(uint32_t(engine()));
    if (std::isnormal(v)) x.push_back(v);
  }
  for (size_t i = 0; i < x.size(); i += kLanes) {
    bfloat16 y[kLanes];
    write(y, load<Vec>(x.data() + i));
    for (size_t l = 0; l < kLanes; ++l)
      ASSERT_EQ(y[l].bits, bfloat16(x[i + l]).bits) << std::bit_cast<uint32_t>(x[i + l]);
  }
}

TEST(Lanes, KeepNan) {
  bfloat16 y[kLanes];
  write(y, splat(kNan));
  EXPECT_TRUE(std::isnan(float(y[0])));
  EXPECT_TRUE(std::isnan(sigmoid<float>(splat(kNan))[0]));
  EXPECT_TRUE(std::isnan(sigmoid<bfloat16>(splat(kNan))[0]));
}

TEST(Lanes, ReadAndWriteNoMoreThanAsked) {
  for (int64_t n = 0; n <= kLanes; ++n) {
    std::vector<bfloat16> x(size_t(n), bfloat16(3.0f)), y(size_t(n + 1), bfloat16(7.0f));
    const Vec v = read(x.data(), n);  // an exact allocation: a sanitizer sees a read beyond it
    for (int64_t l = 0; l < kLanes; ++l) EXPECT_EQ(v[l], l < n ? 3.0f : 0.0f);
    write(y.data(), v, n);
    for (int64_t l = 0; l <= n; ++l) EXPECT_EQ(float(y[size_t(l)]), l < n ? 3.0f : 7.0f);
  }
}

/// Largest error of sigmoid<T> relative to the value over [-80, 80], in units of unit(x).
template <class T, class F>
double sigmoid_error(const F& unit) {
  double worst = 0;
  for (int i = -80'000; i <= 80'000; ++i) {
    const float x = float(i) * 1e-3f;
    const double exact = 1 / (1 + std::exp(-double(x)));
    const double error = std::fabs(double(sigmoid<T>(splat(x))[0]) / exact - 1);
    worst = std::max(worst, error / unit(x));
  }
  return worst;
}

TEST(Lanes, SigmoidIsAsAccurateAsItsTypeCanShow) {
  // Rounding x already changes the value of a negative one by up to |x| 2^-24.
  const auto rounding = [](float x) { return 2 + std::max(0.0f, -x); };
  EXPECT_LE(sigmoid_error<float>(rounding), 0x1p-23);  // measured 2^-23.6
  // Measured 2^-14.2; half a unit of bf16 is 2^-9.
  EXPECT_LE(sigmoid_error<bfloat16>([](float) { return 1; }), 0x1p-13);
}

TEST(Lanes, SigmoidForSumsHasTheAccuracyOfF32) {
  double worst = 0;
  for (int i = -16'000; i <= 16'000; ++i) {
    const float x = float(i) * 1e-3f;
    const double exact = 1 / (1 + std::exp(-double(x)));
    worst = std::max(worst, std::fabs(double(sigmoid_for_sums<bfloat16>(splat(x))[0]) / exact - 1));
  }
  EXPECT_LE(worst, 0x1p-19);  // measured 2^-20.0
  EXPECT_TRUE(std::isnan(sigmoid_for_sums<bfloat16>(splat(kNan))[0]));
  EXPECT_NEAR(sigmoid_for_sums<bfloat16>(splat(-1e30f))[0], 0.0f, 1e-29);
  EXPECT_EQ(sigmoid_for_sums<bfloat16>(splat(1e30f))[0], 1.0f);
}

TEST(Lanes, SigmoidFarOut) {
  for (const float x : {100.0f, 1e4f, 1e30f}) {
    EXPECT_EQ(sigmoid<float>(splat(x))[0], 1.0f);
    EXPECT_NEAR(sigmoid<bfloat16>(splat(x))[0], 1.0f, 0x1p-13);
    EXPECT_NEAR(sigmoid<float>(splat(-x))[0], 0.0f, 1e-37);
    EXPECT_NEAR(sigmoid<bfloat16>(splat(-x))[0], 0.0f, 1e-37);
  }
}

TEST(Lanes, TransposeExchangesRowsAndLanes) {
  Vec m[kLanes];
  for (int i = 0; i < kLanes; ++i)
    for (int l = 0; l < kLanes; ++l) m[i][l] = float(100 * i + l);
  transpose(m);
  for (int i = 0; i < kLanes; ++i)
    for (int l = 0; l < kLanes; ++l) EXPECT_EQ(m[i][l], float(100 * l + i));
}

}  // namespace
}  // namespace noisette
