#include "kernels/conv.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/kernels/conv_cases.h"
#include "tests/kernels/values.h"

namespace noisette {
namespace {

constexpr double kUntouched = 1234.5;  // what outputs hold before a call

using test::cast;
using test::ConvCase;
using test::magnitude;
using test::random_values;
using test::same3;
using test::value;

/// Every result within a bound of the exact one: `relative` of it, for the rounding of the result,
/// plus 2^-20 of the sum of the terms' magnitudes, for the rounding of f32 sums in any order.
template <class T>
void expect_close(const std::vector<T>& got, const std::vector<double>& want,
                  const std::vector<double>& magnitudes, double relative, const char* what) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(value(got[i]), want[i],
                relative * std::abs(want[i]) + 0x1p-20 * magnitudes[i] + 1e-30)
        << what << " at " << i << " of " << got.size();
}

class Conv : public testing::TestWithParam<ConvCase> {
 protected:
  const ConvDims d = GetParam().d;
  const std::vector<double> x = random_values(d.x_numel(), 1);
  const std::vector<double> weight = random_values(d.weight_numel(), 2);
  const std::vector<double> bias = random_values(d.out_c, 3);
  const std::vector<double> residual = random_values(d.y_numel(), 4);
  const std::vector<double> dy = random_values(d.y_numel(), 5);
  const std::vector<double> start_w = random_values(d.weight_numel(), 6);

  template <class T>
  void check_forward(double rounding) {
    std::vector<double> want(residual.size()), bound(residual.size());
    cpu::conv2d_forward(x.data(), weight.data(), bias.data(), residual.data(), want.data(), d);
    cpu::conv2d_forward(magnitude(x).data(), magnitude(weight).data(), magnitude(bias).data(),
                        magnitude(residual).data(), bound.data(), d);
    const auto xt = cast<T>(x), wt = cast<T>(weight), rt = cast<T>(residual);
    const auto bt = cast<acc_t<T>>(bias);
    auto y = cast<T>(std::vector<double>(want.size(), kUntouched));
    cpu::conv2d_forward(xt.data(), wt.data(), bt.data(), rt.data(), y.data(), d);
    expect_close(y, want, bound, rounding, "y with bias and residual");
    y = rt;
    cpu::conv2d_forward(xt.data(), wt.data(), bt.data(), y.data(), y.data(), d);
    expect_close(y, want, bound, rounding, "y with the residual in place");
    check_per_sample(xt, wt, bt, rounding);

    const double* none = nullptr;
    cpu::conv2d_forward(x.data(), weight.data(), none, none, want.data(), d);
    y = cast<T>(std::vector<double>(want.size(), kUntouched));
    cpu::conv2d_forward<T>(xt.data(), wt.data(), nullptr, nullptr, y.data(), d);
    expect_close(y, want, bound, rounding, "y");
  }

  /// A row of the residual for each sample.
  template <class T>
  void check_per_sample(const std::vector<T>& xt, const std::vector<T>& wt,
                        const std::vector<acc_t<T>>& bt, double rounding) {
    const int64_t pixels = d.out_h() * d.out_w();
    const auto rows = random_values(d.batch * d.out_c, 7);
    std::vector<double> all(residual.size()), want(all.size()), bound(all.size());
    for (size_t i = 0; i < all.size(); ++i)
      all[i] = rows[i / size_t(pixels * d.out_c) * size_t(d.out_c) + i % size_t(d.out_c)];
    cpu::conv2d_forward(x.data(), weight.data(), bias.data(), all.data(), want.data(), d);
    cpu::conv2d_forward(magnitude(x).data(), magnitude(weight).data(), magnitude(bias).data(),
                        magnitude(all).data(), bound.data(), d);
    const auto rt = cast<T>(rows);
    auto y = cast<T>(std::vector<double>(want.size(), kUntouched));
    cpu::conv2d_forward(xt.data(), wt.data(), bt.data(), rt.data(), y.data(), d, pixels);
    expect_close(y, want, bound, rounding, "y with a row for each sample");
  }

