// What the program says when it cannot go on, and that it leaves no trace then.
#include "framework/io/image.h"
#include "kernels/philox.h"
#include "tests/train/program.h"
#include "train/measure.h"

namespace noisette {
namespace {

using namespace test;

class Refusals : public testing::Test {
 protected:
  /// Runs `noisette train` on `text`, expects one sentence, and that the folder is as it was.
  void expect_refused(const std::string& text, int code, const std::string& part,
                      const std::vector<std::string>& options = {}) {
    put(t.folder / "run.toml", text);
    std::vector<std::string> arguments{"train", (t.folder / "run.toml").string()};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const auto before = contents();
    expect_one_sentence(noisette(output, arguments), code, part);
    EXPECT_EQ(contents(), before) << part;
  }
  void expect_refused(const TrainConfig& c, int code, const std::string& part,
                      const std::vector<std::string>& options = {}) {
    expect_refused(config::to_toml(c), code, part, options);
  }

  /// Every file with its content, every folder.
  std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> all;
    for (const auto& e : std::filesystem::recursive_directory_iterator(t.folder.path()))
      all[e.path().string()] = e.is_directory() ? "folder" : get(e.path());
    return all;
  }

  static std::string with(const TrainConfig& c, const std::string& line, const std::string& other) {
    std::string text = config::to_toml(c);
    const auto at = text.find("\n" + line);
    EXPECT_NE(at, std::string::npos) << line;
    return text.replace(at + 1, text.find('\n', at + 1) - at - 1, other);
  }

  TrainConfig short_run() const {
    TrainConfig c = t.config("a");
    c.run.updates = 4;
    c.checkpoint.every = 2;
    return c;
  }

