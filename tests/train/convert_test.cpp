// noisette convert: what it writes can be used by every other command.
#include "tests/train/program.h"

namespace noisette {
namespace {

using namespace test;

class Convert : public testing::Test {
 protected:
  Convert() {
    TrainConfig c = t.config("a");
    c.run.updates = 1;
    c.optimizer.ema_decay = 0.9;
    run(c);
    source = c.run_folder().string();
  }
  std::string path(const char* name) const { return (t.folder / name).string(); }
  void expect_success(const std::vector<std::string>& arguments) const {
    const Outcome o = noisette(t.folder, arguments);
    EXPECT_EQ(o.code, 0) << o.err;
  }

  Training t;
  std::string source;
};

TEST_F(Convert, ACheckpointOfWeightsAloneCanBeSampled) {
  expect_success({"convert", source, path("diffusers")});
  expect_success({"convert", path("diffusers"), path("back.h5"), "--to", "checkpoint"});
  expect_success({"convert", source, path("raw.h5"), "--to", "checkpoint", "--raw"});
  expect_success({"convert", source, path("averaged.h5"), "--to", "checkpoint"});
  for (const char* file : {"back.h5", "raw.h5", "averaged.h5"})
    expect_success({"sample", path(file), "--n", "1", "--steps", "1", "-o", path("a.png")});
}

TEST_F(Convert, KeepsWhatTheNetworkPredictsAndItsSchedule) {
  TrainConfig c = t.config("v");
  c.run.updates = 1;
  c.objective.target = diffusion::Target::v;
  c.schedule.betas = diffusion::Betas::cosine;
  c.schedule.zero_terminal_snr = true;
  c.sampler.spacing = diffusion::Spacing::leading;
  c.sampler.offset = 1;
  c.sampler.clip = 1.5;
  run(c);
  expect_success({"convert", c.run_folder().string(), path("d")});
  expect_success({"convert", path("d"), path("back.h5"), "--to", "checkpoint"});
  const TrainConfig back =
      parse_train_config(read_checkpoint_info(path("back.h5")).config, "back.h5", {});
  EXPECT_EQ(back.objective.target, c.objective.target);
  EXPECT_EQ(back.schedule.betas, c.schedule.betas);
  EXPECT_EQ(back.schedule.steps, c.schedule.steps);
  EXPECT_TRUE(back.schedule.zero_terminal_snr);
  EXPECT_EQ(back.sampler.spacing, c.sampler.spacing);
  EXPECT_EQ(back.sampler.offset, 1);
  EXPECT_EQ(back.sampler.clip, 1.5);
}

TEST_F(Convert, ReadsThePipelinesSchedulerAndRefusesWhatItCannotDo) {
  expect_success({"convert", source, path("pipe/unet")});
  std::filesystem::create_directories(t.folder / "pipe/scheduler");
  const auto scheduler = t.folder / "pipe/scheduler/scheduler_config.json";
  std::filesystem::rename(t.folder / "pipe/unet/scheduler_config.json", scheduler);
  const auto sample = [&](const std::string& text) {
    put(scheduler, text);
    return noisette(t.folder,
                    {"sample", path("pipe"), "--n", "1", "--steps", "1", "-o", path("a.png")});
  };
  const Outcome fine =
      sample("{\"_class_name\": \"DDPMScheduler\", \"prediction_type\": \"v_prediction\"}");
  EXPECT_EQ(fine.code, 0) << fine.err;
  EXPECT_EQ(fine.err, "");
  for (const auto& [text, part] : std::vector<std::pair<std::string, std::string>>{
           {"{\"beta_schedule\": \"sigmoid\"}", "beta_schedule = \"sigmoid\" is not known"},
           {"{\"trained_betas\": [0.1]}", "'trained_betas' is set"},
           {"{\"thresholding\": true}", "'thresholding' is set"},
           {"{\"beta_start\": \"low\"}", "not of the right type"},
           {"[]", "not a JSON object"}}) {
    const Outcome o = sample(text);
    EXPECT_EQ(o.code, 1) << text;
    EXPECT_CONTAINS(o.err, part);
  }
  std::filesystem::remove(scheduler);
  const Outcome none =
      noisette(t.folder, {"sample", path("pipe"), "--n", "1", "--steps", "1", "-o", path("a.png")});
  EXPECT_EQ(none.code, 0);
  EXPECT_CONTAINS(none.err, "has no scheduler_config.json");
}

TEST_F(Convert, KeepsThePrecisionOfTheRun) {
  TrainConfig c = t.config("b");
  c.run.updates = 1;
  c.run.precision = Precision::bf16;
  put(t.folder / "run.toml", config::to_toml(c));
  const Outcome trained = noisette(t.folder, {"train", path("run.toml")});
  ASSERT_EQ(trained.code, 0) << trained.err;
  expect_success({"convert", c.run_folder().string(), path("b.h5"), "--to", "checkpoint"});
  const auto precision_of = [](const std::filesystem::path& file) {
    return parse_train_config(read_checkpoint_info(file).config, file.string(), {}).run.precision;
  };
  EXPECT_EQ(precision_of(path("b.h5")),
            precision_of(checkpoint_path(c.run_folder() / "checkpoints", 1)));
}

TEST_F(Convert, WeightsAloneCannotBeTrainedFurther) {
  TrainConfig c = t.config("c");
  c.run.updates = 3;
  c.optimizer.ema_decay = 0.9;
  expect_success({"convert", source, path("weights.h5"), "--to", "checkpoint"});
  put(t.folder / "run.toml", config::to_toml(c));
  const Outcome o = noisette(t.folder, {"train", path("run.toml"), "--resume", path("weights.h5")});
  EXPECT_EQ(o.code, 1);
  EXPECT_NE(o.err.find("holds weights alone"), std::string::npos) << o.err;
}

}  // namespace
}  // namespace noisette
