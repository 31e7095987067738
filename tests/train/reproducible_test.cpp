// The same configuration gives the same run: twice, interrupted, in smaller pieces, on other
// numbers of threads.
#include <omp.h>

#include <cmath>
#include <map>
#include <set>
#include <thread>

#include "framework/autograd/autograd.h"
#include "framework/ops/random.h"
#include "tests/train/training.h"
#include "train/feed.h"
#include "train/task.h"

namespace noisette {
namespace {

using namespace test;

struct Kind {
  Precision precision = Precision::f32;
  int64_t micro_batch = 0;
};

TrainConfig of_kind(TrainConfig c, const Kind& kind) {
  c.run.precision = kind.precision;
  c.run.micro_batch = kind.micro_batch;
  return c;
}

class EveryKind : public testing::TestWithParam<Kind> {
  const KeptBf16 bf16_;
};
INSTANTIATE_TEST_SUITE_P(Run, EveryKind,
                         testing::Values(Kind{Precision::f32, 0}, Kind{Precision::f32, 2},
                                         Kind{Precision::bf16, 0}, Kind{Precision::bf16, 3}),
                         [](const auto& info) {
                           return fmt::format("{}_micro_batch_{}",
                                              config::name_of(info.param.precision),
                                              info.param.micro_batch);
                         });

TEST_P(EveryKind, TwoRunsAreEqual) {
  const Training t;
  TrainConfig a = of_kind(t.config("a"), GetParam()), b = of_kind(t.config("b"), GetParam());
  a.run.updates = b.run.updates = 3;
  omp_set_num_threads(2);
  const auto state = state_of(run(a));
  EXPECT_EQ(state, state_of(run(b)));
  EXPECT_EQ(records_of(a), records_of(b));
  b.run.name = "c";
  b.run.seed_value = 1;
  EXPECT_NE(state, state_of(run(b)));
}

TEST_P(EveryKind, AResumedRunIsEqualToOneThatNeverStopped) {
  const Training t;
  TrainConfig whole = of_kind(t.config("whole"), GetParam()),
              parts = of_kind(t.config("parts"), GetParam());
  whole.run.updates = 9;
  whole.run.log_every = parts.run.log_every = 3;
  const auto state = state_of(run(whole));
  for (const int64_t end : {1, 4, 9}) {  // within an epoch, and between two records
    parts.run.updates = end;
    const TrainResult r = end == 1 ? run(parts) : resume(parts);
    EXPECT_EQ(r.update, end);
    EXPECT_FALSE(r.interrupted);
    if (end == 9) {
      EXPECT_EQ(state, state_of(r));
    }
  }
  // Each end of a part has a record of its own; the losses since the last one are not lost
  // otherwise.
  std::vector<int64_t> updates;
  for (const Metrics& m : read_metrics(parts.run_folder() / "metrics.jsonl"))
    updates.push_back(m.update);
  EXPECT_EQ(updates, (std::vector<int64_t>{1, 3, 4, 6, 9}));
}

TEST_P(EveryKind, AnInterruptedRunGoesOnAsIfItHadNotBeen) {
  const Training t;
  TrainConfig whole = of_kind(t.config("whole"), GetParam()),
              parts = of_kind(t.config("parts"), GetParam());
  whole.run.updates = parts.run.updates = 60;
  whole.run.log_every = parts.run.log_every = 7;
  const auto state = state_of(run(whole));
  TrainResult r;
  int interruptions = 0;
  for (int64_t at = 0;; ++interruptions) {
    std::atomic<bool> stop = false, done = false;
    std::thread watcher([&] {  // stops once another record has been written
      const auto file = parts.run_folder() / "metrics.jsonl";
      while (!done &&
             (!std::filesystem::exists(file) || read_metrics(file).size() <= std::size_t(at)))
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      stop = true;
    });
    TrainOptions options;
    options.stop = &stop;
    {
      const Quiet quiet;
      if (interruptions > 0) options.resume = find_resume(parts, "auto");
      r = train(parts, options);
    }
    done = true;
    watcher.join();
    if (!r.interrupted) break;
    ASSERT_LT(interruptions, 60);
    verify_checkpoint(r.checkpoint);
    at = int64_t(read_metrics(parts.run_folder() / "metrics.jsonl").size());
  }
  EXPECT_GE(interruptions, 1);
  EXPECT_EQ(r.update, 60);
  EXPECT_EQ(state, state_of(r));
  EXPECT_EQ(records_of(whole), records_of(parts))
      << "no record twice, none left out, none different";
}

TEST(Run, ASetStopFlagSavesAtOnce) {
  const Training t;
  TrainConfig c = t.config("a"), whole = t.config("whole");
  c.run.updates = whole.run.updates = 3;
  std::atomic<bool> stop = true;
  const TrainResult r = run(c, {.stop = &stop});
  EXPECT_TRUE(r.interrupted);
  EXPECT_EQ(r.update, 0);
  EXPECT_EQ(state_of(resume(c)), state_of(run(whole)));
}

TEST(Run, MicroBatchesAreOneBatch) {
  const Training t;
  TrainConfig whole = t.config("whole");
  whole.run.batch = 7;
  whole.run.updates = 6;
  run(whole);
  const auto expected = losses_of(whole);
  for (const int64_t micro : {1, 2, 3, 7, 100}) {
    TrainConfig c = whole;
    c.run.name = fmt::format("by-{}", micro);
    c.run.micro_batch = micro;
    run(c);
    const auto losses = losses_of(c);
    ASSERT_EQ(losses.size(), expected.size());
    // f32 sums in another order, through up to five updates: differences of 1e-6 were seen
    for (std::size_t i = 0; i < losses.size(); ++i)
      EXPECT_NEAR(losses[i], expected[i], 1e-5 * expected[i]) << micro << ", update " << i + 1;
  }
}

// ---- what is drawn

/// Everything random in a step.
struct Drawn {
  std::vector<uint8_t> image;
  std::vector<float> noise;
  int64_t label = 0, timestep = 0;
  double loss = 0;  // of the untrained network: a witness of the noise that the task really used
};

/// The draws of updates [first, end), by sample.
std::map<int64_t, Drawn> draws(TrainConfig c, int64_t first, int64_t end) {
  c.run.updates = end;
  c.model.dropout = 0;
  c.model.init = WeightInit::torch;
  const DataSplit data = DataSplit::open(c.data.path, "train");
  const auto task = make_task(c);
  ParameterArena arena(task->module(), {.dtype = DType::f32, .trainable = false});
  arena.initialize(1);
  Feed feed(c, data, first);
  std::map<int64_t, Drawn> all;
  for (int64_t left = (end - first) * c.run.batch; left > 0;) {
    const NoGrad no_grad;
    const Batch batch = feed.next();
    const int64_t n = batch.images.dim(0), item = batch.images.numel() / n;
    const StepLoss loss = task->loss(batch, c.run.batch, false);
    const Tensor noise =
        normal({n, item}, DType::f32, {c.run.seed(), Purpose::kNoise}, batch.sample_index);
    for (int64_t i = 0; i < n; ++i) {
      const auto images =
          batch.images.span<uint8_t>().subspan(std::size_t(i * item), std::size_t(item));
      const auto noises = noise.span<float>().subspan(std::size_t(i * item), std::size_t(item));
      all[batch.sample_index.data<int64_t>()[i]] = {{images.begin(), images.end()},
                                                    {noises.begin(), noises.end()},
                                                    batch.labels.data<int64_t>()[i],
                                                    loss.timesteps.data<int64_t>()[i],
                                                    double(loss.per_sample.data<float>()[i])};
    }
    left -= n;
  }
  return all;
}

void expect_same_draws(const std::map<int64_t, Drawn>& a, const std::map<int64_t, Drawn>& b) {
  for (const auto& [sample, x] : a) {
    const auto at = b.find(sample);
    ASSERT_NE(at, b.end()) << sample;
    const Drawn& y = at->second;
    EXPECT_EQ(x.image, y.image);
    EXPECT_EQ(x.noise, y.noise);
    EXPECT_EQ(x.label, y.label);
    EXPECT_EQ(x.timestep, y.timestep);
    EXPECT_NEAR(x.loss, y.loss, 1e-5 * x.loss);  // the network's sums may be split differently
  }
}

TEST(Draws, DoNotDependOnTheNumberOfThreads) {
  const Training t;
  const auto one = draws(t.config("a"), 0, 2);
  for (const int threads : {2, 3}) {
    omp_set_num_threads(threads);
    const auto other = draws(t.config("a"), 0, 2);
    EXPECT_EQ(one.size(), other.size());
    expect_same_draws(one, other);
  }
}

TEST(Draws, DependOnSeedUpdateAndPositionAlone) {
  const Training t;
  TrainConfig c = t.config("a");
  const auto all = draws(c, 0, 6);
  EXPECT_EQ(all.size(), 30u);
  for (const int64_t micro : {1, 2, 3}) {
    c.run.micro_batch = micro;
    expect_same_draws(draws(c, 3, 6), all);  // and wherever the run is taken up
  }
  TrainConfig larger =
      t.config("a");  // other images then, but the same noise and timestep at a position
  larger.run.batch = 8;
  const auto wide = draws(larger, 0, 6);
  for (const auto& [sample, x] : all) {
    EXPECT_EQ(x.noise, wide.at(sample).noise);
    EXPECT_EQ(x.timestep, wide.at(sample).timestep);
  }
  c.run.seed_value = 1;
  const auto other = draws(c, 0, 6);
  int same_timestep = 0;
  for (const auto& [sample, x] : all) {
    EXPECT_NE(x.noise, other.at(sample).noise);
    same_timestep += x.timestep == other.at(sample).timestep;
  }
  EXPECT_LT(same_timestep, 10);  // of 30, at 20 timesteps: 1.5 expected
}

TEST(Draws, LabelsAreDroppedAtTheirRate) {
  constexpr int64_t kSamples = 20'000;
  for (const double rate : {0.0, 0.1, 0.5, 1.0}) {
    int64_t dropped = 0;
    for (int64_t i = 0; i < kSamples; ++i) dropped += dropped_label(i % 3, 4, rate, 7, i) == 3;
    const double deviation = std::sqrt(rate * (1 - rate) / double(kSamples));
    EXPECT_NEAR(double(dropped) / double(kSamples), rate, 5 * deviation);
  }
  EXPECT_EQ(dropped_label(-1, 4, 0, 7, 0), 3) << "no label is the empty one";
}

TEST(Draws, DifferFromSampleToSample) {
  const Training t;
  const auto all = draws(t.config("a"), 0, 6);
  std::set<std::vector<float>> noises;
  std::set<int64_t> timesteps, labels;
  for (const auto& [sample, x] : all) {
    noises.insert(x.noise);
    timesteps.insert(x.timestep);
    labels.insert(x.label);
  }
  EXPECT_EQ(noises.size(), all.size());
  EXPECT_GT(timesteps.size(), 10u);
  EXPECT_EQ(labels, (std::set<int64_t>{0, 1, 2, 3})) << "three classes and the dropped label";
}

}  // namespace
}  // namespace noisette
