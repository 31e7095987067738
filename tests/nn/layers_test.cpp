// Each layer against the ops it is made of, its gradients in f64, and the streams of dropout.
#include "framework/nn/layers.h"

#include "framework/autograd/autograd.h"
#include "framework/nn/arena.h"
#include "framework/ops/activation.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/embedding.h"
#include "framework/ops/matmul.h"
#include "framework/ops/norm.h"
#include "framework/ops/random.h"
#include "framework/ops/shape.h"
#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::normals;
using testing_support::tensor_of;
using testing_support::values_of;

Tensor draw(const Shape& shape, DType dtype = DType::f64, uint32_t seed = 1) {
  std::mt19937 engine(seed);
  return tensor_of(normals(shape.numel(), engine, 0, 1), shape, dtype);
}

/// A module of one layer with memory, its parameters moved off their starting values.
template <class M>
struct Live {
  M layer;
  ParameterArena arena;

  template <class... A>
  explicit Live(DType dtype, A&&... a)
      : layer(std::forward<A>(a)...), arena(layer, {.dtype = dtype}) {
    for (const auto& e : arena.entries())
      copy(draw(e.shape, accumulator_of(dtype), uint32_t(e.offset) + 9),
           ParameterArena::view(arena.master(), e));
    arena.use(ParameterArena::Weights::master);
  }
  const Tensor& parameter(size_t slot) const { return layer.slots()[slot].parameter->value(); }
};

/// Gradients to every parameter of a layer and to x, against central differences in f64.
template <class M, class F>
void expect_gradients(Live<M>& live, const Tensor& input, const F& forward) {
  Tensor x = input.clone();
  x.requires_grad();
  live.arena.reset_grads();
  const Tensor y = forward(live.layer, x);
  const Tensor dy = draw(y.shape(), DType::f64, 77);
  backward(y, dy);
  EXPECT_TRUE(live.arena.finish_grads().empty());
  const NoGrad no_grad;
  const auto objective = [&] { return sum(mul(forward(live.layer, x), dy)).item(); };
  const double h = std::cbrt(std::numeric_limits<double>::epsilon());
  const auto expect = [&](const std::string& what, const Tensor& value, const Tensor& grad) {
    for (int64_t i = 0; i < value.numel(); ++i) {
      double& w = value.data<double>()[i];
      const double before = w;
      w = before + h;
      const double up = objective();
      w = before - h;
      const double down = objective();
      w = before;
      const double numeric = (up - down) / (2 * h);
      ASSERT_NEAR(grad.data<double>()[i], numeric, 1e-8 + 1e-7 * std::abs(numeric))
          << what << ", element " << i;
    }
  };
  expect("x", x, x.grad());
  for (const auto& e : live.arena.entries())
    expect(e.name, ParameterArena::view(live.arena.master(), e),
           ParameterArena::view(live.arena.grad(), e));
}

TEST(Layers, Linear) {
  Live<Linear> live(DType::f64, 5, 3);
  const Tensor x = draw({2, 4, 5}), r = draw({2, 4, 3}, DType::f64, 2);
  const Tensor y = live.layer(x, r);
  const Tensor want = add(linear(x, live.parameter(0), live.parameter(1)), r);
  const auto got = values_of(y), expected = values_of(want);
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-13);
  expect_gradients(live, x, [&](const Linear& m, const Tensor& in) { return m(in, r); });
}

TEST(Layers, LinearSilu) {
  Live<Linear> live(DType::f64, 5, 3);
  const Tensor x = draw({4, 5});
  EXPECT_EQ(values_of(live.layer.silu(x)), values_of(silu(live.layer(x))));
  expect_gradients(live, x, [](const Linear& m, const Tensor& in) { return m.silu(in); });
}

TEST(Layers, LinearGroupIsItsLinearsSideBySide) {
  Live<LinearGroup> live(DType::f64, 4, 3, std::vector<std::string>{"a", "b"});
  const Tensor x = draw({5, 4});
  const auto y = split_channels(live.layer(x), {3, 3});
  for (const int64_t i : {0, 1}) {
    const auto& entries = live.arena.entries();
    const auto part = [&](const std::string& name) {
      for (const auto& e : entries)
        if (e.name == (i ? "b." : "a.") + name) return ParameterArena::view(live.arena.master(), e);
      return Tensor();
    };
    EXPECT_EQ(values_of(y[size_t(i)]), values_of(linear(x, part("weight"), part("bias"))));
  }
  expect_gradients(live, x, [](const LinearGroup& m, const Tensor& in) { return m(in); });
}

