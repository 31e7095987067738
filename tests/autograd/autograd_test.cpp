// The tape itself, on two ops small enough to read: y = a + b and y = x * x.
#include "framework/autograd/autograd.h"

#include <gtest/gtest.h>

#include "tests/support/message.h"

namespace noisette {
namespace {

using testing_support::message_of;

Tensor vec(std::vector<double> v) { return from_vector(v, {int64_t(v.size())}); }

Tensor add(const Tensor& a, const Tensor& b) {
  Tensor y = empty_like(a);
  for (int64_t i = 0; i < y.numel(); ++i)
    y.data<double>()[i] = a.data<double>()[i] + b.data<double>()[i];
  return record("add", y, {a, b}, [](const Tensor& dy, const Needs&) -> Grads { return {dy, dy}; });
}

Tensor square(const Tensor& x, double scale = 1) {
  Tensor y = empty_like(x);
  for (int64_t i = 0; i < y.numel(); ++i)
    y.data<double>()[i] = x.data<double>()[i] * x.data<double>()[i];
  return record("square", y, {x}, [x = x.detach(), scale](const Tensor& dy, const Needs&) -> Grads {
    Tensor dx = empty_like(x);
    for (int64_t i = 0; i < x.numel(); ++i)
      dx.data<double>()[i] = scale * 2 * x.data<double>()[i] * dy.data<double>()[i];
    return {dx};
  });
}

TEST(Autograd, SharedInputsAccumulate) {
  Tensor x = vec({1, -2, 3});
  x.requires_grad();
  const Tensor y = add(add(square(x), x), x);  // x^2 + 2x
  backward(y, vec({1, 10, 100}));
  EXPECT_EQ(to_vector<double>(x.grad()), (std::vector<double>{4, -20, 800}));
}

TEST(Autograd, LeavesKeepAddingUntilReset) {
  Tensor x = vec({3});
  x.requires_grad();
  backward(square(x));
  backward(square(x));
  EXPECT_EQ(x.grad().item(), 12);
  reset_grad(x);
  EXPECT_FALSE(x.grad().defined());
  backward(square(x));
  EXPECT_EQ(x.grad().item(), 6);
}

TEST(Autograd, AGradientSharedByTwoInputsIsNotOverwritten) {
  Tensor x = vec({1}), z = vec({5});
  x.requires_grad();
  z.requires_grad();
  const Tensor a = square(x), b = square(z);
  backward(
      add(add(a, b), a));  // 2a + b: the cotangent of the inner add reaches a and b as one tensor
  EXPECT_EQ(x.grad().item(), 4);
  EXPECT_EQ(z.grad().item(), 10);
}

TEST(Autograd, AnOpWithoutAGradientThrowsWhenReached) {
  Tensor x = vec({1});
  x.requires_grad();
  const Tensor y = record("round", x.clone(), {x});
  EXPECT_EQ(message_of([&] { backward(y); }).substr(0, 25), "[round] has no gradient, ");
}

TEST(Autograd, ASecondSweepThrows) {
  Tensor x = vec({1});
  x.requires_grad();
  const Tensor y = square(x);
  backward(y);
  EXPECT_NE(message_of([&] { backward(y); }).find("used and freed"), std::string::npos);
}

TEST(Autograd, AGradientOfTheWrongShapeNamesTheOp) {
  Tensor x = vec({1, 2});
  x.requires_grad();
  const Tensor y = record("broken", x.clone(), {x}, [](const Tensor&, const Needs&) -> Grads {
    return {vec({1, 2, 3})};
  });
  EXPECT_NE(message_of([&] {
              backward(y, vec({1, 1}));
            }).find("[broken] gradient of input 0"),
            std::string::npos);
}

TEST(Autograd, NoGradRecordsNothing) {
  Tensor x = vec({1});
  x.requires_grad();
  const NoGrad no_grad;
  EXPECT_FALSE(square(x).needs_grad());
}

TEST(Autograd, RecomputeIsBitEqual) {
  const auto body = [](const std::vector<Tensor>& in) {
    return add(square(in[0]), add(in[0], in[1]));
  };
  const auto run = [&](bool recomputed) {
    Tensor x = vec({0.1, 0.7, -1.3}), w = vec({0.3, 0.2, 0.9});
    x.requires_grad();
    w.requires_grad();
    const Tensor h = square(x);
    const Tensor y = recomputed ? recompute(body, {h, w}) : body({h, w});
    backward(add(square(y), h), vec({0.3, 0.6, 0.9}));
    return std::pair(to_vector<double>(x.grad()), to_vector<double>(w.grad()));
  };
  EXPECT_EQ(run(true), run(false));
}

TEST(Autograd, LongChainsAreFreedWithoutRecursion) {
  Tensor x = vec({1});
  x.requires_grad();
  Tensor y = x;
  for (int i = 0; i < 200'000; ++i) y = add(y, x);
  y = Tensor();
  SUCCEED();
}

TEST(Autograd, FiniteCheckNamesTheOpAndTheParameter) {
  Tensor w = make_leaf(vec({1e200}), {}, "conv_in.weight");
  const FiniteCheck check_all;
  EXPECT_NE(message_of([&] { square(w); }).find("[square] the output [1] using conv_in.weight"),
            std::string::npos);
}

TEST(Autograd, TheTapeFreesWhatItSavedAsItGoes) {
  const int64_t before = Allocator::of(kCpu).stats().live_bytes;
  {
    Tensor x = vec({1});
    x.requires_grad();
    const Tensor y = square(square(x));
    backward(y);
  }
  EXPECT_EQ(Allocator::of(kCpu).stats().live_bytes, before);
}

}  // namespace
}  // namespace noisette
