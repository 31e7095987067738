// noisette sample: what is written, and what is refused before the first image is drawn.
#include "framework/io/image.h"
#include "tests/train/program.h"

namespace noisette {
namespace {

using namespace test;
namespace fs = std::filesystem;

class SampleCommand : public testing::Test {
 protected:
  SampleCommand() { make_checkpoint(model, small_config(t.folder / "set.h5")); }

  std::vector<std::string> arguments(std::vector<std::string> options,
                                     const std::string& output) const {
    options.insert(options.begin(), {"sample", model.string(), "--n", "4", "--steps", "2", "-o",
                                     (t.folder.path() / output).string()});
    return options;
  }
  /// Draws four images in two steps into a file or folder of the test's folder; returns what was
  /// printed.
  std::string sample(const std::vector<std::string>& options, const std::string& output) const {
    return run_command(arguments(options, output));
  }
  std::string refused(const std::vector<std::string>& options,
                      const std::string& output = "new/grid.png") const {
    const std::string message = usage_error_of(arguments(options, output));
    EXPECT_FALSE(fs::exists(t.folder / "new"));
    return message;
  }
  /// The message about an option that cannot be read.
  std::string unread(const std::vector<std::string>& options) const {
    return parse_error_of(arguments(options, "new/grid.png"));
  }

  Training t;
  fs::path model = t.folder / "model.h5";
};

TEST_F(SampleCommand, NumbersHaveTheRangesOfTheConfiguration) {
  for (const char* value : {"nan", "-0.1", "1e30", "100.5", "inf", "strong", "1x"})
    EXPECT_EQ(unread({"--guidance", value}),
              fmt::format("--guidance: must be a number from 0 to 100; got {}", value));
  for (const char* value : {"nan", "2", "-1"})
    EXPECT_EQ(unread({"--eta", value}),
              fmt::format("--eta: must be a number from 0 to 1; got {}", value));
  EXPECT_EQ(unread({"--batch", "0"}), "--batch: must be at least 1; got 0");
  EXPECT_EQ(unread({"--seed", "-1"}), "--seed: must be at least 0; got -1");
  EXPECT_CONTAINS(unread({"--first", "1.5"}), "a whole number");
  EXPECT_CONTAINS(unread({"--threads", "0"}), "from 1 to");
  sample({"--threads", "1"}, "one.png");
  const std::string line = sample({"--guidance", "2.5", "--eta", "0.5"}, "grid.png");
  EXPECT_CONTAINS(line, "guidance 2.5");
}

TEST_F(SampleCommand, GuidanceNeedsATrainedEmptyLabel) {
  TrainConfig c = small_config(t.folder / "set.h5");
  c.data.label_dropout = 0;
  make_checkpoint(model, c);
  EXPECT_CONTAINS(noisette(t.folder, arguments({"--guidance", "3"}, "a.png")).err,
                  "warning: guidance 3 uses the empty label");
  EXPECT_EQ(noisette(t.folder, arguments({"--guidance", "1"}, "b.png")).err, "");
  c.data.label_dropout = 0.1;
  make_checkpoint(model, c);
  EXPECT_EQ(noisette(t.folder, arguments({"--guidance", "3"}, "c.png")).err, "");
  c.data.label_dropout = 0;
  c.model.num_class_embeds = 0;
  make_checkpoint(model, c);
  EXPECT_CONTAINS(refused({"--guidance", "3"}), "guidance 3 needs a model with classes");
  EXPECT_CONTAINS(refused({"--set", "sampler.guidance=0"}), "take --guidance 1");
  EXPECT_CONTAINS(sample({"--guidance", "1"}, "d.png"), "guidance 1");
}

TEST_F(SampleCommand, AutoguidanceTakesAnEarlierCheckpointOfTheRun) {
  TrainConfig c = small_config(t.folder / "set.h5");
  c.sampler.autoguidance = 2;
  EXPECT_CONTAINS(refused({"--autoguidance", "2"}), "autoguidance 2 needs a weaker network");
  EXPECT_CONTAINS(refused({"--weaker", model.string()}),
                  "--weaker is for autoguidance, which is 1");
  c.sampler.autoguidance_share = 0.5;  // of 10 updates
  make_checkpoint(model, c);
  make_checkpoint(checkpoint_path(t.folder.path(), 6), c);
  EXPECT_CONTAINS(refused({}), "no checkpoint until update 5 is in " + t.folder.path().string());
  make_checkpoint(checkpoint_path(t.folder.path(), 2), c);
  const fs::path early = checkpoint_path(t.folder.path(), 4);
  make_checkpoint(early, c);
  const std::string line = sample({}, "away.h5");
  EXPECT_CONTAINS(line, "autoguidance 2 from " + early.string());
  EXPECT_CONTAINS(Dataset::open(t.folder / "away.h5")->info().source, "autoguidance 2");
  sample({"--autoguidance", "1"}, "alone.png");
  sample({}, "same.png");  // both checkpoints hold one network: nothing to go away from
  EXPECT_EQ(decode_image(read_file(t.folder / "alone.png"), "a").pixels,
            decode_image(read_file(t.folder / "same.png"), "b").pixels);
  c.objective.target = diffusion::Target::v;
  make_checkpoint(early, c);
  EXPECT_CONTAINS(refused({}), "objective.target is eps there, and v in " + early.string());
}

TEST_F(SampleCommand, KeysOfTheTrainedModelCannotBeSet) {
  EXPECT_EQ(refused({"--set", "model.norm_num_groups=2"}),
            "[sample] of a trained model, --set changes schedule.*, sampler.*, objective.target, "
            "run.providers; got --set model.norm_num_groups=2");
  for (const char* text : {"optimizer.ema_decay=0", "run.precision=bf16", "objective.weighting=snr",
                           "objective.target.x=1", "samplers.eta=1", "data.path=x"})
    EXPECT_CONTAINS(refused({"--set", text}), std::string("got --set ") + text);
  EXPECT_CONTAINS(refused({"--set", "sampler.etta=1"}), "etta");
  EXPECT_CONTAINS(refused({"--set", "sampler.eta"}), "key=value");
  sample({"--set", "sampler.eta = 0.5", "--set", "objective.target=v"}, "grid.png");
}

TEST_F(SampleCommand, DamagedNewerCheckpointsAreWarnedOf) {
  const fs::path run = make_run(t.folder / "run", t.folder / "set.h5");
  put(checkpoint_path(run / "checkpoints", 20), get(model).substr(0, 5000));
  const std::string output_file = (t.folder / "grid.png").string();
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"info", run.string()},
        {"sample", run.string(), "--n", "1", "--steps", "1", "-o", output_file}}) {
    const Outcome o = noisette(t.folder, command);
    EXPECT_EQ(o.code, 0) << o.err;
    EXPECT_CONTAINS(o.err, "warning: passed over a damaged checkpoint: ");
    EXPECT_CONTAINS(o.err, "update-00000020.h5");
    EXPECT_CONTAINS(o.out, "update-00000010.h5");
  }
}

