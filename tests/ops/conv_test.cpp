#include "framework/ops/conv.h"

#include "framework/core/profile.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/shape.h"
#include "tests/support/conv_mode.h"
#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::GradCase;
using testing_support::In;
using testing_support::message_of;
using testing_support::normals;
using testing_support::Outcome;
using testing_support::param;
using testing_support::tensor_of;
using testing_support::values_of;

auto conv(int64_t stride, Padding padding) {
  return [=](const std::vector<Tensor>& in) {
    return conv2d(in[0], in[1], in[2], {stride, padding}, in.size() > 3 ? in[3] : Tensor());
  };
}

// The default room of 8 units is ample for f32 sums of at most 150 terms: 1 unit was enough.
// Sums with what other uses contributed (take) may round twice in bf16: below, in f64 and f32
// alone.
NOISETTE_OP_TESTS(
    ConvOps, GradCase{"same", {{2, 5, 4, 3}, {6, 3, 3, 3}, param({6})}, conv(1, Padding::same(3))},
    GradCase{"one_of_each", {{1, 1, 1, 1}, {1, 3, 3, 1}, param({1})}, conv(1, Padding::same(3))},
    GradCase{"stride2_residual",
             {{2, 5, 6, 4}, {5, 3, 3, 4}, param({5}), {2, 3, 3, 5}},
             conv(2, Padding::same(3))},
    GradCase{"right_bottom", {{1, 6, 4, 3}, {4, 3, 3, 3}, param({4})}, conv(2, {0, 0, 1, 1})},
    GradCase{"kernel5x3", {{1, 5, 4, 2}, {3, 5, 3, 2}, param({3})}, conv(1, {3, 1, 1, 2})},
    GradCase{
        "pointwise_residual", {{2, 3, 3, 5}, {4, 1, 1, 5}, param({4}), {2, 3, 3, 4}}, conv(1, {})},
    GradCase{
        "per_sample", {{2, 5, 6, 4}, {5, 3, 3, 4}, param({5}), {2, 5}}, conv(1, Padding::same(3))},
    GradCase{"per_sample_one_pixel", {{2, 2, 2, 3}, {4, 2, 2, 3}, param({4}), {2, 4}}, conv(1, {})},
    GradCase{"per_sample_pointwise", {{3, 2, 3, 5}, {4, 1, 1, 5}, param({4}), {3, 4}}, conv(1, {})},
    GradCase{"per_sample_to_grey",
             {{2, 4, 5, 16}, {1, 3, 3, 16}, param({1}), {2, 1}},
             conv(1, Padding::same(3))},
    GradCase{"to_grey",
             {{2, 4, 5, 16}, {1, 3, 3, 16}, param({1}), {2, 4, 5, 1}},
             conv(1, Padding::same(3))},
    GradCase{"from_colour", {{1, 4, 4, 3}, {16, 3, 3, 3}, param({16})}, conv(1, Padding::same(3))},
    GradCase{"no_bias",
             {{1, 4, 3, 2}, {3, 3, 3, 2}},
             [](auto in) { return conv2d(in[0], in[1], {}, {.padding = Padding::same(3)}); }},
    GradCase{"empty", {{0, 4, 3, 2}, {3, 3, 3, 2}, param({3})}, conv(1, Padding::same(3))});

TEST(Conv, TakesInWhatOtherUsesContributed) {
  const auto twice = [](Padding padding) {
    return [=](const std::vector<Tensor>& in) {
      const Tensor x = mul(in[0], 2);
      const Tensor h = conv2d(x, in[1], in[2], {.padding = padding});
      return add(conv2d(x, in[1], in[2], {.padding = padding}, h), x);
    };
  };
  const GradCase wide{"wide", {{1, 3, 4, 2}, {2, 3, 3, 2}, param({2})}, twice(Padding::same(3))};
  const GradCase pointwise{"pointwise", {{1, 3, 4, 2}, {2, 1, 1, 2}, param({2})}, twice({})};
  for (const GradCase& c : {wide, pointwise}) {
    EXPECT_EQ(gradient_mismatch(c), "") << c.name;
    EXPECT_EQ(parity_mismatch(c, DType::f32), "") << c.name;
  }
}