  template <class T>
  void check_backward_data(double rounding) {
    const double* none = nullptr;
    std::vector<double> want(x.size()), bound(x.size());
    cpu::conv2d_backward_data(dy.data(), weight.data(), none, want.data(), d);
    cpu::conv2d_backward_data(magnitude(dy).data(), magnitude(weight).data(), magnitude(x).data(),
                              bound.data(), d);
    const auto dyt = cast<T>(dy), wt = cast<T>(weight), xt = cast<T>(x);
    auto dx = cast<T>(std::vector<double>(x.size(), kUntouched));
    cpu::conv2d_backward_data<T>(dyt.data(), wt.data(), nullptr, dx.data(), d);
    expect_close(dx, want, bound, rounding, "dx");

    // The sum may be rounded twice, the gradient before it and then the whole.
    for (size_t i = 0; i < bound.size(); ++i) bound[i] += 0x1p20 * rounding * std::abs(want[i]);
    cpu::conv2d_backward_data(dy.data(), weight.data(), x.data(), want.data(), d);
    dx = cast<T>(std::vector<double>(x.size(), kUntouched));
    cpu::conv2d_backward_data(dyt.data(), wt.data(), xt.data(), dx.data(), d);
    expect_close(dx, want, bound, rounding, "dx and another");
    dx = xt;
    cpu::conv2d_backward_data(dyt.data(), wt.data(), dx.data(), dx.data(), d);
    expect_close(dx, want, bound, rounding, "dx added in place");
  }