TEST_F(SampleCommand, ClassesHaveNamesWhileTheTrainingSetIsThere) {
  sample({"--class", "bottom,0", "--seed", "5", "--eta", "0.5"}, "named/");
  const auto path = t.folder / "named/00000_class-2.png";
  EXPECT_EQ(files_below(t.folder / "named")[3], "00003_class-0.png");
  const auto text = read_png_text(read_file(path), path.string());
  EXPECT_EQ(text.at("class"), "2");
  EXPECT_EQ(text.at("eta"), "0.5");
  EXPECT_CONTAINS(refused({"--class", "left"}), "or names: top, middle, bottom; got 'left'");
  EXPECT_CONTAINS(refused({"--class", "3"}), "got '3'");

  sample({"--class", "2,0", "--seed", "5", "--guidance", "2"}, "set.2.h5");
  const auto set = Dataset::open(t.folder / "set.2.h5");
  EXPECT_EQ(set->label(0), 2);
  for (const char* part : {"model.h5 (", "eta 0", "guidance 2", "sampler ddim", "seed 5", "steps 2",
                           "update 10", "weights averaged"})
    EXPECT_CONTAINS(set->info().source, part);
  make_data(t.folder / "set.h5", 7);  // another set under the same name
  EXPECT_CONTAINS(refused({"--class", "top"}), "as in 0,3; got 'top'");
  fs::remove(t.folder / "set.h5");
  EXPECT_CONTAINS(refused({"--class", "top"}), "as in 0,3; got 'top'");
}