  Training t;
  Folder output;
};

TEST_F(Refusals, Configuration) {
  const TrainConfig c = short_run();
  expect_refused(with(c, "log_every", "log_evry = 1"), 2, "log_every");
  expect_refused(with(c, "batch", "batch = \"many\""), 2, "run.toml:");
  expect_refused(with(c, "batch", "batch = 0"), 2, "batch");
  expect_refused(with(c, "batch", "batch = = 4"), 2, "run.toml:");
  expect_refused(with(c, "task", "task = \"vae\""), 2, "known: ddpm");
  expect_refused(c, 2, "optimizer", {"--set", "optimiser.learning_rate=1"});
  expect_refused(c, 2, "learning_rate", {"--set", "optimizer.learning_rate=fast"});
  expect_refused(c, 2, "--resme", {"--resme", "auto"});
  for (const char* threads : {"0", "100000"})
    expect_refused(c, 2, fmt::format("--threads: must be from 1 to 1024; got {};", threads),
                   {"--threads", threads});
  expect_refused(c, 2, "must be a whole number, from 1 to 1024; got 2.5;", {"--threads", "2.5"});
  expect_one_sentence(noisette(output, {"train", (t.folder / "none.toml").string()}), 2,
                      "none.toml");
  expect_one_sentence(noisette(output, {"plan", (t.folder / "set.h5").string()}), 2,
                      "set.h5' is not a TOML text file");
  expect_one_sentence(noisette(output, {"train"}), 2, "see `noisette train --help`");
  expect_one_sentence(noisette(output, {"trian"}), 2,
                      "no command 'trian', perhaps 'train'; known: data, train, sample, ");
  expect_one_sentence(noisette(output, {"frob"}), 2, "no command 'frob'; known: data, ");
  expect_one_sentence(noisette(output, {"bench", "op"}), 2,
                      "no command 'op', perhaps 'ops'; known: train, sample, ops, kernels; see "
                      "`noisette bench --help`\n");
}

TEST_F(Refusals, OptionsThatWouldBeIgnored) {
  put(t.folder / "run.toml", config::to_toml(short_run()));
  const std::string file = (t.folder / "run.toml").string();
  const auto refused = [&](std::vector<std::string> options, const std::string& part) {
    options.insert(options.begin(), "config");
    expect_one_sentence(noisette(output, options), 2, part);
  };
  refused({file, "--diff", "--json"}, "--diff has no JSON form");
  refused({"--describe", file}, "takes neither a CONFIG file nor --set");
  refused({"--describe", "--set", "run.batch=1"}, "takes neither a CONFIG file nor --set");
  refused({"--describe", "--json"}, "goes with --markdown alone");
  refused({file, "--markdown"}, "--markdown is for --describe");
}

TEST_F(Refusals, Data) {
  TrainConfig c = short_run();
  c.data.path = (t.folder / "none.h5").string();
  expect_refused(c, 1, "[train] data.path names " + c.data.path);
  c.data.path += "#valid";
  expect_refused(c, 1, "there is no such file; `noisette data` makes it\n");
  c.data.path = (t.folder / "set.h5").string() + "#valid";
  expect_refused(c, 1, "no split 'valid'");
  put(t.folder / "text.h5", "no HDF5");
  c.data.path = (t.folder / "text.h5").string();
  expect_refused(c, 1, "text.h5 is not an HDF5 file\n");
  make_checkpoint(t.folder / "model.h5", short_run());
  c.data.path = (t.folder / "model.h5").string();
  expect_refused(c, 1, "model.h5 is a noisette checkpoint, not a data set");
  const std::string bytes = get(t.folder / "set.h5");
  put(t.folder / "short.h5", bytes.substr(0, bytes.size() / 2));
  c.data.path = (t.folder / "short.h5").string();
  expect_refused(c, 1, "short.h5");

  c = short_run();
  c.model.sample_size = 16;
  expect_refused(c, 1, "sample_size is 16");
  c = short_run();
  c.model.in_channels = c.model.out_channels = 3;
  expect_refused(c, 1, "in_channels is 3");
  c = short_run();
  c.model.num_class_embeds = 11;
  expect_refused(c, 1, "must be 4");
  c = short_run();
  c.model.block_out_channels = {8, 16, 16, 16, 16};
  expect_refused(c, 2, "sample_size divisible by 16; got 8");
}

TEST_F(Refusals, MoreMemoryThanTheMachineHas) {
  TrainConfig c = short_run();
  c.model.sample_size = 4096;  // bench reads no data
  c.run.batch = 1 << 20;
  const std::string part = "[train] a step of 1048576 images at once needs ";
  put(t.folder / "run.toml", config::to_toml(c));
  expect_one_sentence(noisette(output, {"bench", "train", (t.folder / "run.toml").string()}), 2,
                      part);
  c.run.micro_batch = 1;
  EXPECT_NO_THROW(check_memory(c));
  c = short_run();
  c.run.batch = (1 << 24) - 1;
  c.model.block_out_channels = {64, 64};
  expect_refused(c, 2, "this machine has");
  expect_refused(c, 2, "compute fewer at once with run.micro_batch");
}

TEST_F(Refusals, HeldOutData) {
  TrainConfig c = short_run();
  c.data.held_out = (t.folder / "none.h5").string();
  expect_refused(c, 1, "[train] data.held_out names " + c.data.held_out);
  make_data(t.folder / "colour.h5", 1, 3);
  c.data.held_out = (t.folder / "colour.h5").string();
  expect_refused(c, 1, "colour.h5 has 3 channels; model.in_channels is 1");
  c.data.held_out = (t.folder / "set.h5").string() + "#valid";
  expect_refused(c, 1, "no split 'valid'");
}

TEST_F(Refusals, WhatTheScheduleCannotDraw) {
  TrainConfig c = short_run();
  c.preview.every = 3;
  c.preview.steps = 20;
  const auto each = [&](const std::string& part, const std::string& assignment) {
    expect_refused(c, 2, part, {"--set", assignment});
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"plan", "--no-measure"}, {"config"}, {"bench", "train"}}) {
      std::vector<std::string> arguments = command;
      for (const std::string& a :
           {(t.folder / "run.toml").string(), std::string("--set"), assignment})
        arguments.push_back(a);
      expect_one_sentence(noisette(output, arguments), 2, part);
    }
  };
  each("[sampler] steps must be in [1, 20], the steps of the schedule; got 5000",
       "sampler.steps=5000");
  each("[preview] cannot draw an image: [sampler] steps must be in [1, 20]", "preview.steps=21");
  each("'preview.guidance' must be in [0, 100]; got -5", "preview.guidance=-5");
  each("divisible by 2; got 15", "model.sample_size=15");
  c.preview.every = 0;  // then nothing is drawn by them
  c.preview.steps = 5000;
  c.run.updates = 1;
  put(t.folder / "run.toml", config::to_toml(c));
  EXPECT_EQ(noisette(output, {"train", (t.folder / "run.toml").string()}).code, 0);
}

TEST_F(Refusals, PlacesThatCannotBeWritten) {
  TrainConfig c = short_run();
  put(t.folder / "file", "not a folder");
  c.run.folder = (t.folder / "file").string();
  expect_refused(c, 1, "cannot be made");
  c.run.folder = "/proc/noisette";
  expect_refused(c, 1, "cannot be made");
}

