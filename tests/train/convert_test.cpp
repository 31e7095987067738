// noisette convert: what it writes is as good a model as what it read.
#include "framework/report/table.h"
#include "tests/train/program.h"
#include "train/model_source.h"

namespace noisette {
namespace {

namespace fs = std::filesystem;
using namespace test;

class Convert : public testing::Test {
 protected:
  std::string at(const std::string& name) const { return (folder / name).string(); }

  /// Runs the program, which must succeed, and returns what it said on standard error.
  std::string run(const std::vector<std::string>& arguments) {
    const Outcome o = noisette(output, arguments);
    EXPECT_EQ(o.code, 0) << o.err;
    return o.err;
  }
  std::string sample(const std::string& model, const std::vector<std::string>& options = {}) {
    const std::string picture = at("picture.png");
    std::vector<std::string> arguments{"sample", model, "--n", "2", "--steps", "3", "-o", picture};
    arguments.insert(arguments.end(), options.begin(), options.end());
    run(arguments);
    return hash_of_picture(picture);
  }
  static std::string hash_of_picture(const std::string& path) {
    return run_json({"info", path, "--hash"})["hash"];
  }

  Folder folder, output;
};

TEST_F(Convert, ACheckpointThatItWritesIsAModelLikeAnyOther) {
  TrainConfig config = small_config(folder / "set.h5");
  config.run.precision = Precision::bf16;
  make_checkpoint(folder / "run.h5", config);
  run({"convert", at("run.h5"), at("both.h5"), "--to", "checkpoint"});
  run({"convert", at("run.h5"), at("raw.h5"), "--to", "checkpoint", "--raw"});
  run({"convert", at("run.h5"), at("folder")});
  run({"convert", at("folder"), at("back.h5"), "--to", "checkpoint"});
  for (const char* name : {"both.h5", "raw.h5", "back.h5"}) {
    sample(at(name));
    sample(at(name), {"--raw"});
    run({"convert", at(name), at(std::string(name) + "-folder")});
  }
  const auto config_of = [&](const char* name) {
    return parse_train_config(read_checkpoint_info(folder / name).config, name);
  };
  EXPECT_EQ(config_of("both.h5").optimizer.ema_decay, 0.9);
  EXPECT_EQ(config_of("raw.h5").optimizer.ema_decay, 0);
  EXPECT_EQ(config_of("both.h5").run.precision, Precision::bf16);
  EXPECT_EQ(config_of("raw.h5").run.precision, Precision::bf16);
  EXPECT_EQ(sample(at("both.h5")), sample(at("run.h5")));
  EXPECT_EQ(sample(at("raw.h5")), sample(at("run.h5"), {"--raw"}));
}

TEST_F(Convert, NothingIsSaidThatTheFileDoesNotKnow) {
  const TrainConfig config = small_config(folder / "set.h5");
  make_checkpoint(folder / "run.h5", config);
  const Outcome o = noisette(output, {"convert", at("run.h5"), at("folder")});
  EXPECT_CONTAINS(o.out, format_count(UNet(config.model).parameter_count()) + " parameters");
  run({"convert", at("folder"), at("back.h5"), "--to", "checkpoint"});
  const auto known = run_json({"info", at("run.h5")}), back = run_json({"info", at("back.h5")});
  EXPECT_EQ(known["updates"], 10);
  EXPECT_FALSE(back.contains("updates"));
  EXPECT_TRUE(back["update"].is_null());
}

TEST_F(Convert, WeightsAloneCannotBeResumed) {
  make_data(folder / "set.h5");
  TrainConfig config = small_config(folder / "set.h5");
  config.run.folder = at("runs");
  make_checkpoint(folder / "run.h5", config);
  run({"convert", at("run.h5"), at("raw.h5"), "--to", "checkpoint", "--raw"});
  put(folder / "run.toml", config::to_toml(config));
  expect_one_sentence(noisette(output, {"train", at("run.toml"), "--resume", at("raw.h5")}), 1,
                      "raw.h5 holds weights alone: no optimiser state; it cannot be resumed");
}

/// A configuration that says of schedule, target and sampler what no default says.
TrainConfig unusual(const fs::path& data) {
  TrainConfig c = small_config(data);
  c.schedule = {.betas = diffusion::Betas::cosine, .steps = 30, .zero_terminal_snr = true};
  c.objective.target = diffusion::Target::v;
  c.sampler.steps = 7;
  c.sampler.eta = 0.5;
  c.sampler.guidance = 2;
  c.sampler.spacing = diffusion::Spacing::linspace;
  c.sampler.clip = 1.5;
  return c;
}

TEST_F(Convert, ScheduleTargetAndSamplerGoThroughAModelFolder) {
  make_checkpoint(folder / "run.h5", unusual(folder / "set.h5"));
  EXPECT_CONTAINS(run({"convert", at("run.h5"), at("dif")}), "guidance 2, which a folder");
  EXPECT_EQ(run({"convert", at("dif"), at("back.h5"), "--to", "checkpoint"}), "");
  const TrainConfig before = open_model(folder / "run.h5").config,
                    after = open_model(folder / "back.h5").config;
  EXPECT_EQ(config::to_toml(after.schedule), config::to_toml(before.schedule));
  EXPECT_EQ(config::to_toml(after.sampler), config::to_toml(before.sampler));
  EXPECT_EQ(after.objective.target, before.objective.target);
  EXPECT_EQ(sample(at("dif")), sample(at("run.h5")));
  EXPECT_EQ(sample(at("back.h5")), sample(at("run.h5")));
  const std::vector<std::string> set{"schedule.steps=40"};
  const LoadedModel changed =
      open_model(folder / "dif", {.ema = true, .precision = {}, .overrides = set});
  EXPECT_EQ(changed.config.schedule.steps, 40);
}

TEST_F(Convert, APipelineKeepsItsSchedulerBesideItsNetwork) {
  make_checkpoint(folder / "run.h5", unusual(folder / "set.h5"));
  run({"convert", at("run.h5"), at("pipeline/unet")});
  const std::string alone = sample(at("pipeline/unet"));
  fs::create_directory(folder / "pipeline/scheduler");
  fs::rename(folder / "pipeline/unet/scheduler_config.json",
             folder / "pipeline/scheduler/scheduler_config.json");
  put(folder / "pipeline/model_index.json", "{}");
  put(folder / "pipeline/config.json", "{}");  // of the pipeline, not of the network
  for (const char* name : {"pipeline", "pipeline/unet", "pipeline/unet/"})
    EXPECT_EQ(sample(at(name)), alone) << name;
  put(folder / "pipeline/scheduler/scheduler_config.json", "{\"_class_name\": \"PNDMScheduler\"}");
  expect_one_sentence(noisette(output, {"sample", at("pipeline"), "-o", at("a.png")}), 1,
                      "_class_name = \"PNDMScheduler\" is something that noisette does not have");
}

TEST_F(Convert, AFolderWithoutASchedulerIsTakenForTheUsualOneWithAWarning) {
  TrainConfig config = small_config(folder / "set.h5");
  config.objective.target = diffusion::Target::v;
  config.schedule = {};
  make_checkpoint(folder / "run.h5", config);
  run({"convert", at("run.h5"), at("dif")});
  const std::string picture = sample(at("dif"));
  fs::remove(folder / "dif/scheduler_config.json");
  const std::vector<std::string> back{"convert", at("dif"), at("back.h5"), "--to", "checkpoint"};
  const std::string said = run(back);
  EXPECT_CONTAINS(said, "warning: " + at("dif") + " has no scheduler_config.json");
  EXPECT_CONTAINS(said, "predicts eps on the linear schedule of 1000 steps");
  EXPECT_CONTAINS(said, "--set objective.target=");
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1);
  EXPECT_NE(sample(at("back.h5")), picture);
  fs::remove(folder / "back.h5");
  std::vector<std::string> told = back;
  told.insert(told.end(), {"--set", "objective.target=v"});
  EXPECT_EQ(run(told), "");
  EXPECT_EQ(sample(at("back.h5")), picture);
}

TEST_F(Convert, WeightsOfAnotherNameAreReadOrNamed) {
  make_checkpoint(folder / "run.h5", small_config(folder / "set.h5"));
  run({"convert", at("run.h5"), at("dif")});
  const std::string picture = sample(at("dif")), name = at("dif/diffusion_pytorch_model");
  fs::rename(name + ".safetensors", name + ".fp16.safetensors");
  EXPECT_EQ(sample(at("dif")), picture);
  fs::rename(name + ".fp16.safetensors", name + ".bin");
  const std::vector<std::string> arguments{"convert", at("dif"), at("back.h5"), "--to",
                                           "checkpoint"};
  expect_one_sentence(noisette(output, arguments), 1,
                      "only a .bin file, which is pickled code and never read; save the model "
                      "again with diffusers");
  fs::remove(name + ".bin");
  expect_one_sentence(noisette(output, arguments), 1,
                      "dif has no diffusion_pytorch_model.safetensors");
}

TEST_F(Convert, WarnsOfGuidanceThatTheFolderDoesNotHold) {
  TrainConfig c = small_config(folder / "set.h5");
  make_checkpoint(folder / "plain.h5", c);
  EXPECT_EQ(noisette(output, {"convert", at("plain.h5"), at("plain")}).err, "");
  c.sampler.guidance = 1.5;
  c.sampler.autoguidance = 2;
  make_checkpoint(folder / "guided.h5", c);
  EXPECT_CONTAINS(noisette(output, {"convert", at("guided.h5"), at("guided")}).err,
                  "warning: the model draws with guidance 1.5 and autoguidance 2, which a folder "
                  "of diffusers cannot hold");
}

TEST_F(Convert, ANameThatContradictsTheFormatIsRefused) {
  make_checkpoint(folder / "run.h5", small_config(folder / "set.h5"));
  const auto expect_refused = [&](const std::string& name, const std::string& to,
                                  const std::string& part) {
    expect_one_sentence(noisette(output, {"convert", at("run.h5"), at(name), "--to", to}), 2, part);
    EXPECT_FALSE(fs::exists(folder / name));
  };
  expect_refused("a.safetensors", "diffusers", "makes a folder; got the name of a file");
  expect_refused("a.h5", "diffusers", "for one HDF5 file use --to checkpoint");
  expect_refused("a.safetensors", "checkpoint", "a name in .h5 would be right");
  run({"convert", at("run.h5"), at("v1.2")});
  run({"convert", at("run.h5"), at("plain"), "--to", "checkpoint"});
}

}  // namespace
}  // namespace noisette
