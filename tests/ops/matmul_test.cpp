#include "framework/ops/matmul.h"

#include "framework/core/allocator.h"
#include "framework/ops/elementwise.h"
#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::GradCase;
using testing_support::In;
using testing_support::message_of;
using testing_support::param;
using testing_support::values_of;

auto product(bool trans_a, bool trans_b) {
  return [=](const std::vector<Tensor>& in) { return matmul(in[0], in[1], {trans_a, trans_b}); };
}
auto affine(const std::vector<Tensor>& in) {
  return linear(in[0], in[1], in[2], in.size() > 3 ? in[3] : Tensor());
}
/// Of what comes before the activation, and of its gradient. 16 units, measured 8.6: the slopes of
/// SiLU and GELU are differences, and a GPU's exponential is an approximation.
GradCase with_roundings(GradCase c) {
  c.units = 16;
  c.inner_roundings = 2;
  c.parameter_roundings = 1;
  return c;
}
/// Inputs x, weight, bias and a residual, as many as there are.
GradCase activated(std::string name, std::vector<In> inputs, Activation kind = Activation::silu) {
  GradCase c{std::move(name), std::move(inputs), [kind](const std::vector<Tensor>& in) {
               const auto optional = [&](size_t i) { return i < in.size() ? in[i] : Tensor(); };
               return linear_activation(in[0], in[1], optional(2), kind, optional(3));
             }};
  return with_roundings(std::move(c));
}
GradCase gated(std::string name, std::vector<In> inputs) {
  GradCase c{std::move(name), std::move(inputs), [](const std::vector<Tensor>& in) {
               return linear_geglu(in[0], in[1], in.size() > 2 ? in[2] : Tensor());
             }};
  return with_roundings(std::move(c));
}

NOISETTE_OP_TESTS(
    MatmulOps, GradCase{"plain", {{3, 5}, {5, 4}}, product(false, false)},
    GradCase{"trans_a", {{5, 3}, {5, 4}}, product(true, false)},
    GradCase{"trans_b", {{3, 5}, {4, 5}}, product(false, true)},
    GradCase{"trans_both", {{5, 3}, {4, 5}}, product(true, true)},
    GradCase{"batch", {{2, 3, 5}, {2, 5, 4}}, product(false, false)},
    GradCase{"batch_trans_a", {{2, 5, 3}, {2, 5, 4}}, product(true, false)},
    GradCase{"batch_trans_b", {{2, 3, 5}, {2, 4, 5}}, product(false, true)},
    GradCase{"two_batch_axes_trans_both", {{2, 3, 5, 2}, {2, 3, 4, 5}}, product(true, true)},
    GradCase{"shared", {{2, 3, 5}, {5, 4}}, product(false, false)},
    GradCase{"shared_trans_b", {{2, 2, 3, 5}, {4, 5}}, product(false, true)},
    GradCase{"one", {{1, 1}, {1, 1}}, product(false, false)},
    GradCase{"empty_batch", {{0, 3, 5}, {0, 5, 4}}, product(false, false)},
    GradCase{"no_terms", {{3, 0}, {0, 4}}, product(false, false)},
    GradCase{"linear", {{7, 5}, {4, 5}, param({4})}, affine},
    GradCase{"linear_residual", {{2, 3, 5}, {4, 5}, param({4}), {2, 3, 4}}, affine},
    GradCase{"linear_per_sample", {{2, 3, 5}, {4, 5}, param({4}), {2, 4}}, affine},
    GradCase{"linear_vector", {{5}, {4, 5}, param({4})}, affine},
    GradCase{"linear_odd", {{33, 17}, {1, 17}, param({1})}, affine},
    GradCase{"linear_empty", {{0, 5}, {4, 5}, param({4})}, affine},
    GradCase{"linear_no_bias", {{7, 5}, {4, 5}}, [](auto in) { return linear(in[0], in[1], {}); }});

NOISETTE_OP_TESTS(
    LinearEnds, activated("silu", {{7, 5}, {4, 5}, param({4})}),
    activated("gelu", {{7, 5}, {4, 5}, param({4})}, Activation::gelu),
    activated("gelu_tanh", {{7, 5}, {4, 5}, param({4})}, Activation::gelu_tanh),
    activated("quick_gelu", {{7, 5}, {4, 5}, param({4})}, Activation::quick_gelu),
    activated("silu_residual", {{2, 3, 5}, {4, 5}, param({4}), {2, 3, 4}}),
    activated("silu_per_sample", {{2, 3, 5}, {4, 5}, param({4}), {2, 4}}),
    activated("silu_vector", {{5}, {4, 5}, param({4})}), activated("silu_one", {{1}, {1, 1}}),
    activated("silu_odd", {{33, 17}, {1, 17}, param({1})}),
    activated("silu_empty", {{0, 5}, {4, 5}, param({4})}),
    activated("silu_no_bias", {{7, 5}, {4, 5}}), gated("geglu", {{7, 5}, {8, 5}, param({8})}),
    gated("geglu_vector", {{5}, {6, 5}, param({6})}), gated("geglu_one", {{1}, {2, 1}}),
    gated("geglu_odd", {{2, 9, 17}, {6, 17}, param({6})}),
    gated("geglu_empty", {{0, 5}, {4, 5}, param({4})}), gated("geglu_no_bias", {{7, 5}, {4, 5}}));

