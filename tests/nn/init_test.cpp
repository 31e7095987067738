// Where weights start: their distribution, and what it does not depend on.
#include <algorithm>

#include "framework/nn/arena.h"
#include "framework/nn/layers.h"
#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::values_of;

template <class Net>
std::vector<double> start_of(const std::string& name, uint64_t seed = 5, DType dtype = DType::f32) {
  Net net;
  ParameterArena arena(net, {.dtype = dtype});
  arena.initialize(seed);
  return values_of(ParameterArena::view(arena.master(), *arena.find(name)));
}

struct Forwards final : Module {
  Linear a{8, 16}, b{16, 8};
  LinearGroup fused{8, 8, {"to_q", "to_k", "to_v"}};
  Forwards() {
    add("a", a);
    add("b", b);
    add("", fused);
  }
};
struct Backwards final : Module {
  Linear to_v{8, 8}, to_q{8, 8}, to_k{8, 8}, b{16, 8}, a{8, 16};
  Backwards() {
    add("to_v", to_v);
    add("to_q", to_q);
    add("to_k", to_k);
    add("b", b);
    add("a", a);
  }
};

TEST(Init, DependsOnSeedAndNameAlone) {
  for (const char* name : {"a.weight", "a.bias", "b.weight", "to_q.weight", "to_k.weight",
                           "to_v.weight", "to_k.bias"}) {
    const auto start = start_of<Forwards>(name);
    EXPECT_EQ(start, start_of<Backwards>(name)) << name;  // nor on being fused
    EXPECT_EQ(start, start_of<Forwards>(name, 5, DType::bf16)) << name;
    EXPECT_NE(start, start_of<Forwards>(name, 6)) << name;
    const auto wide = start_of<Forwards>(name, 5, DType::f64);
    for (size_t i = 0; i < start.size(); ++i) EXPECT_EQ(start[i], double(float(wide[i])));
  }
  EXPECT_NE(start_of<Forwards>("to_q.weight"), start_of<Forwards>("to_k.weight"));
}

struct Moments {
  double mean = 0, variance = 0, largest = 0;
  explicit Moments(const std::vector<double>& x) {
    for (const double v : x) mean += v / double(x.size());
    for (const double v : x) variance += (v - mean) * (v - mean) / double(x.size());
    for (const double v : x) largest = std::max(largest, std::abs(v));
  }
};

/// 64 * 48 * 9 = 27,648 weights. The mean is good to 5 standard errors, the variance of a uniform
/// sample too: sqrt((9/5 - 1) / n) = 0.54 % relative each.
template <class M>
void expect_uniform(M& module, const std::string& name, double bound) {
  ParameterArena arena(module, {});
  arena.initialize(11);
  const auto x = values_of(ParameterArena::view(arena.master(), *arena.find(name)));
  const Moments m(x);
  const double variance = bound * bound / 3, n = double(x.size());
  EXPECT_LE(m.largest, bound * (1 + 1e-6));
  EXPECT_GE(m.largest, bound * (1 - 20 / n));
  EXPECT_LE(std::abs(m.mean), 5 * std::sqrt(variance / n));
  EXPECT_NEAR(m.variance / variance, 1, 5 * std::sqrt(0.8 / n));
}

TEST(Init, TorchsDefaultIsUniformInOneOverRootFanIn) {
  Conv2d conv(48, 64, 3, LayerInit::torch());
  expect_uniform(conv, "weight", 1 / std::sqrt(48.0 * 9));
  Linear linear(64, 4096, LayerInit::torch());
  expect_uniform(linear, "weight", 1 / 8.0);
  Linear again(64, 4096, LayerInit::torch());
  expect_uniform(again, "bias", 1 / 8.0);  // the fan of its weight
}

TEST(Init, DdpmsScalesVarianceByTheMeanFan) {
  Conv2d conv(48, 64, 3, LayerInit::ddpm());
  expect_uniform(conv, "weight", std::sqrt(3 / (9 * (48 + 64) / 2.0)));
  Linear linear(64, 512, LayerInit::ddpm());
  expect_uniform(linear, "weight", std::sqrt(3 / ((64 + 512) / 2.0)));
}

TEST(Init, DdpmsLastLayersAreNextToSilentButNotZero) {
  Conv2d conv(48, 64, 3, LayerInit::ddpm(0));
  expect_uniform(conv, "weight", std::sqrt(3e-10 / (9 * (48 + 64) / 2.0)));
}

TEST(Init, BiasesOfDdpmAndNormsStartPlain) {
  struct Net final : Module {
    Linear linear{8, 8, LayerInit::ddpm()};
    GroupNorm norm{8, 2, 1e-5};
    Net() {
      add("linear", linear);
      add("norm", norm);
    }
  };
  EXPECT_EQ(start_of<Net>("linear.bias"), std::vector<double>(8, 0));
  EXPECT_EQ(start_of<Net>("norm.bias"), std::vector<double>(8, 0));
  EXPECT_EQ(start_of<Net>("norm.weight"), std::vector<double>(8, 1));
}

TEST(Init, EmbeddingsAreNormal) {
  Embedding table(101, 130, {Init::Kind::normal, 2});
  ParameterArena arena(table, {});
  arena.initialize(2);
  auto x = values_of(arena.master().rows(0, 101 * 130));
  const Moments m(x);
  const double n = double(x.size());
  EXPECT_LE(std::abs(m.mean), 5 * 2 / std::sqrt(n));
  EXPECT_NEAR(m.variance / 4, 1, 5 * std::sqrt(2 / n));
  // Kolmogorov and Smirnov's distance; 1.95 / sqrt(n) is passed by one sample in a thousand.
  std::sort(x.begin(), x.end());
  double distance = 0;
  for (size_t i = 0; i < x.size(); ++i)
    distance = std::max(
        distance, std::abs(0.5 * std::erfc(-x[i] / 2 / std::sqrt(2.0)) - (double(i) + 0.5) / n));
  EXPECT_LE(distance, 1.95 / std::sqrt(n));
}

TEST(Init, StartsTheAverageAsACopyAndTheMomentsAtZero) {
  Forwards net;
  ParameterArena arena(net, {.ema = true});
  fill(arena.m(), 1);
  fill(arena.v(), 1);
  arena.initialize(1);
  EXPECT_EQ(to_vector<float>(arena.ema()), to_vector<float>(arena.master()));
  for (const Tensor* t : {&arena.m(), &arena.v()})
    for (const float v : to_vector<float>(*t)) EXPECT_EQ(v, 0);
}

}  // namespace
}  // namespace noisette
