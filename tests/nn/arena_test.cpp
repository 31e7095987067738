// Layout of the flat buffers, which weights are shown, and the life of gradients.
#include "framework/nn/arena.h"

#include "framework/autograd/autograd.h"
#include "framework/nn/layers.h"
#include "framework/ops/elementwise.h"
#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::message_of;
using testing_support::values_of;

/// Vectors before, between and behind matrices, of sizes that leave gaps.
struct Net final : Module {
  GroupNorm norm{6, 2, 1e-5};
  Linear linear{6, 5};
  Conv2d conv{5, 3, 3};
  LinearGroup group{5, 7, {"to_q", "to_k", "to_v"}};
  Net() {
    add("norm", norm);
    add("linear", linear);
    add("conv", conv);
    add("attention", group);
  }
};

TEST(Arena, MatricesComeFirstAndEveryParameterIsAligned) {
  Net net;
  const ParameterArena arena(net, {});
  EXPECT_EQ(arena.matrix_size(), 32 + 144 + 112);  // 30, 3 * 9 * 5 = 135, 21 * 5 = 105
  EXPECT_EQ(arena.size(), arena.matrix_size() + 2 * 16 + 16 + 16 + 32);
  std::vector<std::string> matrices, vectors;
  for (const auto& e : arena.entries()) {
    const bool matrix = e.shape.ndim() >= 2;
    (matrix ? matrices : vectors).push_back(e.name);
    EXPECT_EQ(e.offset < arena.matrix_size(), matrix) << e.name;
    const bool inside =
        e.name.starts_with("attention.to_k") || e.name.starts_with("attention.to_v");
    EXPECT_TRUE(inside || e.offset % 16 == 0) << e.name;
  }
  EXPECT_EQ(matrices,
            (std::vector<std::string>{"linear.weight", "conv.weight", "attention.to_q.weight",
                                      "attention.to_k.weight", "attention.to_v.weight"}));
  EXPECT_EQ(vectors.front(), "norm.weight");
}

TEST(Arena, FusedSlotsFollowEachOtherWithoutGap) {
  Net net;
  ParameterArena arena(net, {});
  const auto* q = arena.find("attention.to_q.weight");
  EXPECT_EQ(arena.find("attention.to_k.weight")->offset, q->offset + 7 * 5);
  EXPECT_EQ(arena.find("attention.to_v.weight")->offset, q->offset + 2 * 7 * 5);
  EXPECT_EQ(arena.find("attention.to_o.weight"), nullptr);
  // The rows of the fused matrix are those of q, k, v.
  arena.initialize(1);
  const Tensor x = full({1, 5}, 1, DType::f32);
  const auto y = to_vector<float>(net.group(x));
  for (const char* name : {"to_q", "to_k", "to_v"}) {
    const int64_t begin = name == std::string("to_q") ? 0 : name == std::string("to_k") ? 7 : 14;
    const auto w = values_of(ParameterArena::view(
        arena.master(), *arena.find(fmt::format("attention.{}.weight", name))));
    const auto b = values_of(
        ParameterArena::view(arena.master(), *arena.find(fmt::format("attention.{}.bias", name))));
    for (int64_t o = 0; o < 7; ++o) {
      double want = b[size_t(o)];
      for (int64_t i = 0; i < 5; ++i) want += w[size_t(o * 5 + i)];
      EXPECT_NEAR(y[size_t(begin + o)], want, 1e-6) << name;
    }
  }
}

TEST(Arena, GapsStayZero) {
  Net net;
  ParameterArena arena(net, {.ema = true});
  arena.initialize(7);
  std::vector<char> used(size_t(arena.size()));
  for (const auto& e : arena.entries())
    std::fill_n(used.begin() + e.offset, e.shape.numel(), char(1));
  for (const Tensor* t : {&arena.master(), &arena.ema(), &arena.grad(), &arena.m(), &arena.v()}) {
    const auto values = to_vector<float>(*t);
    for (size_t i = 0; i < values.size(); ++i) EXPECT_TRUE(used[i] || values[i] == 0) << i;
  }
}

TEST(Arena, OnlyMatricesHaveAComputeCopy) {
  Net net;
  ParameterArena arena(net, {.dtype = DType::bf16});
  arena.initialize(3);
  ASSERT_EQ(arena.compute().shape(), Shape{arena.matrix_size()});
  const auto master = to_vector<float>(arena.master());
  const auto low = values_of(arena.compute());
  for (size_t i = 0; i < low.size(); ++i) EXPECT_EQ(low[i], double(float(bfloat16(master[i]))));
  for (const Slot& s : net.slots())
    EXPECT_EQ(s.parameter->value().dtype(), s.shape().ndim() >= 2 ? DType::bf16 : DType::f32)
        << s.name;
  Net full;
  EXPECT_FALSE(ParameterArena(full, {}).compute().defined());
}

