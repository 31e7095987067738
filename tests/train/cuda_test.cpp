// Training and drawing on a CUDA device beside the CPU.
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <cmath>
#include <sstream>
#include <thread>

#include "framework/autograd/autograd.h"
#include "framework/io/safetensors.h"
#include "framework/ops/conv.h"
#include "framework/ops/elementwise.h"
#include "kernels/cuda/scratch.h"
#include "kernels/cuda/scratch_need.h"
#include "models/unet/diffusers.h"
#include "tests/support/cuda.h"
#include "tests/support/message.h"
#include "tests/train/training.h"
#include "train/card_plan.h"
#include "train/measure.h"
#include "train/model_source.h"
#include "train/precision.h"
#include "train/sampling.h"

#ifdef NOISETTE_CUDA
#include "kernels/cuda/providers/providers.h"
#endif

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
  for (const Precision precision : {Precision::f32, Precision::bf16})
    for (const int64_t micro : {0, 3}) {
      const Training t;
      TrainConfig recorded = on_cuda(t.config("recorded"), precision),
                  eager = on_cuda(t.config("eager"), precision);
      recorded.run.updates = eager.run.updates = 6;
      recorded.run.micro_batch = eager.run.micro_batch = micro;
      recorded.run.graph = true;
      eager.run.graph = false;
      EXPECT_EQ(state_of(run(recorded)), state_of(run(eager)))
          << config::name_of(precision) << ", micro-batches of " << micro;
    }
}

TEST(CudaTraining, ARecordedStepHasNoCopies) {
  NOISETTE_NEEDS_CUDA();
  const Training t;
  SyntheticRun run(on_cuda(t.config("none"), Precision::bf16));
  for (int i = 0; i < 3; ++i) run.update();
  EXPECT_EQ(run.recording().kind, Replay::State::Kind::recorded) << run.recording().why;
  EXPECT_GT(run.recording().kernels, 100);
  EXPECT_EQ(run.recording().copies, 0);
}

TEST(CudaModel, RecordedNetworksDrawTheSamePictures) {
  NOISETTE_NEEDS_CUDA();
  const Training t;
  const std::string model = (t.folder / "model.h5").string();
  TrainConfig c = t.config("none");
  c.sampler.steps = 8;  // four guided and four not
  c.sampler.eta = 0.5;
  c.sampler.guidance = 2;
  c.sampler.guidance_below = 0.5;
  std::ostringstream log;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::ostream_sink_mt>(log)));
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    c.run.precision = precision;
    c.sampler.autoguidance = precision == Precision::bf16 ? 1.5 : 1;
    make_checkpoint(model, c);
    const LoadedModel m = open_model(model, {.device = "cuda"});
    SampleRequest r{.count = 5,
                    .labels = {0, 1, 2, 0, 1},
                    .batch = 2,
                    .dtype = element_type(precision),
                    .device = m.config.run.device(),
                    .weaker = m.unet.get()};
    const auto draw = [&](bool graph) {
      r.graph = graph;
      return sample_pixels(*m.unet, m.config.schedule, m.config.objective.target, m.config.sampler,
                           r);
    };
    EXPECT_EQ(draw(true), draw(false)) << config::name_of(precision);
  }
  spdlog::set_default_logger(before);
  EXPECT_EQ(log.str().find("recorded"), std::string::npos) << log.str();
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

/// What `work` takes of the device's memory, in a thread of its own, which begins without scratch.
struct Taken {
  int64_t tensors = 0, reserved = 0, scratch = 0;

  template <class Work>
  explicit Taken(const Work& work) {
    Allocator& memory = Allocator::of(testing_support::kCuda);
    memory.trim();
    memory.reset_peak();
    const MemoryStats before = memory.stats();
    std::thread([&] {
      work();
#ifdef NOISETTE_CUDA
      scratch = int64_t(cuda::scratch_bytes());
#endif
    }).join();
    const MemoryStats after = memory.stats();
    tensors = after.peak_bytes - before.live_bytes;
    reserved = after.peak_reserved_bytes - before.reserved_bytes;
  }
};

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
    const Taken taken([&] { run(c); });
    EXPECT_NEAR(double(plan.tensors + plan.batches) / double(taken.tensors), 1, 0.01);
    EXPECT_EQ(plan.tensors + plan.batches + plan.segments + plan.previews, taken.reserved);
    EXPECT_EQ(plan.scratch, taken.scratch);
    c.run.micro_batch = 0;
    EXPECT_GT(plan_card(c).tensors, plan.tensors);
  }
}

