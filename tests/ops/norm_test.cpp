#include "framework/ops/norm.h"

#include "framework/ops/activation.h"
#include "framework/ops/elementwise.h"
#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::GradCase;
using testing_support::message_of;
using testing_support::Outcome;
using testing_support::param;
using testing_support::values_of;

auto norm(int64_t groups, bool silu) {
  return [=](const std::vector<Tensor>& in) {
    return group_norm(in[0], in[1], in[2], groups,
                      {.silu = silu, .shift = in.size() > 3 ? in[3] : Tensor()});
  };
}
auto layer(const std::vector<Tensor>& in) { return layer_norm(in[0], in[1], in[2]); }

// 16 units: dx subtracts two group sums from a product, three terms of the size of the largest
// value.
NOISETTE_OP_TESTS(
    NormOps, GradCase{"group", {{2, 3, 5, 6}, param({6}, 1), param({6})}, norm(3, false), 16},
    GradCase{"group_silu", {{2, 35, 8}, param({8}, 1), param({8})}, norm(2, true), 16},
    GradCase{
        "group_silu_shift", {{3, 2, 3, 6}, param({6}, 1), param({6}), {3, 6}}, norm(2, true), 16},
    GradCase{
        "group_shift_odd", {{1, 33, 5}, param({5}, 1), param({5}), {1, 5}}, norm(1, false), 16},
    GradCase{"group_one_pixel", {{2, 6}, param({6}, 1), param({6})}, norm(1, true), 16},
    GradCase{"group_empty", {{0, 4, 6}, param({6}, 1), param({6})}, norm(3, true)},
    GradCase{"layer", {{3, 5, 17}, param({17}, 1), param({17})}, layer, 16},
    GradCase{"layer_long", {{2, 67}, param({67}, 1), param({67})}, layer, 16},
    GradCase{"layer_one", {{3, 1}, param({1}, 1), param({1})}, layer, 16},
    GradCase{"layer_empty", {{0, 6}, param({6}, 1), param({6})}, layer});

TEST(Norm, FusedFormIsTheComposedForm) {
  std::mt19937 engine(3);
  using testing_support::normals;
  using testing_support::tensor_of;
  const auto draw = [&](const Shape& s) {
    return tensor_of(normals(s.numel(), engine, 0, 1), s, DType::f64);
  };
  const Tensor x = draw({2, 5, 7, 6}), e = draw({2, 6}), w = draw({6}), b = draw({6});
  const auto fused = values_of(group_norm(x, w, b, 3, {.silu = true, .shift = e}));
  const auto composed = values_of(silu(group_norm(add_per_sample(x, e), w, b, 3)));
  for (size_t i = 0; i < fused.size(); ++i) EXPECT_NEAR(fused[i], composed[i], 1e-13);
}

TEST(Norm, TakesInWhatAResidualContributed) {
  // x is used twice; the second use's gradient is handed to the norm's backward.
  const GradCase c{"residual", {{2, 7, 6}, param({6}, 1), param({6})}, [](auto in) {
                     return add(group_norm(in[0], in[1], in[2], 2, {.silu = true}), in[0]);
                   }};
  EXPECT_EQ(gradient_mismatch(c), "");
  const GradCase inner{"inner", {{2, 7, 6}, param({6}, 1), param({6})}, [](auto in) {
                         const Tensor x = mul(in[0], 2);
                         const Tensor h = layer_norm(x, in[1], in[2]);
                         return add(add(group_norm(h, in[1], in[2], 3), h), x);
                       }};
  EXPECT_EQ(gradient_mismatch(inner), "");
}

TEST(Norm, HandComputedValues) {
  const Tensor x = from_vector<double>({1, 3, 5, 7}, {1, 2, 2}), one = full({2}, 1, DType::f64);
  const auto y = values_of(group_norm(x, one, zeros({2}, DType::f64), 1, {.eps = 0}));
  EXPECT_NEAR(y[0], -3 / std::sqrt(5.0), 1e-15);  // mean 4, variance 5
  EXPECT_NEAR(y[3], 3 / std::sqrt(5.0), 1e-15);
}

TEST(Norm, ErrorsNameBothSides) {
  const Tensor x = zeros({2, 8, 8, 30}, DType::f32), w = zeros({30}, DType::f32);
  EXPECT_EQ(message_of([&] { group_norm(x, w, w, 32); }).substr(0, 95),
            "[group_norm] channels must be a multiple of groups; got x [2, 8, 8, 30] with groups = "
            "32 (frame");
  EXPECT_NE(message_of([&] { group_norm(x, zeros({29}, DType::f32), w, 30); }).find("[29]"),
            std::string::npos);
  EXPECT_NE(message_of([&] { group_norm(x, zeros({30}, DType::f64), w, 30); }).find("f64"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              group_norm(x, w, w, 30, {.shift = zeros({2, 29}, DType::f32)});
            }).find("[2, 29]"),
            std::string::npos);
}

}  // namespace
}  // namespace noisette
