// AdamW over an arena, against the same algorithm written out in doubles.
#include "framework/optim/adamw.h"

#include "framework/nn/layers.h"
#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::message_of;
using testing_support::normals;
using testing_support::values_of;

/// One matrix and two vectors, with gaps between them.
struct Net final : Module {
  Linear linear{5, 7};
  GroupNorm norm{6, 2, 1e-5};
  Net() {
    add("linear", linear);
    add("norm", norm);
  }
};

struct Trained {
  Net net;
  ParameterArena arena;
  OptimizerConfig config;
  AdamW adamw;
  std::mt19937 engine{17};

  Trained(const OptimizerConfig& c, DType dtype = DType::f32, bool ema = true, int64_t updates = 10)
      : arena(net, {.dtype = dtype, .ema = ema}),
        config(c),
        adamw((arena.initialize(1), arena), c, updates) {}

  /// Fresh gradients of the given size in every entry; the gaps keep their zeros.
  void draw_gradients(double scale) {
    for (const auto& e : arena.entries()) {
      const auto g = normals(e.shape.numel(), engine, 0, scale);
      set(arena.grad(), e, g);
    }
  }
  void set(const Tensor& flat, const ParameterArena::Entry& e, const std::vector<double>& values) {
    copy(testing_support::tensor_of(values, e.shape, flat.dtype()), ParameterArena::view(flat, e));
  }
  AdamW::Report step(int64_t update) { return AdamW::read(adamw.step(update)); }
  std::vector<double> state() const {
    std::vector<double> all;
    for (const Tensor* t :
         {&arena.master(), &arena.m(), &arena.v(), &arena.ema(), &arena.compute()})
      if (t->defined())
        for (const double v : values_of(*t)) all.push_back(v);
    return all;
  }
};

/// Loshchilov & Hutter 2019, algorithm 2, with PyTorch's clip and a running average, one number at
/// a time.
struct Reference {
  std::vector<double> w, m, v, average;
  std::vector<bool> decays;

  explicit Reference(const Trained& t) : w(values_of(t.arena.master())), average(w) {
    m.resize(w.size());
    v.resize(w.size());
    for (size_t i = 0; i < w.size(); ++i)
      decays.push_back(int64_t(i) < t.arena.matrix_size() || t.config.decay_vectors);
  }
  double step(const std::vector<double>& g, const OptimizerConfig& c, int64_t k, int64_t updates) {
    double norm = 0;
    for (const double x : g) norm += x * x;
    norm = std::sqrt(norm);
    const double clip = c.clip_norm > 0 ? std::min(1.0, c.clip_norm / (norm + 1e-6)) : 1;
    const double rate = learning_rate_at(c, k, updates), d = ema_decay_at(c, k);
    for (size_t i = 0; i < w.size(); ++i) {
      const double x = clip * g[i];
      w[i] -= rate * (decays[i] ? c.weight_decay : 0) * w[i];
      m[i] = c.beta1 * m[i] + (1 - c.beta1) * x;
      v[i] = c.beta2 * v[i] + (1 - c.beta2) * x * x;
      const double m_hat = m[i] / (1 - std::pow(c.beta1, double(k + 1))),
                   v_hat = v[i] / (1 - std::pow(c.beta2, double(k + 1)));
      w[i] -= rate * m_hat / (std::sqrt(v_hat) + c.eps);
      average[i] = d * average[i] + (1 - d) * w[i];
    }
    return norm;
  }
};

const OptimizerConfig kAll{.learning_rate = 1e-2,
                           .warmup = 3,
                           .decay = Decay::cosine,
                           .final_learning_rate = 1e-3,
                           .beta2 = 0.99,
                           .weight_decay = 0.1,
                           .clip_norm = 2,
                           .ema_decay = 0.95,
                           .ema_warmup = true};

TEST(AdamWOptimizer, FollowsTheAlgorithmForTenUpdates) {
  for (const DType dtype : {DType::f64, DType::f32})
    for (const bool vectors : {false, true}) {
      OptimizerConfig c = kAll;
      c.decay_vectors = vectors;
      Trained run(c, dtype);
      Reference want(run);
      const double bound = dtype == DType::f64 ? 1e-14 : 1e-6;
      for (int64_t k = 0; k < 10; ++k) {
        run.draw_gradients(k % 3 == 0 ? 0.01 : 3);  // the clip acts on some
        const double norm = want.step(values_of(run.arena.grad()), c, k, 10);
        const auto report = run.step(k);
        EXPECT_NEAR(report.grad_norm / norm, 1, 1e-12);
        EXPECT_EQ(report.learning_rate, learning_rate_at(c, k, 10));
        EXPECT_TRUE(report.finite);
      }
      const auto w = values_of(run.arena.master()), a = values_of(run.arena.ema());
      for (size_t i = 0; i < w.size(); ++i) {
        EXPECT_NEAR(w[i], want.w[i], bound) << i;
        EXPECT_NEAR(a[i], want.average[i], bound) << i;
      }
    }
}