TEST_F(SampleCommand, AFolderIsNewOrEmpty) {
  for (const char* folder : {"a", "b/c/", "v1.5/"}) {
    sample({}, folder);
    EXPECT_EQ(files_below(t.folder.path() / folder),
              (std::vector<std::string>{"00000_class-0.png", "00001_class-0.png",
                                        "00002_class-1.png", "00003_class-2.png"}))
        << folder;
    EXPECT_CONTAINS(refused({}, folder), "is not empty");
  }
  fs::create_directory(t.folder / "empty.d");
  sample({"--first", "7"}, "empty.d");
  EXPECT_TRUE(fs::exists(t.folder / "empty.d/00007_class-0.png"));
  put(t.folder / "file", "");
  EXPECT_CONTAINS(refused({}, "file"), "is a file");
}

TEST_F(SampleCommand, OtherKindsOfFilesAreRefused) {
  for (const char* name : {"e1.jpg", "new/grid.PNG", "new/set.hdf5"})
    EXPECT_CONTAINS(refused({}, name), "a grid.png, a set.h5 or a folder");
  fs::create_directory(t.folder / "grid.png");
  put(t.folder / "grid.png/file", "");
  EXPECT_CONTAINS(refused({}, "grid.png"), "is not empty");
}

TEST_F(SampleCommand, OnlyOlderSamplesAreReplaced) {
  sample({}, "samples.h5");
  sample({"--first", "4"}, "samples.h5");
  EXPECT_CONTAINS(Dataset::open(t.folder / "samples.h5")->info().source, "first 4");
  sample({}, "grid.png");
  sample({}, "grid.png");
  put(t.folder / "text.h5", "no HDF5");
  const std::pair<const char*, const char*> others[] = {
      {"set.h5", "is a data set of 18 images from made for a test; -o replaces nothing but older"},
      {"model.h5", "is a checkpoint; -o"},
      {"text.h5", "is no set of samples that can be read; -o"}};
  for (const auto& [name, what] : others) {
    const std::string before = get(t.folder / name);
    EXPECT_CONTAINS(refused({}, name), what);
    EXPECT_EQ(get(t.folder / name), before);
  }
}

TEST_F(SampleCommand, NoRowOfAGridMixesClasses) {
  const auto grid = [&](const std::string& name) {
    return decode_image(read_file(t.folder / name), name);
  };
  sample({}, "grid.png");  // classes 0, 0, 1, 2
  const Image four = grid("grid.png");
  EXPECT_EQ(four.width, 2 * 10 + 2);
  EXPECT_EQ(four.height, 3 * 10 + 2);
  for (int64_t row = 1; row < 3; ++row) {
    const uint8_t* begin = four.row(2 + row * 10) + 12;
    EXPECT_EQ(std::vector<uint8_t>(begin, begin + 8), std::vector<uint8_t>(8, 255)) << row;
  }
  const std::string line = run_command(
      {"sample", model.string(), "--steps", "1", "-o", (t.folder / "default.png").string()});
  EXPECT_TRUE(line.starts_with("66 images")) << line;
  EXPECT_EQ(grid("default.png").width, 22 * 10 + 2);
  sample({"--class", "1"}, "one.png");
  EXPECT_EQ(grid("one.png").width, 2 * 10 + 2) << "one class alone makes a square";
}

TEST_F(SampleCommand, AGridShowsAsManyColumnsAsAskedFor) {
  const auto grid = [&](const std::string& name) {
    return decode_image(read_file(t.folder / name), name);
  };
  sample({}, "all.png");  // classes 0, 0, 1, 2
  sample({"--columns", "1"}, "one.png");
  const Image all = grid("all.png"), one = grid("one.png");
  EXPECT_EQ(one.width, 10 + 2);
  EXPECT_EQ(one.height, 3 * 10 + 2);
  for (int64_t y = 0; y < one.height; ++y)
    EXPECT_TRUE(std::equal(one.row(y), one.row(y) + one.width, all.row(y))) << y;
  sample({"--columns", "3"}, "wide.png");
  EXPECT_EQ(grid("wide.png").width, 3 * 10 + 2);
  sample({"--class", "1", "--columns", "1"}, "column.png");
  EXPECT_EQ(grid("column.png").height, 4 * 10 + 2) << "of one class alone all are shown";
  EXPECT_EQ(unread({"--columns", "0"}), "--columns: must be at least 1; got 0");
}