TEST(Arena, ShowsTheAverageOrTheMasterWeights) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Net net;
    ParameterArena arena(net, {.dtype = dtype, .ema = true});
    arena.initialize(3);
    fill(arena.ema(), 0.5);
    const Tensor x = full({1, 6}, 1, dtype);
    const auto before = values_of(net.linear(x));
    arena.use(ParameterArena::Weights::ema);
    EXPECT_EQ(arena.in_use(), ParameterArena::Weights::ema);
    const Tensor y = net.linear(x);
    EXPECT_FALSE(y.needs_grad());  // the average is not trained
    for (const double v : values_of(y)) EXPECT_EQ(v, 0.5 * 6 + 0.5);
    arena.use(ParameterArena::Weights::master);
    EXPECT_EQ(values_of(net.linear(x)), before);
    EXPECT_TRUE(net.linear(x).needs_grad());
  }
  Net net;
  ParameterArena arena(net, {});
  EXPECT_NE(message_of([&] { arena.use(ParameterArena::Weights::ema); }).find("keeps none"),
            std::string::npos);
}

TEST(Arena, AnArenaForInferenceHasNoGradients) {
  Net net;
  ParameterArena arena(net, {.trainable = false});
  arena.initialize(3);
  EXPECT_FALSE(arena.grad().defined() || arena.m().defined() || arena.v().defined());
  EXPECT_FALSE(net.linear(full({1, 6}, 1, DType::f32)).needs_grad());
}

TEST(Arena, GradientsAreOverwrittenAfterAResetAndAddedOtherwise) {
  Net net;
  ParameterArena arena(net, {});
  arena.initialize(3);
  const Tensor x = full({2, 6}, 1, DType::f32);
  const auto bias_grad = [&] {
    return values_of(ParameterArena::view(arena.grad(), *arena.find("linear.bias")));
  };
  fill(arena.grad(), 99);  // stale
  arena.reset_grads();
  backward(sum(net.linear(x)));
  EXPECT_EQ(bias_grad(), std::vector<double>(5, 2));
  backward(sum(net.linear(x)));
  EXPECT_EQ(bias_grad(), std::vector<double>(5, 4));
  arena.reset_grads();
  backward(sum(net.linear(x)));
  EXPECT_EQ(bias_grad(), std::vector<double>(5, 2));
}

TEST(Arena, WhatNoBackwardReachedIsNamedAndZeroed) {
  Net net;
  ParameterArena arena(net, {});
  arena.initialize(3);
  fill(arena.grad(), 99);
  arena.reset_grads();
  backward(sum(net.linear(full({2, 6}, 1, DType::f32))));
  // A fused parameter goes by its first name.
  EXPECT_EQ(arena.finish_grads(),
            (std::vector<std::string>{"conv.weight", "attention.to_q.weight", "norm.weight",
                                      "norm.bias", "conv.bias", "attention.to_q.bias"}));
  for (const double v :
       values_of(ParameterArena::view(arena.grad(), *arena.find("attention.to_v.weight"))))
    EXPECT_EQ(v, 0);
  EXPECT_TRUE(arena.finish_grads().empty());
}

TEST(Arena, RefusesTwoParametersOfOneName) {
  struct Twins final : Module {
    Linear a{2, 2}, b{2, 2};
    Twins() {
      add("x", a);
      add("x", b);
    }
  } twins;
  EXPECT_NE(
      message_of([&] { ParameterArena(twins, {}); }).find("two parameters are called 'x.weight'"),
      std::string::npos);
  Net net;
  EXPECT_NE(message_of([&] { ParameterArena(net, {.dtype = DType::i32}); }).find("got i32"),
            std::string::npos);
}

TEST(Arena, OnMetaItAccountsWithoutData) {
  Net net;
  ParameterArena arena(net, {.device = kMeta, .dtype = DType::bf16, .ema = true});
  arena.initialize(1);
  EXPECT_EQ(arena.master().data<float>(), nullptr);
  const Tensor y = net.linear(empty({2, 6}, DType::bf16, kMeta));
  backward(sum(y));
  EXPECT_FALSE(arena.finish_grads().empty());
}

}  // namespace
}  // namespace noisette
