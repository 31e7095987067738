// Training and drawing on a CUDA device beside the CPU.
#include <cmath>

#include "tests/support/cuda.h"
#include "tests/support/message.h"
#include "tests/train/training.h"
#include "train/model_source.h"
#include "train/sampling.h"

namespace noisette {
namespace {

using namespace test;

TrainConfig on_cuda(TrainConfig c, Precision precision = Precision::f32) {
  c.run.device_name = "cuda";
  c.run.precision = precision;
  return c;
}

TEST(CudaTraining, FollowsTheLossesOfTheCpu) {
  NOISETTE_NEEDS_CUDA();
  const Training t;
  TrainConfig here = t.config("cpu"), there = on_cuda(t.config("cuda"));
  here.run.updates = there.run.updates = 50;
  run(here);
  run(there);
  const auto want = read_metrics(here.run_folder() / "metrics.jsonl");
  const auto got = read_metrics(there.run_folder() / "metrics.jsonl");
  ASSERT_EQ(got.size(), 50u);
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i].loss, want[i].loss, 1e-4 * std::abs(want[i].loss)) << "update " << i + 1;
  EXPECT_LT(got.back().loss_ema, 0.8 * got.front().loss) << "the loss falls";
}

TEST(CudaTraining, RunsAreEqualWholeAndInParts) {
  NOISETTE_NEEDS_CUDA();
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    const Training t;
    TrainConfig a = on_cuda(t.config("a"), precision), b = on_cuda(t.config("b"), precision);
    a.run.updates = 7;
    a.run.micro_batch = b.run.micro_batch = 3;
    const auto state = state_of(run(a));
    for (const int64_t end : {3, 7}) {
      b.run.updates = end;
      const TrainResult r = end == 3 ? run(b) : resume(b);
      if (end == 7) {
        EXPECT_EQ(state_of(r), state) << config::name_of(precision);
      }
    }
  }
}

TEST(CudaTraining, RecordedStepsAreTheSteps) {
  NOISETTE_NEEDS_CUDA();
  for (const int64_t micro : {0, 3}) {
    const Training t;
    TrainConfig recorded = on_cuda(t.config("recorded")), eager = on_cuda(t.config("eager"));
    recorded.run.updates = eager.run.updates = 6;
    recorded.run.micro_batch = eager.run.micro_batch = micro;
    recorded.run.graph = true;
    eager.run.graph = false;
    EXPECT_EQ(state_of(run(recorded)), state_of(run(eager)));
  }
}

TEST(CudaTraining, ACheckpointMovesBetweenDevices) {
  NOISETTE_NEEDS_CUDA();
  const Training t;
  TrainConfig c = t.config("moving");
  c.run.updates = 2;
  run(c);
  c = on_cuda(c);
  c.run.updates = 4;
  resume(c);
  c.run.device_name = "cpu";
  c.run.updates = 5;
  const TrainResult r = resume(c);
  EXPECT_EQ(r.update, 5);

  std::vector<std::vector<uint8_t>> pictures;
  for (const char* device : {"cpu", "cuda"}) {
    const LoadedModel m = open_model(c.run_folder(), {.device = device});
    SampleRequest request{.count = 3, .labels = {0, 1, 2}, .device = m.config.run.device()};
    pictures.push_back(sample_pixels(*m.unet, m.config.schedule, m.config.objective.target,
                                     m.config.sampler, request));
  }
  ASSERT_EQ(pictures[0].size(), pictures[1].size());
  for (std::size_t i = 0; i < pictures[0].size(); ++i)
    ASSERT_NEAR(int(pictures[0][i]), int(pictures[1][i]), 1) << "of 255, at " << i;
}

TEST(Device, UnknownOnesAreRefused) {
  const auto refuse = [] { parse_train_config("[run]\ndevice = \"gpu\"\n", "x.toml"); };
  EXPECT_NE(testing_support::message_of(refuse).find("device 'gpu' is unknown; known: cpu, cuda"),
            std::string::npos);
  EXPECT_EQ(parse_device("cuda:2"), (Device{DeviceType::cuda, 2}));
  for (const char* text : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1 ", "CUDA"})
    EXPECT_FALSE(parse_device(text)) << text;
}

}  // namespace
}  // namespace noisette