TEST_F(Refusals, RunsThatExist) {
  TrainConfig c = short_run();
  run(c);
  const auto newest = checkpoint_path(c.run_folder() / "checkpoints", 4);
  const auto older = checkpoint_path(c.run_folder() / "checkpoints", 2);
  expect_refused(c, 2, "holds a run already, up to update-00000004.h5");
  expect_refused(c, 2, "up to update-00000004.h5, and going back to update 2 removes what came",
                 {"--resume", older.string()});
  expect_refused(c, 1, "does not exist", {"--resume", (t.folder / "none.h5").string()});
  expect_refused(c, 1, "not a checkpoint", {"--resume", (t.folder / "set.h5").string()});
  expect_refused(c, 2, "4 updates already",
                 {"--resume", newest.string(), "--set", "run.updates=3"});

  // What would change the result of an update is refused; the rest is not.
  c.optimizer.learning_rate = 1e-3;
  c.run.seed_value = 7;
  const auto names = {"learning_rate is 0.001 and was 0.002", "seed is 7 and was 0"};
  for (const char* name : names) expect_refused(c, 2, name, {"--resume", "auto"});
  expect_refused(c, 2,
                 "; go on with " + (c.run_folder() / "config.toml").string() +
                     ", or start anew with --overwrite in place of --resume\n",
                 {"--resume", "auto"});
  expect_refused(c, 1, "no such file", {"--overwrite", "--set", "data.path=/none.h5"});

  make_data(t.folder / "set.h5", 2);
  expect_refused(short_run(), 1, "the data has changed", {"--resume", "auto"});
}