TEST(Layers, Conv2d) {
  Live<Conv2d> live(DType::f64, 2, 3, 3, Conv2dOptions{.stride = 2, .padding = {0, 0, 1, 1}});
  const Tensor x = draw({1, 4, 6, 2});
  const Tensor y = live.layer(x);
  EXPECT_EQ(y.shape(), (Shape{1, 2, 3, 3}));
  EXPECT_EQ(values_of(y), values_of(conv2d(x, live.parameter(0), live.parameter(1),
                                           {.stride = 2, .padding = {0, 0, 1, 1}})));
  expect_gradients(live, x, [](const Conv2d& m, const Tensor& in) { return m(in); });
}

TEST(Layers, ConvolutionsKeepTheSizeByDefault) {
  Live<Conv2d> three(DType::f64, 2, 3, 3), one(DType::f64, 2, 3, 1);
  const Tensor x = draw({1, 3, 5, 2});
  EXPECT_EQ(three.layer(x).shape(), (Shape{1, 3, 5, 3}));
  EXPECT_EQ(one.layer(x).shape(), (Shape{1, 3, 5, 3}));
  const Tensor r = draw({1, 3, 5, 3}, DType::f64, 3);
  const auto got = values_of(three.layer(x, r)), want = values_of(add(three.layer(x), r));
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-13);
}

TEST(Layers, GroupNorm) {
  Live<GroupNorm> live(DType::f64, 6, 3, 1e-3);
  const Tensor x = draw({2, 3, 2, 6}), shift = draw({2, 6}, DType::f64, 4);
  const auto norm = [&](const Tensor& in) {
    return group_norm(in, live.parameter(0), live.parameter(1), 3, {.eps = 1e-3});
  };
  EXPECT_EQ(values_of(live.layer(x)), values_of(norm(x)));
  const auto got = values_of(live.layer.silu(x, shift)),
             want = values_of(silu(norm(add_per_sample(x, shift))));
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-12);
  expect_gradients(live, x,
                   [&](const GroupNorm& m, const Tensor& in) { return m.silu(in, shift); });
}

TEST(Layers, Embedding) {
  Live<Embedding> live(DType::f64, 4, 3);
  const Tensor index = from_vector<int64_t>({3, 0, 3}, {3});
  EXPECT_EQ(values_of(live.layer(index)), values_of(embedding(live.parameter(0), index)));
  // Added to x, so that the harness has an input to differentiate.
  expect_gradients(live, draw({3, 3}), [&](const Embedding& m, const Tensor& in) {
    return add(mul(in, in), m(index));
  });
}

struct TwoDropouts final : Module {
  Dropout first{0.5}, second{0.5};
  TwoDropouts(const char* a = "first", const char* b = "second") {
    add(a, first);
    add(b, second);
  }
};

ForwardContext training(uint64_t seed, std::vector<int64_t> index) {
  const auto n = int64_t(index.size());
  return {.training = true, .seed = seed, .sample_index = from_vector(std::move(index), {n})};
}

TEST(Dropout, DrawsByPathSeedAndSample) {
  TwoDropouts net;
  net.set_paths();
  const Tensor x = full({2, 64}, 1, DType::f32);
  const auto context = training(1, {5, 6});
  const auto y = to_vector<float>(net.first(x, context));
  EXPECT_EQ(y, to_vector<float>(net.first(x, context)));
  EXPECT_NE(y, to_vector<float>(net.second(x, context)));
  EXPECT_NE(y, to_vector<float>(net.first(x, training(2, {5, 6}))));
  // A sample's mask does not depend on its neighbours.
  const auto swapped = to_vector<float>(net.first(x, training(1, {6, 5})));
  EXPECT_TRUE(std::equal(y.begin(), y.begin() + 64, swapped.begin() + 64));
  EXPECT_TRUE(std::equal(y.begin() + 64, y.end(), swapped.begin()));
  // The path names the stream, not the order of registration.
  TwoDropouts renamed("second", "first");
  renamed.set_paths();
  EXPECT_EQ(y, to_vector<float>(renamed.second(x, context)));
}

TEST(Dropout, IsTheOpWhileTrainingAndNothingElse) {
  TwoDropouts net;
  net.set_paths();
  const Tensor x = full({1, 4096}, 1, DType::f32);
  EXPECT_TRUE(net.first(x, {}).same_data(x));
  const Dropout none(0);
  EXPECT_TRUE(none(x, training(1, {1})).same_data(x));
  double mean = 0;
  for (const float v : to_vector<float>(net.first(x, training(1, {1})))) {
    EXPECT_TRUE(v == 0 || v == 2);
    mean += v / 4096;
  }
  EXPECT_NEAR(mean, 1, 5 / std::sqrt(4096.0));  // standard deviation 1 each
}

}  // namespace
}  // namespace noisette
