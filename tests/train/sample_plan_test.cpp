// What `noisette plan` says of drawing is what `noisette sample` takes.
#include "train/sample_plan.h"

#include "tests/train/program.h"
#include "train/card_plan.h"

namespace noisette {
namespace {

using namespace test;

class SamplePlanned : public testing::Test {
 protected:
  /// With everything that takes memory: labels, guidance in an interval, noise, a weaker network.
  TrainConfig everything() const {
    TrainConfig c = small_config(t.folder / "set.h5");
    c.sampler.steps = 6;
    c.sampler.eta = 0.5;
    c.sampler.guidance = 2;
    c.sampler.guidance_below = 0.7;
    c.sampler.autoguidance = 1.5;
    return c;
  }

  /// The largest sum of tensors while `noisette sample` draws with a model of this configuration.
  int64_t peak_of_sampling(const TrainConfig& c, int64_t batch) const {
    const std::string model = (t.folder / "model.h5").string();
    make_checkpoint(model, c);
    std::vector<std::string> command{"sample",  model,
                                     "--batch", std::to_string(batch),
                                     "--n",     std::to_string(plan_sampling(c, batch).images),
                                     "-o",      (t.folder / "grid.png").string()};
    if (c.sampler.autoguidance != 1) command.insert(command.end(), {"--weaker", model});
    Allocator& memory = Allocator::of(kCpu);
    memory.reset_peak();
    const int64_t before = memory.stats().live_bytes;
    run_command(command);
    return memory.stats().peak_bytes - before;
  }