  template <class T>
  void check_backward_weight() {
    using A = acc_t<T>;
    std::vector<double> bound = magnitude(start_w);
    cpu::conv2d_backward_weight(magnitude(x).data(), magnitude(dy).data(), bound.data(), true, d);
    const auto xt = cast<T>(x), dyt = cast<T>(dy);
    for (const bool accumulate : {false, true}) {
      std::vector<double> want = start_w;
      cpu::conv2d_backward_weight(x.data(), dy.data(), want.data(), accumulate, d);
      std::vector<A> dw = cast<A>(start_w), again = dw;
      cpu::conv2d_backward_weight(xt.data(), dyt.data(), dw.data(), accumulate, d);
      expect_close(dw, want, bound, 0, accumulate ? "dweight, accumulated" : "dweight");
      cpu::conv2d_backward_weight(xt.data(), dyt.data(), again.data(), accumulate, d);
      EXPECT_EQ(dw, again) << "the same call twice";
    }
  }
};

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

TEST_P(Conv, ReferenceMatchesTheDefinition) {
  const int64_t out_h = d.out_h(), out_w = d.out_w();
  std::vector<double> y(residual.size());
  cpu::conv2d_forward(x.data(), weight.data(), bias.data(), residual.data(), y.data(), d);
  const auto pixel = [&](int64_t n, int64_t h, int64_t w, int64_t c) {
    const bool inside = h >= 0 && h < d.in_h && w >= 0 && w < d.in_w;
    return inside ? x[size_t(((n * d.in_h + h) * d.in_w + w) * d.in_c + c)] : 0.0;
  };
  size_t at = 0;
  for (int64_t n = 0; n < d.batch; ++n)
    for (int64_t i = 0; i < out_h; ++i)
      for (int64_t j = 0; j < out_w; ++j)
        for (int64_t o = 0; o < d.out_c; ++o, ++at) {
          double sum = bias[size_t(o)] + residual[at];
          size_t w = size_t(o * d.kernel_h * d.kernel_w * d.in_c);
          for (int64_t a = 0; a < d.kernel_h; ++a)
            for (int64_t b = 0; b < d.kernel_w; ++b)
              for (int64_t c = 0; c < d.in_c; ++c, ++w)
                sum += weight[w] *
                       pixel(n, i * d.stride + a - d.pad_top, j * d.stride + b - d.pad_left, c);
          ASSERT_NEAR(y[at], sum, 1e-12 * (1 + std::abs(sum))) << at;
        }
}

// <dy, conv(x, w)> is linear in x and in w, so that it equals <dx, x> and <dw, w>.
TEST_P(Conv, ReferenceGradientsAreAdjoint) {
  std::vector<double> y(residual.size()), dx(x.size(), kUntouched), dw(weight.size(), kUntouched);
  const double* none = nullptr;
  cpu::conv2d_forward(x.data(), weight.data(), none, none, y.data(), d);
  cpu::conv2d_backward_data(dy.data(), weight.data(), none, dx.data(), d);
  cpu::conv2d_backward_weight(x.data(), dy.data(), dw.data(), false, d);
  const double bound = 1e-12 * (1 + dot(magnitude(dx), magnitude(x)));
  EXPECT_NEAR(dot(dy, y), dot(dx, x), bound);
  EXPECT_NEAR(dot(dy, y), dot(dw, weight), bound);
}

// f32 sums are all there is to round in f32; a bf16 result is rounded once, by half of 2^-8.
TEST_P(Conv, ForwardF32) { check_forward<float>(0); }
TEST_P(Conv, ForwardBf16) { check_forward<bfloat16>(0x1p-8); }
TEST_P(Conv, BackwardDataF32) { check_backward_data<float>(0); }
TEST_P(Conv, BackwardDataBf16) { check_backward_data<bfloat16>(0x1p-8); }
TEST_P(Conv, BackwardWeightF32) { check_backward_weight<float>(); }
TEST_P(Conv, BackwardWeightBf16) { check_backward_weight<bfloat16>(); }

INSTANTIATE_TEST_SUITE_P(
    Shapes, Conv,
    testing::Values(
        ConvCase{"UNetLayer", same3(3, 8, 8, 32, 48)}, ConvCase{"OneOfEach", same3(1, 1, 1, 1, 1)},
        ConvCase{"OddChannels", same3(2, 5, 5, 17, 19)},
        ConvCase{"FromGrey", same3(3, 7, 7, 1, 32)}, ConvCase{"FromColour", same3(2, 6, 6, 3, 16)},
        ConvCase{"ToGrey", same3(3, 7, 7, 32, 1)}, ConvCase{"ToColour", same3(2, 6, 6, 48, 3)},
        ConvCase{"ToTwo", same3(66, 3, 3, 16, 2)}, ConvCase{"ToFour", same3(1, 9, 9, 16, 4)},
        ConvCase{"ToGreyAsymmetric", {2, 5, 4, 16, 1, 5, 3, 1, 0, 2, 3, 1}},
        ConvCase{"FromColourAsymmetric", {2, 5, 4, 3, 16, 5, 3, 1, 0, 2, 3, 1}},
        ConvCase{"ToGreyMuchPadding", {1, 4, 4, 16, 1, 3, 3, 1, 4, 3, 5, 6}},
        ConvCase{"Downsample", same3(2, 8, 8, 16, 16, 2)},
        ConvCase{"DownsampleOdd", same3(2, 7, 7, 20, 12, 2)},
        ConvCase{"DownsampleRightBottom", {2, 8, 8, 16, 24, 3, 3, 2, 0, 0, 1, 1}},
        ConvCase{"NarrowDownsample", same3(1, 6, 6, 16, 2, 2)},
        ConvCase{"Pointwise", {2, 5, 6, 24, 40, 1, 1, 1, 0, 0, 0, 0}},
        ConvCase{"PointwiseOdd", {2, 3, 3, 5, 7, 1, 1, 1, 0, 0, 0, 0}},
        ConvCase{"PointwiseToGrey", {2, 3, 5, 32, 1, 1, 1, 1, 0, 0, 0, 0}},
        ConvCase{"PointwiseStride2", {2, 6, 6, 8, 16, 1, 1, 2, 0, 0, 0, 0}},
        ConvCase{"Kernel5x3", {2, 7, 6, 16, 9, 5, 3, 1, 2, 1, 2, 1}},
        ConvCase{"NoPadding", {1, 5, 7, 8, 8, 3, 3, 1, 0, 0, 0, 0}},
        ConvCase{"Patches", {2, 8, 8, 3, 32, 4, 4, 4, 0, 0, 0, 0}},
        ConvCase{"WideImage", {1, 2, 40, 16, 16, 3, 3, 1, 1, 1, 1, 1}},
        ConvCase{"EmptyBatch", same3(0, 5, 5, 16, 16)},
        ConvCase{"EmptyBatchNarrow", same3(0, 5, 5, 16, 1)},
        ConvCase{"NoInputChannels", same3(2, 3, 3, 0, 4)}),
    [](const auto& info) { return info.param.name; });

TEST(ConvByHand, AsymmetricPaddingAndStride) {
  // Pads only right and bottom, as the downsampling of Ho et al. does.
  const ConvDims d = {1, 2, 2, 1, 1, 3, 3, 2, 0, 0, 1, 1};
  ASSERT_EQ(d.out_h(), 1);
  const std::vector<float> x = {1, 2, 3, 4}, weight = {1, 10, 100, 1000, 1e4f, 1e5f, 7, 8, 9};
  const float bias = 0.5f;
  float y = 0;
  cpu::conv2d_forward<float>(x.data(), weight.data(), &bias, nullptr, &y, d);
  EXPECT_FLOAT_EQ(y, 1 * 1 + 2 * 10 + 3 * 1000 + 4 * 1e4f + 0.5f);
}

}  // namespace
}  // namespace noisette
