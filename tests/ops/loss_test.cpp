#include "framework/ops/loss.h"

#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::GradCase;
using testing_support::message_of;
using testing_support::values_of;

/// A constant tensor of the accumulator type of x: 0.3, -0.7, 1.3, ...
Tensor constant(const Tensor& x, const Shape& shape) {
  std::vector<double> v;
  for (int64_t i = 0; i < shape.numel(); ++i)
    v.push_back((i % 2 ? -0.75 : 0.25) + 0.5 * double(i % 5));
  if (x.device().is_meta()) return empty(shape, accumulator_of(x.dtype()), kMeta);
  return to_device(testing_support::tensor_of(v, shape, accumulator_of(x.dtype())), x.device());
}

auto mse(const std::vector<Tensor>& in) {
  return weighted_mse(in[0], constant(in[0], in[0].shape()), constant(in[0], {in[0].dim(0)}));
}

template <class L>
auto entropy(std::vector<L> label) {
  return [label](const std::vector<Tensor>& in) {
    return cross_entropy(in[0], from_vector(label, {int64_t(label.size())}, in[0].device()));
  };
}

NOISETTE_OP_TESTS(LossOps, GradCase{"mse", {{3, 4, 5, 2}}, mse}, GradCase{"mse_one", {{1}}, mse},
                  GradCase{"mse_odd", {{2, 131}}, mse}, GradCase{"mse_empty", {{0, 3}}, mse},
                  GradCase{"cross_entropy", {{4, 10}}, entropy<int64_t>({3, 0, 9, 3}), 16},
                  GradCase{"cross_entropy_i32", {{2, 33}}, entropy<int32_t>({32, 1}), 16},
                  GradCase{"cross_entropy_one", {{1, 1}}, entropy<int64_t>({0})},
                  GradCase{"cross_entropy_empty", {{0, 3}}, entropy<int64_t>({})});

TEST(Loss, HandComputedValues) {
  const Tensor x = from_vector<double>({1, 2, 3, 5}, {2, 2});
  const Tensor target = from_vector<double>({0, 0, 1, 1}, {2, 2}),
               w = from_vector<double>({1, 0.5}, {2});
  EXPECT_EQ(values_of(weighted_mse(x, target, w)), (std::vector<double>{2.5, 5}));
  const Tensor logits = from_vector<double>({0, 0, 0, 0}, {1, 4});
  EXPECT_NEAR(cross_entropy(logits, from_vector<int64_t>({2}, {1})).item(), std::log(4.0), 1e-15);
  EXPECT_TRUE(std::isnan(cross_entropy(logits, from_vector<int64_t>({4}, {1})).item()));
}

TEST(Loss, LargeLogitsDoNotOverflow) {
  const Tensor x = from_vector<float>({1000, -1000}, {1, 2});
  EXPECT_EQ(cross_entropy(x, from_vector<int64_t>({1}, {1})).item(), 2000);
}

TEST(Loss, ErrorsNameBothSides) {
  const Tensor x = zeros({2, 3}, DType::bf16), w = zeros({2}, DType::f32);
  EXPECT_NE(message_of([&] { weighted_mse(x, x, w); }).find("bf16 prediction must be f32"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              weighted_mse(x, zeros({3, 2}, DType::f32), w);
            }).find("[3, 2]"),
            std::string::npos);
  EXPECT_NE(message_of([&] { cross_entropy(x, zeros({3}, DType::i64)); }).find("[3]"),
            std::string::npos);
}

}  // namespace
}  // namespace noisette