TEST(CudaModel, DrawingTakesTheMemoryThatIsPlanned) {
  NOISETTE_NEEDS_CUDA();
  const Training t;
  const std::string model = (t.folder / "model.h5").string();
  TrainConfig c = t.config("none");
  c.sampler.steps = 6;  // three guided and three not: both are recorded
  c.sampler.eta = 0.5;
  for (const bool guided : {true, false}) {
    c.run.precision = guided ? Precision::f32 : Precision::bf16;
    c.sampler.guidance = c.sampler.autoguidance = guided ? 2 : 1;
    c.sampler.guidance_below = guided ? 0.5 : 1;
    make_checkpoint(model, c);
    constexpr int64_t kBatch = 40;  // of 66: a second one is smaller
    std::vector<std::string> command{
        "sample",   model,  "--batch", std::to_string(kBatch),
        "--device", "cuda", "-o",      (t.folder / "grid.png").string()};
    if (guided) command.insert(command.end(), {"--weaker", model});
    const CardPlan plan = plan_card_sampling(c, kBatch);
    const Taken taken([&] { run_command(command); });
    EXPECT_EQ(plan.tensors, taken.tensors);
    EXPECT_EQ(plan.tensors + plan.segments, taken.reserved);
    EXPECT_EQ(plan.scratch, taken.scratch);
  }
}

#ifdef NOISETTE_CUDA

/// A library that takes the memory of one, for results of nothing but zeros.
class IdleLibrary final : public cuda::providers::Provider {
 public:
  std::string name() const override { return "idle"; }
  std::string version() const override { return "1"; }
  std::vector<std::unique_ptr<cuda::providers::Plan>> plans(
      const cuda::providers::Work& work) override {
    std::vector<std::unique_ptr<cuda::providers::Plan>> all;
    all.push_back(std::make_unique<Idle>(work));
    return all;
  }

 private:
  class Idle final : public cuda::providers::Plan {
   public:
    explicit Idle(const cuda::providers::Work& work)
        : bytes_(std::size_t(work.results()[0].bytes())),
          copies_(work.added == cuda::providers::Addend::in_place) {}
    void run(const cuda::providers::Operands& o) override {
      for (const std::size_t bytes : {1, 1 << 20, 64 << 20}) cuda::workspace(bytes);
      cuda::Scratch scratch;
      if (copies_) scratch.take_bytes(bytes_);
      cuda::set_bytes(o.out[0], 0, bytes_);
    }

   private:
    std::size_t bytes_;
    bool copies_;
  };
};

TEST(CudaModel, LibrariesTakeNoMoreThanIsCounted) {
  NOISETTE_NEEDS_CUDA();
  using namespace cuda::providers;
  constexpr ConvDims kDims{64, 16, 16, 64, 64, 3, 3, 1, 1, 1, 1, 1};
  Choices known;
  for (const Work& w : {work<float>(Operation::conv2d_forward, kDims),
                        work<float>(Operation::conv2d_backward_data, kDims),
                        work<float>(Operation::conv2d_backward_data, kDims, Addend::in_place)})
    known[w.key()].plan = "idle 1";
  std::vector<std::unique_ptr<Provider>> all;
  all.push_back(std::make_unique<IdleLibrary>());
  use(std::make_unique<Selection>(
      std::move(all), real_card(0),
      Owner{.warn = [](const std::string& text) { ADD_FAILURE() << text; },
            .known = known,
            .keep = [](const std::string& key, const Choice&) { ADD_FAILURE() << key; }}));
  std::thread([&] {  // which begins without scratch
    const Device device = testing_support::kCuda;
    Tensor leaf = zeros({64, 16, 16, 64}, DType::f32, device);
    sum(leaf);
    const std::size_t before = cuda::scratch_bytes();  // a little
    const Profile profile;
    const Tensor x = mul(leaf.requires_grad(), 2), w = zeros({64, 3, 3, 64}, DType::f32, device);
    const Conv2dOptions same{.padding = {1, 1, 1, 1}};
    backward(sum(add(conv2d(x, w, {}, same), conv2d(x, w, {}, same))));
    const int64_t counted = profile.scratch_with_libraries();
    EXPECT_EQ(counted, kDims.x_numel() * 4) << "one gradient is added to the other";
    EXPECT_EQ(int64_t(cuda::scratch_bytes() - before), counted + cuda::kWorkspace);
  })
      .join();
  use(nullptr);
}

#endif

TEST(CudaModel, IsEvaluatedAsOnTheCpu) {
  NOISETTE_NEEDS_CUDA();
  const Training t;
  const std::string model = (t.folder / "model.h5").string();
  TrainConfig c = t.config("none");
  make_checkpoint(model, c);
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
  c.run.graph = false;
  make_checkpoint(model, c);
  const auto eager = figures("cuda");
  for (const char* metric : {"nll", "bands"}) EXPECT_EQ(there[metric], eager[metric]) << metric;
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