TEST(Conv, WritesIntoTheGradientOfAParameter) {
  const Tensor buffer = full({2, 1, 1, 3}, 99, DType::f32), bias_buffer = full({2}, 99, DType::f32);
  const Tensor w = make_leaf(full({2, 1, 1, 3}, 0.5, DType::bf16), buffer, "w");
  const Tensor b = make_leaf(full({2}, 0, DType::f32), bias_buffer, "b");
  const Tensor x = full({1, 2, 2, 3}, 3, DType::bf16);
  for (const double updates : {1, 2}) {  // overwritten first, then added to
    const Tensor y = conv2d(x, w, b);
    backward(y, full(y.shape(), 1, DType::bf16));
    for (const double g : values_of(buffer)) EXPECT_EQ(g, updates * 4 * 3);
    for (const double g : values_of(bias_buffer)) EXPECT_EQ(g, updates * 4);
  }
}

TEST(Conv, FrozenInputsGetNoGradient) {
  const Tensor x = full({1, 3, 3, 2}, 1, DType::f32), w = full({4, 3, 3, 2}, 1, DType::f32);
  Tensor b = zeros({4}, DType::f32);
  EXPECT_FALSE(conv2d(x, w, b).needs_grad());
  const Tensor y = conv2d(x, w, b.requires_grad());
  backward(y, full(y.shape(), 2, DType::f32));
  EXPECT_EQ(values_of(b.grad()), std::vector<double>(4, 2));
}

TEST(Conv, HandComputedValues) {
  const Tensor x = from_vector<double>({1, 2, 3, 4}, {1, 2, 2, 1});
  const Tensor w = from_vector<double>({1, 10, 100, 1000}, {1, 2, 2, 1});
  const Tensor b = full({1}, 0.5, DType::f64);
  EXPECT_EQ(values_of(conv2d(x, w, b)), std::vector<double>{4321.5});
  EXPECT_EQ(values_of(conv2d(x, w, b, {.padding = {.right = 1}})),
            (std::vector<double>{4321.5, 402.5}));
  EXPECT_EQ(values_of(conv2d(x, w, b, {.stride = 2, .padding = Padding::all(1)})),
            (std::vector<double>{1000.5, 200.5, 30.5, 4.5}));
}

// ---- nearest resize and a 3x3 convolution in one

Tensor upsampled_of(const std::vector<Tensor>& in) {
  return upsample_conv2d(in[0], in[1], in.size() > 2 ? in[2] : Tensor());
}

GradCase upsampled(std::string name, std::vector<In> inputs) {
  GradCase c{std::move(name), std::move(inputs), upsampled_of};
  c.inner_roundings = 1;  // of the sums of weights
  return c;
}

NOISETTE_OP_TESTS(UpsampleConvOps, upsampled("small", {{2, 2, 3, 2}, {3, 3, 3, 2}, param({3})}),
                  upsampled("one_pixel", {{1, 1, 1, 1}, {1, 3, 3, 1}, param({1})}),
                  upsampled("one_row", {{3, 1, 4, 2}, {2, 3, 3, 2}, param({2})}),
                  upsampled("no_bias", {{1, 2, 2, 5}, {4, 3, 3, 5}}),
                  upsampled("empty", {{0, 2, 3, 2}, {3, 3, 3, 2}, param({3})}));