TEST(LinearEnds, KeepWhatAGradientNeedsAlone) {
  const auto bytes_of = [](bool wanted) {
    Tensor x = empty({32, 8}, DType::f32, kMeta);
    const Tensor w = empty({32, 8}, DType::f32, kMeta);
    if (wanted) x.requires_grad();
    const auto live = [] { return Allocator::of(kMeta).stats().live_bytes; };
    const int64_t before = live();
    const std::vector<Tensor> y{linear_activation(x, w, {}, Activation::gelu),
                                linear_geglu(x, w, {})};
    return live() - before;
  };
  const int64_t results = 4 * 32 * (32 + 16), sums = 4 * 32 * (32 + 32);
  EXPECT_EQ(bytes_of(false), results);
  EXPECT_EQ(bytes_of(true), results + sums);
}

TEST(Matmul, TakesInWhatOtherUsesContributed) {
  const GradCase gram{"gram", {{3, 3}}, [](auto in) {
                        const Tensor x = mul(in[0], 2);
                        const Tensor y = matmul(x, x, {.trans_b = true});
                        return add(matmul(y, x), x);
                      }};
  const GradCase layers{"layers", {{4, 3}, {3, 3}, param({3})}, [](auto in) {
                          const Tensor x = mul(in[0], 2);
                          return linear(linear(x, in[1], in[2], x), in[1], in[2], x);
                        }};
  for (const GradCase& c : {gram, layers}) {
    EXPECT_EQ(gradient_mismatch(c), "") << c.name;
    EXPECT_EQ(parity_mismatch(c, DType::f32), "") << c.name;
  }
}

TEST(Matmul, WritesIntoTheGradientOfAParameter) {
  const Tensor buffer = full({2, 3}, 99, DType::f32), bias_buffer = full({2}, 99, DType::f32);
  const Tensor w = make_leaf(full({2, 3}, 0.5, DType::bf16), buffer, "w");
  const Tensor b = make_leaf(full({2}, 0, DType::f32), bias_buffer, "b");
  const Tensor x = full({4, 3}, 3, DType::bf16);
  for (const double updates : {1, 2}) {  // overwritten first, then added to
    backward(linear(x, w, b), full({4, 2}, 1, DType::bf16));
    for (const double g : values_of(buffer)) EXPECT_EQ(g, updates * 4 * 3);
    for (const double g : values_of(bias_buffer)) EXPECT_EQ(g, updates * 4);
  }
}

TEST(Matmul, HandComputedValues) {
  const Tensor a = from_vector<double>({1, 2, 3, 4, 5, 6}, {2, 3});
  const Tensor b = from_vector<double>({1, 10, 100}, {3, 1});
  EXPECT_EQ(values_of(matmul(a, b)), (std::vector<double>{321, 654}));
  const Tensor y = linear(a, from_vector<double>({1, 0, 2}, {1, 3}), full({1}, 0.5, DType::f64));
  EXPECT_EQ(values_of(y), (std::vector<double>{7.5, 16.5}));
}

TEST(Matmul, ErrorsNameBothSides) {
  const auto t = [](std::initializer_list<int64_t> s, DType d = DType::f32) { return zeros(s, d); };
  const auto has = [](auto f, const std::string& part) {
    return message_of(f).find(part) != std::string::npos ? "" : message_of(f);
  };
  EXPECT_EQ(has([&] { matmul(t({2, 3}), t({4, 5})); }, "got 3 of a [2, 3] and 4 of b [4, 5]"), "");
  EXPECT_EQ(has(
                [&] {
                  matmul(t({2, 3}), t({4, 3}), {.trans_a = true, .trans_b = true});
                },
                "got 2 of a [2, 3] transposed and 3 of b [4, 3] transposed"),
            "");
  EXPECT_EQ(has([&] { matmul(t({2, 2, 3}), t({3, 3, 5})); }, "a [2, 2, 3] and b [3, 3, 5]"), "");
  EXPECT_EQ(has([&] { matmul(t({3}), t({3, 5})); }, "a [3] and b [3, 5]"), "");
  EXPECT_EQ(has([&] { matmul(t({2, 3, 3}), t({3, 5}), {.trans_a = true}); }, "trans_a"), "");
  EXPECT_EQ(has([&] { matmul(t({2, 3}), t({3, 5}, DType::bf16)); }, "b bf16 on cpu"), "");
  EXPECT_EQ(has([&] { linear(t({2, 3}), t({5, 4}), {}); }, "x [2, 3] and weight [5, 4]"), "");
  EXPECT_EQ(has([&] { linear(t({2, 3}), t({5, 3}), t({4})); }, "f32 [5]; got f32 [4]"), "");
  EXPECT_EQ(has([&] { linear(t({2, 3}), t({5, 3}), {}, t({2, 4})); }, "[2, 5] like"), "");
  EXPECT_EQ(has([&] { linear(t({2, 4, 3}), t({5, 3}), {}, t({4, 5})); }, "got f32 [4, 5]"), "");
  EXPECT_EQ(has([&] { linear(t({3}), t({5, 3}), {}, t({5, 5})); }, "got f32 [5, 5]"), "");
  EXPECT_EQ(has([&] { linear_geglu(t({2, 3}), t({5, 3}), {}); }, "got weight [5, 3]"), "");
  EXPECT_EQ(has(
                [&] {
                  linear_activation(t({2, 3}), t({5, 4}), {}, Activation::silu);
                },
                "[linear_activation] wants x"),
            "");
}

}  // namespace
}  // namespace noisette
