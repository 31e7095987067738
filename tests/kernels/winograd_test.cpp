#include "kernels/cpu/winograd.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/onednn.h"
#include "tests/kernels/conv_cases.h"
#include "tests/kernels/values.h"

namespace noisette {
namespace {

using test::cast;
using test::ConvCase;
using test::random_values;
using test::same3;
using test::value;

template <class T>
double rms_error(const std::vector<T>& got, const std::vector<double>& want) {
  double sum = 0;
  for (size_t i = 0; i < got.size(); ++i) sum += std::pow(value(got[i]) - want[i], 2);
  return std::sqrt(sum / double(got.size()));
}
double rms(const std::vector<double>& v) { return rms_error(std::vector<double>(v.size()), v); }

/// The three passes through T, with everything they can add.
template <class T>
struct Results {
  std::vector<T> y, dx;
  std::vector<float> dw;
};

/// Normal draws that f32 holds and bf16 does not: products of bf16 numbers are exact in f32, which
/// would flatter the form that does not transform them first.
std::vector<double> f32_values(int64_t n, uint64_t seed) {
  std::mt19937_64 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<double> v(static_cast<size_t>(n));
  for (double& x : v) x = normal(rng);
  return v;
}

class Winograd : public testing::TestWithParam<ConvCase> {
 protected:
  const ConvDims d = GetParam().d;
  std::vector<double> x, weight, bias, residual, dy, start_w;

  void draw(std::vector<double> (*values)(int64_t, uint64_t)) {
    x = values(d.x_numel(), 1), weight = values(d.weight_numel(), 2), bias = values(d.out_c, 3);
    residual = values(d.y_numel(), 4), dy = values(d.y_numel(), 5);
    start_w = values(d.weight_numel(), 6);
  }

  Results<double> exact() const {
    Results<double> r{residual, x, {}};
    cpu::conv2d_forward(x.data(), weight.data(), bias.data(), r.y.data(), r.y.data(), d);
    cpu::conv2d_backward_data(dy.data(), weight.data(), r.dx.data(), r.dx.data(), d);
    return r;
  }
  std::vector<double> exact_dw() const {
    std::vector<double> dw = start_w;
    cpu::conv2d_backward_weight(x.data(), dy.data(), dw.data(), true, d);
    return dw;
  }

  /// `in_place` adds to what the results hold, otherwise to a tensor of its own.
  template <class T>
  Results<T> by_winograd(bool in_place) const {
    const auto xt = cast<T>(x), wt = cast<T>(weight), dyt = cast<T>(dy), rt = cast<T>(residual);
    const auto bt = cast<float>(bias);
    const std::vector<double> nothing(residual.size(), 1234.5), nor_here(x.size(), 1234.5);
    Results<T> r{in_place ? rt : cast<T>(nothing), in_place ? xt : cast<T>(nor_here),
                 cast<float>(start_w)};
    cpu::winograd_forward(xt.data(), wt.data(), bt.data(), in_place ? r.y.data() : rt.data(),
                          r.y.data(), d);
    cpu::winograd_backward_data(dyt.data(), wt.data(), in_place ? r.dx.data() : xt.data(),
                                r.dx.data(), d);
    cpu::winograd_backward_weight(xt.data(), dyt.data(), r.dw.data(), true, d);
    return r;
  }