TEST_F(SampleCommand, SeveralOutputsShowTheSameImages) {
  const std::string grid = (t.folder / "g.png").string(), single = (t.folder / "f/").string();
  EXPECT_CONTAINS(sample({"-o", grid, "-o", single}, "s.h5"), "s.h5, " + grid + ", " + single);
  sample({}, "alone.h5");
  sample({}, "alone.png");
  EXPECT_EQ(get(t.folder / "g.png"), get(t.folder / "alone.png"));
  EXPECT_EQ(files_below(t.folder / "f").size(), 4u);
  const auto both = Dataset::open(t.folder / "s.h5"), alone = Dataset::open(t.folder / "alone.h5");
  EXPECT_EQ(both->info().fingerprint, alone->info().fingerprint);
  EXPECT_CONTAINS(refused({"-o", (t.folder / "new/../new/grid.png").string()}), "is given twice");
  EXPECT_CONTAINS(refused({"-o", (t.folder / "x.jpg").string()}),
                  "a grid.png, a set.h5 or a folder");
}

TEST_F(SampleCommand, AFullDiskLeavesNoPictures) {
  sample({}, "whole/");
  std::vector<std::uintmax_t> sizes;
  for (const std::string& file : files_below(t.folder / "whole"))
    sizes.push_back(fs::file_size(t.folder / "whole" / file));
  const auto larger =
      std::find_if(sizes.begin(), sizes.end(), [&](auto s) { return s > sizes[0]; });
  ASSERT_NE(larger, sizes.end()) << "the first picture must fit where another does not";
  const Folder output;
  fs::create_directory(t.folder / "empty");
  for (const char* name : {"new", "empty"}) {
    const Outcome o = noisette(output, arguments({"--threads", "1"}, name), sizes[0]);
    EXPECT_EQ(o.code, 1) << o.err;
    EXPECT_CONTAINS(o.err, "File too large");
  }
  EXPECT_FALSE(fs::exists(t.folder / "new"));
  EXPECT_TRUE(fs::is_empty(t.folder / "empty"));
}

TEST_F(SampleCommand, WhereNothingCanBeWrittenIsKnownBeforeTheWork) {
  for (const char* output : {"/proc/grid.png", "/proc/set.h5"})
    EXPECT_CONTAINS(run_error_of({"sample", (t.folder / "none").string(), "-o", output}),
                    std::string("cannot write ") + output);
  EXPECT_CONTAINS(run_error_of({"sample", (t.folder / "none").string(), "-o", "/proc/folder"}),
                  "the folder /proc/folder cannot be made");
}

TEST_F(SampleCommand, WhatIsNoModelIsCalledWhatItIs) {
  put(t.folder / "old.pt", "PK\x03\x04 and more");
  put(t.folder / "run.toml", "[run]\n");
  write_png(t.folder / "a.png", Image(3, 2, 1, 7));
  const auto said = [&](const char* name) {
    return run_error_of(
        {"sample", (t.folder / name).string(), "-o", (t.folder / "b.png").string()});
  };
  const std::string wanted = "a run folder, a checkpoint or a model folder";
  EXPECT_CONTAINS(said("old.pt"), "old.pt is none of " + wanted + "; if it is a PyTorch file");
  EXPECT_CONTAINS(said("run.toml"), "run.toml is none of " + wanted);
  EXPECT_CONTAINS(said("set.h5"), "set.h5 is a data set; wanted " + wanted);
  EXPECT_CONTAINS(said("a.png"), "a.png is a picture; wanted " + wanted);
  put(t.folder / "w.safetensors", std::string("\x02\0\0\0\0\0\0\0{}", 10));
  EXPECT_CONTAINS(said("w.safetensors"), "the model is the folder with its config.json");
}

}  // namespace
}  // namespace noisette