TEST_F(Refusals, AFullDisk) {
  TrainConfig c = short_run();
  c.run.updates = 4;
  put(t.folder / "run.toml", config::to_toml(c));
  const Outcome o = noisette(output, {"train", (t.folder / "run.toml").string()}, 60'000);
  EXPECT_EQ(o.code, 1);
  EXPECT_CONTAINS(o.err, "\nnoisette: [");
  EXPECT_CONTAINS(o.err, "update-00000002.h5");
  EXPECT_CONTAINS(o.err, ": File too large\n");
  EXPECT_EQ(files_below(c.run_folder() / "checkpoints"), std::vector<std::string>{});
  EXPECT_EQ(records_of(c).size(), 2u);
  // With room again it goes on; here, from the beginning.
  EXPECT_EQ(noisette(output, {"train", (t.folder / "run.toml").string()}).code, 0);
  TrainConfig whole = c;
  whole.run.name = "whole";
  EXPECT_EQ(state_of(run(whole)),
            hash_checkpoint(checkpoint_path(c.run_folder() / "checkpoints", 4)).state);
}

TEST_F(Refusals, AnImportToAFullDiskLeavesNothing) {
  for (int i = 0; i < 12; ++i) {
    Image image(40, 40, 3);
    for (std::size_t k = 0; k < image.pixels.size(); ++k)
      image.pixels[k] = uint8_t(philox_block({1, Purpose::kTest}, uint64_t(i), uint32_t(k))[0]);
    const auto folder = t.folder / (i % 2 ? "pictures/one" : "pictures/two");
    std::filesystem::create_directories(folder);
    write_png(folder / fmt::format("{}.png", i), image, {});
  }
  const auto output_file = t.folder / "new/folder/set.h5";
  const std::vector<std::string> arguments{"data",
                                           "images",
                                           (t.folder / "pictures").string(),
                                           "--size",
                                           "40",
                                           "-o",
                                           output_file.string()};
  expect_one_sentence(noisette(output, arguments, 20'000), 1, "set.h5");
  EXPECT_FALSE(std::filesystem::exists(t.folder / "new"));
  const Outcome o = noisette(output, arguments);
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(Dataset::open(output_file)->info().count, 12);
  EXPECT_EQ(files_below(t.folder / "new"), std::vector<std::string>{"folder/set.h5"});
}

TEST_F(Refusals, ADataSetIsReplacedOnlyWhenAsked) {
  std::filesystem::create_directories(t.folder / "pictures");
  for (int i = 0; i < 3; ++i)
    write_png(t.folder / fmt::format("pictures/{}.png", i), Image(8, 8, 3, uint8_t(i)), {});
  const std::string set = (t.folder / "new.h5").string();
  const auto import = [&](const std::vector<std::string>& options) {
    std::vector<std::string> arguments{
        "data", "images", (t.folder / "pictures").string(), "--size", "8", "-o", set};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return noisette(output, arguments);
  };
  expect_one_sentence(import({"--test-fraction", "1"}), 1, "no image is left to train on");
  EXPECT_FALSE(std::filesystem::exists(set));
  const Outcome first = import({"--test-fraction", "1e-9"});
  EXPECT_EQ(first.code, 0);
  EXPECT_CONTAINS(first.err, "warning: none of the 3 images fell into the split `test`");
  const std::string bytes = get(set);
  expect_one_sentence(import({"--grey"}), 2, "new.h5 exists already; replace it with --overwrite");
  EXPECT_EQ(get(set), bytes);
  EXPECT_EQ(import({"--grey", "--overwrite"}).code, 0);
  EXPECT_EQ(Dataset::open(set)->info().channels, 1);
  put(t.folder / "pictures/bad.png", "no PNG");
  const Outcome bad = import({"--overwrite"});
  EXPECT_EQ(bad.code, 1);
  EXPECT_CONTAINS(bad.err, "--skip-bad leaves them out");
}

TEST_F(Refusals, ASampleThatCannotBeWrittenIsNotDrawn) {
  make_checkpoint(t.folder / "model.h5", small_config(t.folder / "set.h5"));
  const std::string model = (t.folder / "model.h5").string();
  expect_one_sentence(noisette(output, {"sample", model, "-o", model + "/grid.png"}), 1,
                      "cannot be made");
  const Outcome o = noisette(output, {"sample", model, "--n", "2", "--steps", "2", "-o",
                                      (t.folder / "new/grid.png").string()});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(std::filesystem::exists(t.folder / "new/grid.png"));
}

TEST_F(Refusals, FiguresThatCannotBeRecordedAreStillPrinted) {
  const std::string run = make_run(t.folder / "run", t.folder / "set.h5").string();
  const std::string older = "{\"knn\": {\"samples\": \"" + std::string(50'000, 'x') + "\"}}\n";
  put(t.folder / "run" / "eval.json", older);
  const Outcome o = noisette(output, {"eval", run, "--metrics", "nll"}, 20'000);
  EXPECT_EQ(o.code, 1);
  EXPECT_CONTAINS(o.out, "L_0, discretised decoder");
  EXPECT_TRUE(o.err.starts_with("noisette: ")) << o.err;
  EXPECT_EQ(std::count(o.err.begin(), o.err.end(), '\n'), 1) << o.err;
  EXPECT_CONTAINS(o.err, "eval.json");
  EXPECT_EQ(get(t.folder / "run" / "eval.json"), older);
}

TEST_F(Refusals, NumbersOutOfRange) {
  const std::vector<std::string> sample = {"sample", "nowhere", "-o",
                                           (t.folder / "a.png").string()};
  const auto refused = [&](std::vector<std::string> arguments, std::vector<std::string> more,
                           const std::string& part) {
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome o = noisette(output, arguments);
    EXPECT_EQ(o.code, 2) << part;
    EXPECT_CONTAINS(o.err, part);
  };
  refused(sample, {"--guidance", "nan"}, "--guidance: must be a number from 0 to 100; got nan");
  refused(sample, {"--eta", "2"}, "--eta: must be a number from 0 to 1; got 2");
  refused(sample, {"--steps", "0"}, "--steps: must be at least 1; got 0");
  refused(sample, {"--seed", "-1"}, "--seed: must be at least 0; got -1");
  refused(sample, {"--steps", "many"}, "--steps");
  refused({"train", "run.toml"}, {"--threads", "100000"}, "must be from 1 to 1024; got 100000");
  refused({"bench", "train", "run.toml"}, {"--steps", "0"}, "must be at least 1; got 0");
  refused({"bench", "train", "run.toml"}, {"--warmup", "-3"}, "must be at least 0; got -3");
}

TEST_F(Refusals, HelpAndVersionAreNone) {
  const Outcome version = noisette(output, {"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_TRUE(version.out.starts_with("noisette ")) << version.out;
  EXPECT_EQ(std::count(version.out.begin(), version.out.end(), '\n'), 1);
  for (const char* command : {"data", "train", "sample", "eval", "plan", "info", "config",
                              "convert", "forward", "bench", "report"}) {
    const Outcome help = noisette(output, {command, "--help"});
    EXPECT_EQ(help.code, 0) << command;
    EXPECT_EQ(help.err, "");
    EXPECT_CONTAINS(help.out, "print this help");
    EXPECT_CONTAINS(help.out, "noisette " + std::string(command));
  }
}

}  // namespace
}  // namespace noisette
