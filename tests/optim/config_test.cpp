// The learning rate and the average's decay over a run.
#include "framework/optim/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace noisette {
namespace {

std::vector<double> rates(const OptimizerConfig& c, int64_t updates) {
  std::vector<double> r;
  for (int64_t k = 0; k < updates; ++k) r.push_back(learning_rate_at(c, k, updates));
  return r;
}

void expect_rates(const OptimizerConfig& c, const std::vector<double>& want) {
  const auto got = rates(c, int64_t(want.size()));
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-15) << "update " << i;
}

TEST(LearningRate, ConstantAfterALinearWarmUp) {
  expect_rates({.learning_rate = 8}, {8, 8, 8});
  expect_rates({.learning_rate = 8, .warmup = 4}, {0, 2, 4, 6, 8, 8, 8});
}

TEST(LearningRate, LinearReachesItsEndWithTheLastUpdate) {
  expect_rates({.learning_rate = 8, .decay = Decay::linear}, {8, 6, 4, 2, 0});
  expect_rates({.learning_rate = 8, .warmup = 2, .decay = Decay::linear, .final_learning_rate = 2},
               {0, 4, 8, 6, 4, 2});
}

TEST(LearningRate, CosineReachesItsEndWithTheLastUpdate) {
  const double root = std::sqrt(0.5);
  expect_rates({.learning_rate = 2, .decay = Decay::cosine}, {2, 1 + root, 1, 1 - root, 0});
  expect_rates({.learning_rate = 2, .warmup = 2, .decay = Decay::cosine, .final_learning_rate = 1},
               {0, 1, 2, 1.75, 1.25, 1});
}

TEST(LearningRate, ARunShorterThanItsWarmUpOnlyRises) {
  expect_rates({.learning_rate = 8, .warmup = 4, .decay = Decay::cosine}, {0, 2, 4});
  expect_rates({.learning_rate = 8, .decay = Decay::cosine}, {8});
}

TEST(LearningRate, StaysAtItsEndBeyondTheRun) {
  EXPECT_EQ(learning_rate_at({.learning_rate = 8, .decay = Decay::linear, .final_learning_rate = 1},
                             50, 10),
            1);
}

TEST(AverageDecay, WarmUpIsOnePlusNOverTenPlusN) {
  const OptimizerConfig c{.ema_decay = 0.9, .ema_warmup = true};
  EXPECT_DOUBLE_EQ(ema_decay_at(c, 0), 1.0 / 10);
  EXPECT_DOUBLE_EQ(ema_decay_at(c, 1), 2.0 / 11);
  EXPECT_DOUBLE_EQ(ema_decay_at(c, 79), 80.0 / 89);
  EXPECT_DOUBLE_EQ(ema_decay_at(c, 80), 0.9);
  EXPECT_DOUBLE_EQ(ema_decay_at(c, 100000), 0.9);
  EXPECT_DOUBLE_EQ(ema_decay_at({.ema_decay = 0.9}, 0), 0.9);
}

}  // namespace
}  // namespace noisette
