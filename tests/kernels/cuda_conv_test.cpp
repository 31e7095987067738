// Convolutions on CUDA against the f64 reference: by tiles, around their edges; few channels on
// one side; and where the plain kernels serve.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/conv.h"
#include "kernels/cuda/runtime.h"
#include "tests/kernels/conv_cases.h"
#include "tests/kernels/on_device.h"
#include "tests/kernels/values.h"

#ifdef NOISETTE_CUDA

namespace noisette {
namespace {

using test::cast;
using test::ConvCase;
using test::OnDevice;
using test::random_values;
using test::same3;

/// A row of the residual for each sample.
template <class T>
void check_per_sample(const ConvDims& d, double rounding, double sums) {
  const int64_t pixels = d.out_h() * d.out_w();
  const auto x = random_values(d.x_numel(), 1), weight = random_values(d.weight_numel(), 2);
  const auto bias = random_values(d.out_c, 3), rows = random_values(d.batch * d.out_c, 4);
  std::vector<double> want(size_t(d.y_numel()));
  cpu::conv2d_forward(x.data(), weight.data(), bias.data(), rows.data(), want.data(), d, pixels);
  const OnDevice on_x(cast<T>(x)), on_weight(cast<T>(weight)), on_rows(cast<T>(rows)),
      y(std::vector<T>(want.size()));
  const OnDevice on_bias(cast<float>(bias));
  cuda::conv2d_forward(on_x.get(), on_weight.get(), on_bias.get(), on_rows.get(), y.get(), d,
                       pixels);
  test::expect_close(y.back(), want, rounding, sums, "y");
}

class CudaConv : public test::NeedsCuda<testing::TestWithParam<ConvCase>> {};
class CudaConvOfFew : public CudaConv {};

/// All three directions in T; results may be off by `rounding` of themselves and by `sums`.
template <class T>
void check_against_f64(const ConvDims& d, double rounding, double sums) {
  const auto x = random_values(d.x_numel(), 1), weight = random_values(d.weight_numel(), 2);
  const auto bias = random_values(d.out_c, 3), dy = random_values(d.y_numel(), 4);
  const auto residual = random_values(d.y_numel(), 5), start = random_values(d.weight_numel(), 6);
  std::vector<double> y(residual), dx(x), dw(start);
  cpu::conv2d_forward(x.data(), weight.data(), bias.data(), y.data(), y.data(), d);
  cpu::conv2d_backward_data(dy.data(), weight.data(), dx.data(), dx.data(), d);
  cpu::conv2d_backward_weight(x.data(), dy.data(), dw.data(), true, d);

  const OnDevice on_x(cast<T>(x)), on_weight(cast<T>(weight)), on_dy(cast<T>(dy)),
      on_y(cast<T>(residual)), on_dx(cast<T>(x));
  const OnDevice on_bias(cast<float>(bias)), on_dw(cast<float>(start));
  cuda::conv2d_forward(on_x.get(), on_weight.get(), on_bias.get(), on_y.get(), on_y.get(), d);
  cuda::conv2d_backward_data(on_dy.get(), on_weight.get(), on_dx.get(), on_dx.get(), d);
  cuda::conv2d_backward_weight(on_x.get(), on_dy.get(), on_dw.get(), true, d);
  const auto check = [&](const auto& got, const std::vector<double>& want, double of_result,
                         const char* what) {
    for (std::size_t i = 0; i < want.size(); ++i)
      ASSERT_NEAR(double(float(got[i])), want[i], of_result * std::abs(want[i]) + sums)
          << what << " at " << i;
  };
  check(on_y.back(), y, rounding, "y");
  check(on_dx.back(), dx, rounding, "dx");
  check(on_dw.back(), dw, 1e-6, "dw");
}

TEST_P(CudaConv, Bf16MatchesF64) {
  // Products of bf16 numbers are exact in f32; sums of so many terms round in f32, results once to
  // bf16.
  check_against_f64<bfloat16>(GetParam().d, 0x1p-8, 2e-4);
}
TEST_P(CudaConv, Bf16PerSample) { check_per_sample<bfloat16>(GetParam().d, 0x1p-8, 2e-4); }
TEST_P(CudaConv, F32PerSample) { check_per_sample<float>(GetParam().d, 1e-6, 1e-4); }
TEST_P(CudaConv, F32MatchesF64) { check_against_f64<float>(GetParam().d, 1e-6, 1e-4); }
TEST_P(CudaConv, Tf32MatchesF64) {
  cuda::allow_tf32(true);
  // Factors of size one are off by up to 2^-11, sums by that times the root of their length.
  check_against_f64<float>(GetParam().d, 1e-6, 0x1p-10 * 4 * std::sqrt(3000.));
  cuda::allow_tf32(false);
}

TEST_P(CudaConvOfFew, Bf16MatchesF64) { check_against_f64<bfloat16>(GetParam().d, 0x1p-8, 2e-4); }
TEST_P(CudaConvOfFew, Bf16PerSample) { check_per_sample<bfloat16>(GetParam().d, 0x1p-8, 2e-4); }
TEST_P(CudaConvOfFew, F32MatchesF64) { check_against_f64<float>(GetParam().d, 1e-6, 2e-4); }

INSTANTIATE_TEST_SUITE_P(
    Shapes, CudaConvOfFew,
    testing::Values(
        ConvCase{"FirstLayer", same3(2, 9, 7, 3, 72)}, ConvCase{"LastLayer", same3(2, 9, 7, 72, 3)},
        ConvCase{"FromOne", same3(3, 5, 6, 1, 8)}, ConvCase{"ToOne", same3(2, 7, 20, 136, 1)},
        ConvCase{"FromTwo", same3(1, 4, 4, 2, 16)},
        ConvCase{"FromFourToSeveralTiles", same3(1, 5, 6, 4, 264)},
        ConvCase{"ToFourFromSeveralTiles", same3(1, 5, 6, 264, 4)},
        ConvCase{"OnePixel", same3(2, 1, 1, 3, 8)}, ConvCase{"WidestRow", same3(1, 3, 128, 3, 8)},
        ConvCase{"WidestRowBack", same3(1, 3, 128, 8, 3)},
        ConvCase{"Strips", same3(2, 5, 131, 3, 72)},
        ConvCase{"StripsBack", same3(2, 5, 131, 72, 3)},
        ConvCase{"WholeStripsBack", same3(1, 12, 256, 8, 3)},
        ConvCase{"AsymmetricStrips", {1, 3, 140, 2, 8, 3, 3, 1, 0, 2, 1, 0}},
        ConvCase{"AsymmetricStripsBack", {1, 3, 140, 8, 2, 3, 3, 1, 2, 0, 0, 1}},
        ConvCase{"SeveralRowsOfABlock", same3(40, 11, 5, 3, 8)},
        ConvCase{"SeveralRowsBack", same3(40, 11, 5, 8, 3)},
        ConvCase{"Asymmetric", {1, 6, 7, 3, 8, 3, 3, 1, 0, 1, 2, 0}},
        ConvCase{"AsymmetricBack", {1, 6, 7, 8, 3, 3, 3, 1, 2, 0, 1, 1}}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Shapes, CudaConv,
    testing::Values(ConvCase{"OddMap", same3(2, 9, 7, 16, 24)},
                    ConvCase{"Tiles", same3(1, 16, 16, 40, 136)},
                    ConvCase{"FewPixelsManyChannels", same3(2, 4, 4, 320, 64)},
                    ConvCase{"ManyPixels", same3(3, 20, 20, 8, 16)},
                    ConvCase{"Stride", same3(2, 9, 8, 16, 16, 2)},
                    ConvCase{"AsymmetricStride", {2, 8, 8, 16, 32, 3, 3, 2, 0, 0, 1, 1}},
                    ConvCase{"StrideOfTiles", same3(2, 17, 18, 40, 136, 2)},
                    ConvCase{"StrideOfThree", {3, 11, 13, 16, 24, 5, 4, 3, 2, 1, 1, 2}},
                    ConvCase{"OneByOne", {2, 5, 7, 48, 24, 1, 1, 1, 0, 0, 0, 0}},
                    ConvCase{"TwoByTwo", {2, 5, 6, 16, 64, 2, 2, 1, 1, 1, 1, 1}},
                    ConvCase{"FiveByThree", {1, 9, 9, 24, 16, 5, 3, 1, 2, 0, 1, 2}},
                    ConvCase{"OnePixel", same3(20, 1, 1, 16, 16)},
                    ConvCase{"OddChannels", same3(2, 5, 6, 5, 9)}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace noisette

#endif