  Training t;
};

TEST_F(SamplePlanned, PeakIsThatOfTheCommand) {
  const KeptBf16 kept;
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    TrainConfig c = everything();
    c.run.precision = precision;
    for (const int64_t batch : {7, 64, 80})
      EXPECT_EQ(plan_sampling(c, batch).peak_bytes, peak_of_sampling(c, batch)) << batch;
    c.sampler.autoguidance = 1;
    EXPECT_EQ(plan_sampling(c, 64).peak_bytes, peak_of_sampling(c, 64)) << "no weaker network";
    c.sampler.guidance = 1;
    EXPECT_EQ(plan_sampling(c, 64).peak_bytes, peak_of_sampling(c, 64)) << "no guidance";
    c.optimizer.ema_decay = 0;
    EXPECT_EQ(plan_sampling(c, 64).peak_bytes, peak_of_sampling(c, 64)) << "no average";
    c.model.num_class_embeds = 0;
    c.sampler.sampler = diffusion::Sampler::ddpm;
    c.sampler.eta = 0;
    EXPECT_EQ(plan_sampling(c, 64).peak_bytes, peak_of_sampling(c, 64)) << "no classes";
  }
}

TEST_F(SamplePlanned, EachPartCosts) {
  const TrainConfig all = everything();
  const SamplePlan p = plan_sampling(all, 64);
  EXPECT_EQ(p.images, 66) << "as many of three classes";
  EXPECT_EQ(plan_sampling(all, 100).images, 100);
  EXPECT_LT(plan_sampling(all, 32).peak_bytes, p.peak_bytes);
  TrainConfig c = all;
  c.sampler.autoguidance = 1;
  EXPECT_EQ(2 * plan_sampling(c, 64).weights_bytes, p.weights_bytes) << "a weaker network";
  c = all;
  c.optimizer.ema_decay = 0;
  EXPECT_EQ(2 * plan_sampling(c, 64).weights_bytes, p.weights_bytes) << "the average";
  c = all;
  c.sampler.guidance = 1;
  EXPECT_LT(plan_sampling(c, 64).peak_bytes, 0.7 * double(p.peak_bytes)) << "half of the images";
}

TEST_F(SamplePlanned, StepsChangeNothingButTheirNumbers) {
  TrainConfig few = everything(), many = everything();
  few.sampler.steps = 12;
  many.sampler.steps = 20;
  constexpr int64_t kNumbers = 8 * sizeof(SamplerCoefficients);  // of eight further steps
  EXPECT_EQ(plan_sampling(many, 64).peak_bytes - plan_sampling(few, 64).peak_bytes, kNumbers);
  EXPECT_EQ(plan_card_sampling(few, 64).total(), plan_card_sampling(many, 64).total());
}

TEST_F(SamplePlanned, LibrariesAreCountedWhereTheyAreAllowed) {
  constexpr int64_t kWorkspace = int64_t(64) << 20;
  TrainConfig c = everything();
  EXPECT_EQ(plan_card_sampling(c, 64).libraries, kWorkspace);
  EXPECT_EQ(plan_card(c).libraries, kWorkspace);
  TrainConfig without = c;
  without.run.providers = Providers::none;
  EXPECT_EQ(plan_card(c).total() - plan_card(without).total(), kWorkspace);
  EXPECT_EQ(plan_card_sampling(c, 64).total() - plan_card_sampling(without, 64).total(),
            kWorkspace);
  c.run.deterministic = true;
  EXPECT_EQ(plan_card(c).libraries, 0);
  EXPECT_EQ(plan_card_sampling(c, 64).libraries, 0);
}

TEST_F(SamplePlanned, IsASectionOfThePlan) {
  put(t.folder / "run.toml", config::to_toml(everything()));
  const auto plan = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"plan", (t.folder / "run.toml").string(), "--no-measure"});
    const Outcome o = noisette(t.folder, options);
    EXPECT_EQ(o.code, 0) << o.err;
    return o.out;
  };
  const auto json = nlohmann::json::parse(plan({"--json"}));
  const auto& sampling = json["sampling"];
  const auto& cuda = sampling["cuda"];
  EXPECT_EQ(sampling["batch"], 64);
  EXPECT_EQ(sampling["images"], 66);
  EXPECT_GT(sampling["peak_bytes"].get<int64_t>(), sampling["weights_bytes"].get<int64_t>());
  int64_t sum = 0;
  for (const char* part :
       {"tensor_bytes", "segment_bytes", "scratch_bytes", "library_bytes", "allowance_bytes"})
    sum += cuda[part].get<int64_t>();
  EXPECT_EQ(sum, cuda["bytes"].get<int64_t>());
  // A step that is recorded keeps what it gives, and its inputs.
  EXPECT_GT(cuda["tensor_bytes"].get<int64_t>(), sampling["peak_bytes"].get<int64_t>());
  ASSERT_EQ(cuda["cards"].size(), 4u);
  for (const auto& card : cuda["cards"]) EXPECT_EQ(card["batch"], 1024) << "a small network";

  const auto more = nlohmann::json::parse(plan({"--json", "--sample-batch", "256"}));
  EXPECT_EQ(more["sampling"]["images"], 256);
  EXPECT_GT(more["sampling"]["peak_bytes"].get<int64_t>(), sampling["peak_bytes"].get<int64_t>());
  EXPECT_EQ(more["cuda"], json["cuda"]) << "training is as it was";

  const std::string text = plan({"--sample-batch", "16"});
  for (const char* part : {"noisette sample: 66 images, 16 at once", "cuBLASLt and cuDNN",
                           "noisette sample on a CUDA card", "largest --batch of noisette sample"})
    EXPECT_CONTAINS(text, part);
  EXPECT_EQ(plan({"--set", "run.providers=none"}).find("cuBLASLt"), std::string::npos);
}

// What is said to fit does, and twice as much does not.
TEST_F(SamplePlanned, SaysWhatFitsOnACard) {
  const TrainConfig c = load_train_config(NOISETTE_SOURCE_DIR "/configs/ddpm-256.toml");
  int64_t before = 1;
  for (const SamplingFit& f : fit_cards_sampling(c)) {
    ASSERT_GE(f.batch, before) << f.gib;
    before = f.batch;
    EXPECT_LE(plan_card_sampling(c, f.batch).total(), f.gib << 30);
    if (f.batch < SamplingFit::kMost) {
      EXPECT_GT(plan_card_sampling(c, 2 * f.batch).total(), f.gib << 30);
    }
  }
}

}  // namespace
}  // namespace noisette