  Results<float> by_definition() const {
    const auto xt = cast<float>(x), wt = cast<float>(weight), dyt = cast<float>(dy);
    const auto bt = cast<float>(bias);
    Results<float> r{cast<float>(residual), cast<float>(x), cast<float>(start_w)};
    std::vector<float> dx(x.size());
    cpu::onednn::conv_forward(xt.data(), wt.data(), bt.data(), r.y.data(), true, d);
    cpu::onednn::conv_backward_data(dyt.data(), wt.data(), dx.data(), d);
    for (size_t i = 0; i < dx.size(); ++i) r.dx[i] += dx[i];
    cpu::onednn::conv_backward_weight(xt.data(), dyt.data(), r.dw.data(), true, d);
    return r;
  }
};

// At most four times the root mean square error of the library's direct form, and where that has
// sums of one term and is exact, one rounding. Measured with AVX2: at most 3.6 times.
constexpr double kTimesDirect = 4, kRounding = 0x1p-23;

TEST_P(Winograd, F32AsAccurateAsTheDirectForm) {
  draw(f32_values);
  const Results<double> want = exact();
  const std::vector<double> want_dw = exact_dw();
  const Results<float> direct = by_definition();
  for (const bool in_place : {false, true}) {
    const Results<float> got = by_winograd<float>(in_place);
    const auto check = [&](const char* what, double error, double of_direct, double size) {
      EXPECT_LE(error, std::max(kTimesDirect * of_direct, kRounding * size))
          << what << ": direct " << of_direct << ", size " << size;
    };
    check("y", rms_error(got.y, want.y), rms_error(direct.y, want.y), rms(want.y));
    check("dx", rms_error(got.dx, want.dx), rms_error(direct.dx, want.dx), rms(want.dx));
    check("dw", rms_error(got.dw, want_dw), rms_error(direct.dw, want_dw), rms(want_dw));
  }
}

// Inputs are bf16 already; what is left is f32 arithmetic and one rounding, by 2^-9 of the value at
// most.
TEST_P(Winograd, Bf16RoundsOnce) {
  draw(random_values);
  const Results<double> want = exact();
  const std::vector<double> want_dw = exact_dw();
  const Results<bfloat16> got = by_winograd<bfloat16>(true);
  const auto check = [](const auto& values, const std::vector<double>& exact, const char* what) {
    const double sums = 2e-5 * rms(exact);
    for (size_t i = 0; i < exact.size(); ++i)
      ASSERT_NEAR(value(values[i]), exact[i], 0x1p-8 * std::abs(exact[i]) + sums)
          << what << " at " << i;
  };
  check(got.y, want.y, "y");
  check(got.dx, want.dx, "dx");
  EXPECT_LE(rms_error(got.dw, want_dw), 5e-6 * rms(want_dw));
}

TEST_P(Winograd, SameForAnyNumberOfThreads) {
  draw(f32_values);
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const Results<float> one = by_winograd<float>(false);
  for (const int n : {2, 3, 7}) {
    omp_set_num_threads(n);
    const Results<float> more = by_winograd<float>(false);
    EXPECT_EQ(one.y, more.y) << n << " threads";
    EXPECT_EQ(one.dx, more.dx) << n << " threads";
    EXPECT_EQ(one.dw, more.dw) << n << " threads";
  }
  omp_set_num_threads(threads);
}

/// Only whole lines of memory are written past the caches: at a line's begin, and not at the
/// element behind it.
void check_replacing(const ConvDims& d) {
  constexpr size_t kLine = 64;
  const auto xt = cast<float>(f32_values(d.x_numel(), 1));
  const auto dyt = cast<float>(f32_values(d.y_numel(), 2));
  const size_t numel = size_t(d.weight_numel());
  std::vector<float> added(numel), room(numel + 2 * kLine, 1234.5f);
  cpu::winograd_backward_weight(xt.data(), dyt.data(), added.data(), true, d);
  void* line = room.data();
  size_t bytes = room.size() * sizeof(float);
  auto* const begin = static_cast<float*>(std::align(kLine, sizeof(float), line, bytes));
  for (float* const fresh : {begin, begin + 1}) {
    cpu::winograd_backward_weight(xt.data(), dyt.data(), fresh, false, d);
    EXPECT_EQ(std::vector<float>(fresh, fresh + numel), added);
  }
}
TEST_P(Winograd, WeightGradientReplacesWhatWasThere) { check_replacing(d); }
TEST(WinogradWeight, LargerThanTheCaches) { check_replacing(same3(1, 5, 5, 960, 976)); }

/// What the upsampling convolution is made of.
ConvDims same2(int64_t batch, int64_t h, int64_t w, int64_t in, int64_t out) {
  return {batch, h, w, in, out, 2, 2, 1, 1, 1, 1, 1};
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Winograd,
    testing::Values(
        ConvCase{"OnePixel", same3(1, 1, 1, 1, 1)},
        ConvCase{"OnePixelManyChannels", same3(3, 1, 1, 64, 17)},
        ConvCase{"Row", same3(2, 1, 9, 3, 17)}, ConvCase{"Column", same3(1, 7, 2, 17, 3)},
        ConvCase{"JustATile", same3(1, 4, 4, 64, 64)},
        ConvCase{"OneMoreThanATile", same3(2, 5, 5, 17, 64)},
        ConvCase{"Odd", same3(1, 13, 10, 64, 3)}, ConvCase{"ManyChannels", same3(1, 6, 7, 320, 64)},
        ConvCase{"ManyOutputs", same3(1, 6, 7, 17, 320)},
        // Pixels of a patch are looked up for 960 channels at a time.
        ConvCase{"MoreThanAStretch", same3(2, 6, 9, 973, 17)},
        ConvCase{"MoreThanAStretchOfOutputs", same3(2, 6, 9, 17, 973)},
        ConvCase{"LargeFiltersAreShared", same3(2, 5, 6, 320, 256)},
        // One tile is more than a chunk's bytes, and the filters are not large enough to be shared.
        ConvCase{"OneTileIsMoreThanAChunk", same3(1, 5, 5, 12, 4600)},
        // Few tiles: eight, a half, a quarter of them.
        ConvCase{"FifteenTiles", same3(1, 12, 20, 40, 56)},
        // The last sums that are short, and the first that are not.
        ConvCase{"ShortSums", same3(7, 8, 9, 28, 24)},
        ConvCase{"LongSums", same3(3, 16, 16, 29, 32)},
        ConvCase{"FewestPixelsOfLargeTiles", same3(2, 16, 16, 48, 80)},
        ConvCase{"SeveralChunks", same3(9, 14, 15, 32, 48)},
        // The weight gradient's parts: all threads work on each of them where there are more.
        ConvCase{"TwoParts", same3(17, 14, 15, 32, 48)},
        ConvCase{"FourParts", same3(33, 14, 15, 20, 12)},
        ConvCase{"UNetLayer", same3(4, 16, 16, 128, 64)},
        // In bf16 too, and its last panel is not whole.
        ConvCase{"FiltersOutOfTheCaches", same3(2, 12, 12, 440, 1064)},
        ConvCase{"Upsampling", same2(2, 7, 7, 64, 48)},
        ConvCase{"UpsamplingOnePixel", same2(1, 1, 1, 3, 8)},
        ConvCase{"UpsamplingOdd", same2(3, 5, 8, 17, 20)},
        ConvCase{"UpsamplingLayer", same2(2, 14, 14, 64, 256)},
        ConvCase{"TwoTapsNoPadding", {1, 6, 4, 24, 16, 2, 2, 1, 0, 0, 0, 0}},
        ConvCase{"TwoTapsRightBottom", {1, 6, 5, 16, 24, 2, 2, 1, 0, 0, 1, 1}},
        ConvCase{"NoPadding", {2, 9, 6, 16, 16, 3, 3, 1, 0, 0, 0, 0}},
        ConvCase{"NoPaddingOneOutput", {1, 3, 3, 8, 40, 3, 3, 1, 0, 0, 0, 0}},
        ConvCase{"RightAndBottom", {1, 8, 7, 20, 16, 3, 3, 1, 0, 0, 1, 1}},
        ConvCase{"LeftAndTop", {1, 7, 8, 16, 20, 3, 3, 1, 1, 1, 0, 0}},
        ConvCase{"PaddingOfTwo", {1, 5, 5, 16, 16, 3, 3, 1, 2, 2, 2, 2}}),
    [](const auto& info) { return info.param.name; });

TEST(WinogradPays, ByShape) {
  const auto forward = [](const ConvDims& d) { return cpu::winograd_pays(ConvPass::forward, d); };
  EXPECT_TRUE(forward(same3(16, 32, 32, 128, 128)));
  EXPECT_TRUE(forward(same3(32, 7, 7, 64, 64)));
  EXPECT_FALSE(forward(same3(64, 28, 28, 1, 64))) << "one channel fills no vector";
  EXPECT_FALSE(forward(same3(1, 4, 4, 1280, 1280))) << "transforming the filters costs more";
  EXPECT_FALSE(forward(same3(16, 1, 1, 256, 256))) << "one pixel of a tile of sixteen is wanted";
  ConvDims d = same3(16, 32, 32, 128, 128);
  d.stride = 2;
  EXPECT_FALSE(forward(d));
  d.stride = 1, d.kernel_w = 5;
  EXPECT_FALSE(forward(d));
  EXPECT_TRUE(forward(same2(32, 14, 14, 64, 256)));
  const ConvDims many = same3(16, 32, 32, 128, 128);
  EXPECT_FALSE(cpu::winograd_pays(ConvPass::forward, many, 4)) << "a direct form that is faster";
}

}  // namespace
}  // namespace noisette
