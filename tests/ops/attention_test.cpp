#include "framework/ops/attention.h"

#include <gtest/gtest.h>

#include "framework/core/profile.h"
#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using namespace testing_support;

GradCase row(std::string name, std::vector<In> inputs, int64_t heads,
             AttentionOptions options = {}) {
  const bool fused = inputs.size() == 1;
  return {std::move(name), std::move(inputs), [=](const std::vector<Tensor>& in) {
            return fused ? self_attention(in[0], heads, options)
                         : attention(in[0], in[1], in[2], heads, options);
          }};
}

class AttentionOp : public testing::TestWithParam<GradCase> {};

TEST_P(AttentionOp, MatchesCentralDifferences) { EXPECT_EQ(gradient_mismatch(GetParam()), ""); }
TEST_P(AttentionOp, F32MatchesF64) { EXPECT_EQ(parity_mismatch(GetParam(), DType::f32), ""); }
TEST_P(AttentionOp, InfersShapesOnMeta) { EXPECT_EQ(meta_mismatch(GetParam()), ""); }
TEST_P(AttentionOp, Bf16MatchesF64) {
  GradCase c = GetParam();
  c.units = 0x1p17;  // 2^-6: P, dS and, through delta, o are rounded to bf16 on the way
  EXPECT_EQ(parity_mismatch(c, DType::bf16), "");
}

INSTANTIATE_TEST_SUITE_P(
    Ops, AttentionOp,
    testing::Values(row("self", {{2, 5, 6}, {2, 5, 6}, {2, 5, 6}}, 1),
                    row("heads", {{2, 4, 6}, {2, 4, 6}, {2, 4, 6}}, 3),
                    row("cross", {{1, 4, 6}, {1, 7, 6}, {1, 7, 6}}, 2),
                    row("one_query", {{2, 1, 4}, {2, 3, 4}, {2, 3, 4}}, 2),
                    row("one_key", {{1, 3, 4}, {1, 1, 4}, {1, 1, 4}}, 2),
                    row("causal", {{1, 5, 4}, {1, 5, 4}, {1, 5, 4}}, 2, {true, {}}),
                    row("scaled", {{1, 5, 3}, {1, 5, 3}, {1, 5, 3}}, 1, {false, 0.7f}),
                    row("fused", {{2, 5, 18}}, 2), row("fused_causal", {{1, 18, 9}}, 1, {true, {}}),
                    row("fused_empty", {{0, 5, 18}}, 2), row("fused_one", {{1, 1, 3}}, 1),
                    row("empty_batch", {{0, 5, 6}, {0, 5, 6}, {0, 5, 6}}, 2),
                    row("no_keys", {{1, 3, 4}, {1, 0, 4}, {1, 0, 4}}, 2)),
    [](const auto& info) { return info.param.name; });

Tensor normal(const Shape& shape, uint32_t seed) {
  std::mt19937 engine(seed);
  return tensor_of(normals(shape.numel(), engine, 0, 1), shape, DType::f64);
}

TEST(Attention, FusedFormEqualsTheSeparateOne) {
  const int64_t width = 12;
  Tensor qkv = normal({2, 7, 3 * width}, 5);
  std::vector<Tensor> parts;
  for (int64_t p = 0; p < 3; ++p) {
    std::vector<double> part;
    for (int64_t row = 0; row < 14; ++row)
      for (int64_t c = 0; c < width; ++c)
        part.push_back(qkv.data<double>()[row * 3 * width + p * width + c]);
    parts.push_back(from_vector(part, {2, 7, width}).requires_grad());
  }
  const Tensor dy = normal({2, 7, width}, 6);
  const Tensor fused = self_attention(qkv.requires_grad(), 3);
  const Tensor separate = attention(parts[0], parts[1], parts[2], 3);
  EXPECT_EQ(to_vector<double>(fused), to_vector<double>(separate));
  backward(fused, dy);
  backward(separate, dy);
  for (int64_t p = 0; p < 3; ++p)
    for (int64_t row = 0; row < 14; ++row)
      for (int64_t c = 0; c < width; ++c)
        EXPECT_EQ(qkv.grad().data<double>()[row * 3 * width + p * width + c],
                  parts[std::size_t(p)].grad().data<double>()[row * width + c]);
}

/// Only the frozen inputs go without a gradient.
TEST(Attention, GradientOnlyWhereItIsNeeded) {
  Tensor q = normal({1, 3, 4}, 1), k = normal({1, 2, 4}, 2), v = normal({1, 2, 4}, 3);
  v.requires_grad();
  backward(attention(q, k, v, 2), normal({1, 3, 4}, 4));
  EXPECT_TRUE(v.grad().defined());
  EXPECT_FALSE(q.needs_grad() || k.needs_grad());
}

TEST(Attention, OneKeyReturnsItsValue) {
  const Tensor q = normal({1, 3, 4}, 1), k = normal({1, 1, 4}, 2), v = normal({1, 1, 4}, 3);
  const Tensor o = attention(q, k, v, 2);
  for (int64_t i = 0; i < 12; ++i) EXPECT_EQ(o.data<double>()[i], v.data<double>()[i % 4]);
}

TEST(Attention, CountsItsFlopsOnMeta) {
  Tensor qkv = empty({2, 16, 24}, DType::bf16, kMeta);
  qkv.requires_grad();
  const double product = 2.0 * 2 * 16 * 16 * 8;
  const Profile profile;
  const Tensor o = self_attention(qkv, 2);
  EXPECT_EQ(profile.flops(), 2 * product);
  backward(o, empty(o.shape(), o.dtype(), kMeta));
  EXPECT_EQ(profile.flops(), 7 * product) << "the scores once more, and four gradients";
}

TEST(Attention, ErrorsNameBothSides) {
  const Tensor q = normal({1, 3, 6}, 1), k = normal({1, 5, 6}, 2), narrow = normal({1, 5, 4}, 3);
  EXPECT_NE(message_of([&] { attention(q, k, narrow, 1); }).find("k [1, 5, 6], v [1, 5, 4]"),
            std::string::npos);
  EXPECT_NE(message_of([&] { attention(q, k, k, 4); }).find("q [1, 3, 6] with heads = 4"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              attention(q, k, k, 2, {true, {}});
            }).find("q [1, 3, 6], k [1, 5, 6]"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              attention(q, k, empty({1, 5, 6}, DType::f32), 2);
            }).find("f32"),
            std::string::npos);
  EXPECT_NE(message_of([&] { self_attention(narrow, 2); }).find("[1, 5, 4]"), std::string::npos);
  EXPECT_NE(message_of([&] { self_attention(q, 0); }).find("heads = 0"), std::string::npos);
}

}  // namespace
}  // namespace noisette