TEST(AdamWOptimizer, DecaysVectorsOnlyWhenAsked) {
  for (const bool vectors : {false, true}) {
    OptimizerConfig c{.learning_rate = 0.5, .weight_decay = 0.5, .decay_vectors = vectors};
    Trained run(c);
    const auto before = values_of(run.arena.master());
    fill(run.arena.grad(), 0);
    run.step(0);
    const auto after = values_of(run.arena.master());
    for (size_t i = 0; i < after.size(); ++i) {
      const bool decays = int64_t(i) < run.arena.matrix_size() || vectors;
      EXPECT_NEAR(after[i], before[i] * (decays ? 0.75 : 1), 1e-7) << i;
    }
  }
}

TEST(AdamWOptimizer, TheComputeCopyIsTheRoundedMaster) {
  Trained run(kAll, DType::bf16);
  for (int64_t k = 0; k < 4; ++k) {
    run.draw_gradients(1);
    run.step(k);
    const auto master = to_vector<float>(run.arena.master());
    const auto low = values_of(run.arena.compute());
    for (size_t i = 0; i < low.size(); ++i) ASSERT_EQ(low[i], double(float(bfloat16(master[i]))));
  }
}

/// With zero gradients and no decay the weights w stand still, and k updates of decay d leave d^k
/// of the start: average = w + d^k (start - w). With the warm-up, d^k is the product of the decays.
TEST(AdamWOptimizer, TheAverageOfConstantWeightsHasAClosedForm) {
  for (const bool warmup : {false, true}) {
    Trained run({.clip_norm = 0, .ema_decay = 0.9, .ema_warmup = warmup}, DType::f64);
    fill(run.arena.ema(), 3);
    fill(run.arena.grad(), 0);
    const auto w = values_of(run.arena.master());
    double left = 1;
    for (int64_t k = 0; k < 25; ++k) {
      run.step(k);
      left *= warmup ? std::min(0.9, double(1 + k) / double(10 + k)) : 0.9;
      const auto average = values_of(run.arena.ema());
      for (size_t i = 0; i < w.size(); ++i)
        ASSERT_NEAR(average[i], w[i] + left * (3 - w[i]), 1e-14) << "update " << k;
    }
    EXPECT_EQ(values_of(run.arena.master()), w);
  }
}

TEST(AdamWOptimizer, ABadGradientChangesNothingThenOrLater) {
  for (const double bad : {NAN, INFINITY, -INFINITY}) {
    Trained run(kAll, DType::bf16);
    run.draw_gradients(1);
    EXPECT_TRUE(run.step(0).finite);
    const auto before = run.state();
    run.draw_gradients(1);
    run.arena.grad().data<float>()[run.arena.find("norm.bias")->offset + 2] = float(bad);
    EXPECT_FALSE(run.step(1).finite);
    EXPECT_EQ(run.state(), before);
    run.draw_gradients(1);  // the next gradient is fine, but the run is to stop and be explained
    EXPECT_FALSE(run.step(2).finite);
    EXPECT_EQ(run.state(), before);
  }
}

TEST(AdamWOptimizer, WorksWithoutAnAverage) {
  Trained with(kAll), without(kAll, DType::f32, false);
  for (int64_t k = 0; k < 3; ++k) {
    with.draw_gradients(1);
    without.draw_gradients(1);
    with.step(k);
    without.step(k);
  }
  EXPECT_EQ(values_of(with.arena.master()), values_of(without.arena.master()));
  EXPECT_FALSE(without.arena.ema().defined());
}

TEST(AdamWOptimizer, GapsStayZero) {
  Trained run(kAll);
  for (int64_t k = 0; k < 5; ++k) {
    run.draw_gradients(1);
    run.step(k);
  }
  std::vector<char> used(size_t(run.arena.size()));
  for (const auto& e : run.arena.entries())
    std::fill_n(used.begin() + e.offset, e.shape.numel(), char(1));
  const auto w = values_of(run.arena.master()), a = values_of(run.arena.ema());
  for (size_t i = 0; i < w.size(); ++i) EXPECT_TRUE(used[i] || (w[i] == 0 && a[i] == 0)) << i;
}

TEST(AdamWOptimizer, RefusesAnArenaForInference) {
  Net net;
  ParameterArena arena(net, {.trainable = false});
  EXPECT_NE(message_of([&] { AdamW(arena, {}, 10); }).find("made for inference"),
            std::string::npos);
}

TEST(AdamWOptimizer, RefusesAnArenaThatShowsTheAverage) {
  Net net;
  ParameterArena arena(net, {.ema = true});
  arena.initialize(0);
  AdamW optimizer(arena, {}, 10);
  arena.use(ParameterArena::Weights::ema);
  EXPECT_NE(message_of([&] { optimizer.step(0); }).find("shows the average"), std::string::npos);
}

}  // namespace
}  // namespace noisette
