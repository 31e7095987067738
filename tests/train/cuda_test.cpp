// Training and drawing on a CUDA device beside the CPU.
#include <cmath>
#include <thread>

#include "framework/io/safetensors.h"
#include "kernels/cuda/scratch.h"
#include "models/unet/diffusers.h"
#include "tests/support/cuda.h"
#include "tests/support/message.h"
#include "tests/train/training.h"
#include "train/card_plan.h"
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

// In a thread of its own, which begins without scratch.
TEST(CudaTraining, TakesTheMemoryThatIsPlanned) {
  NOISETTE_NEEDS_CUDA();
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    const Training t;
    TrainConfig c = on_cuda(t.config("planned"), precision);
    c.run.updates = 4;  // the third is recorded
    c.run.micro_batch = 3;
    c.preview.every = 4;
    c.preview.images = 2;
    c.preview.steps = 3;
    c.preview.guidance = 2;
    const CardPlan plan = plan_card(c);
    Allocator& memory = Allocator::of(testing_support::kCuda);
    memory.trim();
    memory.reset_peak();
    const MemoryStats before = memory.stats();
    int64_t scratch = 0;
    std::thread([&] {
      run(c);
#ifdef NOISETTE_CUDA
      scratch = int64_t(cuda::scratch_bytes());
#endif
    }).join();
    const MemoryStats after = memory.stats();
    EXPECT_NEAR(double(plan.tensors + plan.batches) / double(after.peak_bytes - before.live_bytes),
                1, 0.01);
    EXPECT_EQ(plan.tensors + plan.batches + plan.segments + plan.previews,
              after.peak_reserved_bytes - before.reserved_bytes);
    EXPECT_EQ(plan.scratch, scratch);
    c.run.micro_batch = 0;
    EXPECT_GT(plan_card(c).tensors, plan.tensors);
  }
}

TEST(CudaModel, IsEvaluatedAsOnTheCpu) {
  NOISETTE_NEEDS_CUDA();
  const Training t;
  const std::string model = (t.folder / "model.h5").string();
  make_checkpoint(model, t.config("none"));
  const auto figures = [&](const std::string& device) {
    return run_json({"eval", model, "--data", (t.folder / "set.h5").string(), "--images", "3",
                     "--timesteps", "5", "--batch", "8", "--device", device});
  };
  const auto here = figures("cpu"), there = figures("cuda");
  const auto near = [&](const char* metric, const char* name) {
    const double want = here[metric][name], got = there[metric][name];
    EXPECT_NEAR(got, want, 1e-4 * std::abs(want)) << name;
    EXPECT_NE(want, 0) << name;
  };
  for (const char* name : {"bits_per_dim", "kl", "decoder"}) near("nll", name);
  near("bands", "loss");
}

TEST(CudaModel, ForwardIsThatOfTheCpu) {
  NOISETTE_NEEDS_CUDA();
  const Training t;
  const std::string model = (t.folder / "model.h5").string(),
                    in = (t.folder / "in.safetensors").string(),
                    out = (t.folder / "out.safetensors").string();
  make_checkpoint(model, t.config("none"));
  std::vector<float> pixels;
  for (int i = 0; i < 128; ++i) pixels.push_back(float(i % 11) / 5 - 1);
  const std::vector<float> times{1.5f, 17};
  const std::vector<int64_t> labels{0, 3};
  write_safetensors(in, {{"sample", "F32", {2, 1, 8, 8}, std::as_bytes(std::span(pixels))},
                         {"timestep", "F32", {2}, std::as_bytes(std::span(times))},
                         {"class_labels", "I64", {2}, std::as_bytes(std::span(labels))}});
  const auto forward = [&](const char* device) {
    run_command({"forward", model, "--input", in, "--output", out, "--device", device});
    return as_f32(SafetensorsFile::open(out).at("sample"));
  };
  const std::vector<float> want = forward("cpu"), got = forward("cuda");
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-5) << i;
}

TEST(Device, OneThatIsNotThereIsASentence) {
  const Training t;
  const std::string model = (t.folder / "model.h5").string();
  make_checkpoint(model, t.config("none"));
  const std::string want = kHasCuda ? "[device] there is no cuda:99; CUDA devices on this machine: "
                                    : "[device] cuda:99 was asked for, and this build of noisette "
                                      "has no CUDA";
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"eval", model, "--data", (t.folder / "set.h5").string()},
           {"forward", model, "--input", "none", "--output", (t.folder / "o").string()},
           {"sample", model, "-o", (t.folder / "grid.png").string()}}) {
    std::vector<std::string> all = command;
    all.insert(all.end(), {"--device", "cuda:99"});
    const std::string message = run_error_of(all);
    EXPECT_TRUE(message.starts_with(want)) << message;
    EXPECT_EQ(message.find(".cpp"), std::string::npos) << message;
  }
  TrainConfig c = t.config("nowhere");
  c.run.device_name = "cuda:99";
  EXPECT_TRUE(testing_support::message_of([&] { run(c); }).starts_with(want));
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
