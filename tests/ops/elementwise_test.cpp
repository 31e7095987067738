#include "framework/ops/elementwise.h"

#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::GradCase;
using testing_support::message_of;
using testing_support::param;
using testing_support::values_of;

// 16389 is just above two chunks of the flat loops, and odd; sums of so many terms get more room.
NOISETTE_OP_TESTS(
    ElementwiseOps,
    GradCase{
        "scaled_sum", {{5, 7}, {5, 7}}, [](auto in) { return scaled_sum(0.3, in[0], -2, in[1]); }},
    GradCase{"add", {{33}, {33}}, [](auto in) { return add(in[0], in[1]); }},
    GradCase{"add_to_itself", {{1}}, [](auto in) { return add(in[0], in[0]); }},
    GradCase{"sub", {{2, 1, 3}, {2, 1, 3}}, [](auto in) { return sub(in[0], in[1]); }},
    GradCase{"mul", {{9, 4}, {9, 4}}, [](auto in) { return mul(in[0], in[1]); }},
    GradCase{"mul_with_itself", {{9, 4}}, [](auto in) { return mul(in[0], in[0]); }},
    GradCase{"mul_number", {{17}}, [](auto in) { return mul(in[0], -0.7); }},
    GradCase{
        "scaled_sum_one", {{1}, {1}}, [](auto in) { return scaled_sum(0.3, in[0], -2, in[1]); }},
    GradCase{"scaled_sum_empty",
             {{0, 3}, {0, 3}},
             [](auto in) { return scaled_sum(0.3, in[0], -2, in[1]); }},
    GradCase{"add_one", {{1}, {1}}, [](auto in) { return add(in[0], in[1]); }},
    GradCase{"add_empty", {{0, 3}, {0, 3}}, [](auto in) { return add(in[0], in[1]); }},
    GradCase{"sub_one", {{1}, {1}}, [](auto in) { return sub(in[0], in[1]); }},
    GradCase{"sub_empty", {{0, 3}, {0, 3}}, [](auto in) { return sub(in[0], in[1]); }},
    GradCase{"mul_one", {{1}, {1}}, [](auto in) { return mul(in[0], in[1]); }},
    GradCase{"mul_empty", {{0, 3}, {0, 3}}, [](auto in) { return mul(in[0], in[1]); }},
    GradCase{"mul_number_one", {{1}}, [](auto in) { return mul(in[0], -0.7); }},
    GradCase{"mul_number_empty", {{0, 3}}, [](auto in) { return mul(in[0], -0.7); }},
    GradCase{"add_per_sample",
             {{2, 3, 5, 7}, {2, 7}},
             [](auto in) { return add_per_sample(in[0], in[1]); }},
    GradCase{"add_per_sample_long",
             {{1, 131, 2}, {1, 2}},
             [](auto in) { return add_per_sample(in[0], in[1]); },
             16},
    GradCase{"add_per_sample_empty",
             {{0, 3, 7}, {0, 7}},
             [](auto in) { return add_per_sample(in[0], in[1]); }},
    GradCase{"add_per_sample_one",
             {{1, 1, 1}, {1, 1}},
             [](auto in) { return add_per_sample(in[0], in[1]); }},
    GradCase{"scale_per_sample_one",
             {{1, 1}, param({1})},
             [](auto in) { return scale_per_sample(in[0], in[1]); }},
    GradCase{"scale_per_sample_empty",
             {{0, 2, 7}, param({0})},
             [](auto in) { return scale_per_sample(in[0], in[1]); }},
    GradCase{"scale_per_sample",
             {{3, 2, 7}, param({3})},
             [](auto in) { return scale_per_sample(in[0], in[1]); }},
    GradCase{"sum", {{11, 13}}, [](auto in) { return sum(mul(in[0], in[0])); }, 4000},
    GradCase{"sum_one", {{1}}, [](auto in) { return sum(in[0]); }},
    GradCase{"sum_empty", {{0, 3}}, [](auto in) { return sum(in[0]); }},
    GradCase{"mean", {{7, 5}}, [](auto in) { return mean(in[0]); }},
    GradCase{"mean_one", {{1}}, [](auto in) { return mean(in[0]); }},
    GradCase{"mean_empty", {{0, 3}}, [](auto in) { return mean(in[0]); }},
    GradCase{"cast_one", {{1}}, [](auto in) { return cast(in[0], DType::f64); }},
    GradCase{"cast_empty", {{0, 3}}, [](auto in) { return cast(in[0], DType::f64); }},
    GradCase{"cast_round_trip", {{3, 5}}, [](auto in) {
               const DType other = in[0].dtype() == DType::f64 ? DType::f64 : DType::f32;
               return cast(cast(in[0], other), in[0].dtype());
             }});

TEST(Elementwise, SumsLongTensorsWithoutLosingTheSmallOnes) {
  const int64_t n = 1 << 20;
  EXPECT_EQ(sum(full({n}, 0.1, DType::f32)).item(), double(float(double(0.1f) * double(n))));
  EXPECT_EQ(mean(full({n}, 3, DType::bf16)).item(), 3);
  EXPECT_EQ(mean(zeros({0}, DType::f32)).item(), 0);
}

TEST(Elementwise, CastRoundsToNearestEven) {
  const Tensor x = from_vector<float>({1.0f, 1.00390625f, 1.01171875f, -3e38f, 1e-42f}, {5});
  const auto y = values_of(cast(x, DType::bf16));
  EXPECT_EQ(y[0], 1.0);
  EXPECT_EQ(y[1], 1.0);       // half way, down to even
  EXPECT_EQ(y[2], 1.015625);  // half way, up to even
  EXPECT_EQ(values_of(cast(cast(x, DType::f64), DType::f32)), values_of(x));
}

TEST(Elementwise, NanSurvivesEveryCast) {
  const Tensor x = full({40}, std::nan(""), DType::f32);
  for (const double v : values_of(cast(x, DType::bf16))) EXPECT_TRUE(std::isnan(v));
}

TEST(Elementwise, ImagesBecomeSigned) {
  const Tensor image = from_vector<uint8_t>({0, 255, 51}, {3});
  EXPECT_EQ(values_of(image_to_signed(image, DType::f64)), (std::vector<double>{-1, 1, -0.6}));
  const auto y = values_of(image_to_signed(image, DType::f32));
  EXPECT_EQ(y[0], -1);
  EXPECT_EQ(y[1], 1);
}

TEST(Elementwise, ErrorsNameBothSides) {
  const Tensor x = zeros({2, 3}, DType::f32);
  EXPECT_NE(message_of([&] {
              add(x, zeros({3, 2}, DType::f32));
            }).find("[3, 2]"),
            std::string::npos);
  EXPECT_NE(message_of([&] { mul(x, zeros({2, 3}, DType::f64)); }).find("f64"), std::string::npos);
  EXPECT_NE(message_of([&] {
              add_per_sample(x, zeros({2, 2}, DType::f32));
            }).find("[2, 2]"),
            std::string::npos);
  EXPECT_NE(message_of([&] { cast(x, DType::i64); }).find("i64"), std::string::npos);
}

}  // namespace
}  // namespace noisette