TEST(UpsampleConv, IsTheConvolutionOfTheResizedImage) {
  std::mt19937 engine(1);
  const auto random = [&](const Shape& shape) {
    return tensor_of(normals(shape.numel(), engine, 0, 1), shape, DType::f64).requires_grad();
  };
  Tensor x = random({2, 4, 3, 5}), w = random({6, 3, 3, 5}), b = random({6});
  const Tensor dy = random({2, 8, 6, 6}).detach();
  std::vector<std::vector<double>> results[2];
  for (const bool one : {false, true}) {
    for (Tensor* t : {&x, &w, &b}) *t = t->detach().clone().requires_grad();
    const Tensor y = one ? upsample_conv2d(x, w, b)
                         : conv2d(resize_nearest(x, 2), w, b, {.padding = Padding::same(3)});
    backward(y, dy);
    for (const Tensor& t : {y, x.grad(), w.grad(), b.grad()}) results[one].push_back(values_of(t));
  }
  for (size_t i = 0; i < 4; ++i)
    for (size_t k = 0; k < results[0][i].size(); ++k)
      ASSERT_NEAR(results[0][i][k], results[1][i][k], 1e-12) << "result " << i << " at " << k;
}

TEST(UpsampleConv, TakesInWhatOtherUsesContributed) {
  const GradCase c{
      "twice", {{1, 2, 3, 2}, {2, 3, 3, 2}, param({2})}, [](const std::vector<Tensor>& in) {
        const Tensor x = mul(in[0], 2);
        return add(upsample_conv2d(x, in[1], in[2]), resize_nearest(x, 2));
      }};
  EXPECT_EQ(gradient_mismatch(c), "");
  EXPECT_EQ(parity_mismatch(c, DType::f32), "");
}

TEST(UpsampleConv, CountsTheFlopsOfItsDefinition) {
  const Tensor x = empty({2, 4, 4, 3}, DType::bf16, kMeta),
               w = empty({5, 3, 3, 3}, DType::bf16, kMeta);
  const Profile profile;
  upsample_conv2d(x, w, {});
  EXPECT_EQ(profile.flops(), 2.0 * 2 * 8 * 8 * 5 * 9 * 3);
}

TEST(UpsampleConv, ErrorsNameBothSides) {
  const Tensor x = zeros({1, 2, 2, 3}, DType::f32), w = zeros({4, 3, 3, 3}, DType::f32);
  const auto has = [](auto f, const char* part) {
    return message_of(f).find(part) != std::string::npos;
  };
  EXPECT_TRUE(has(
      [&] {
        upsample_conv2d(x, zeros({4, 1, 1, 3}, DType::f32), {});
      },
      "x [1, 2, 2, 3] and weight [4, 1, 1, 3]"));
  EXPECT_TRUE(has([&] { upsample_conv2d(x, w, zeros({3}, DType::f32)); }, "must be f32 [4]"));
}

TEST(Conv, ErrorsNameBothSides) {
  const auto t = [](std::initializer_list<int64_t> s, DType d = DType::f32) { return zeros(s, d); };
  const Tensor x = t({1, 8, 8, 4}), w = t({6, 3, 3, 4}), b = t({6});
  const auto message = [](auto f) { return message_of(f); };
  const auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(has(message([&] {
                    conv2d(x, t({6, 3, 3, 5}), b);
                  }),
                  "x [1, 8, 8, 4] and weight [6, 3, 3, 5]"));
  EXPECT_TRUE(has(message([&] {
                    conv2d(x, t({6, 3, 3, 4}, DType::bf16), b);
                  }),
                  "f32 on cpu and bf16"));
  EXPECT_TRUE(has(message([&] { conv2d(x, w, t({5})); }), "must be f32 [6]; got f32 [5]"));
  EXPECT_TRUE(has(message([&] { conv2d(x, w, t({6}, DType::f64)); }), "got f64 [6]"));
  EXPECT_TRUE(has(message([&] { conv2d(x, w, b, {.stride = 0}); }), "stride 0"));
  EXPECT_TRUE(has(message([&] { conv2d(t({1, 2, 8, 4}), w, b); }), "kernel 3 x 3, image 2 x 8"));
  EXPECT_TRUE(has(message([&] { conv2d(x, w, b, {}, t({1, 8, 8, 6})); }), "[1, 6, 6, 6]"));
  EXPECT_TRUE(has(message([&] { conv2d(x, w, b, {}, t({2, 6})); }), "got f32 [2, 6]"));
}

}  // namespace
}  // namespace noisette
