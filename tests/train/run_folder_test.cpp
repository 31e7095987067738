// What a run does with what it finds in its folder.
#include "train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "framework/io/hdf5.h"
#include "framework/io/image.h"
#include "tests/support/message.h"
#include "tests/train/program.h"

namespace noisette {
namespace {

using namespace test;
using testing_support::message_of;
namespace fs = std::filesystem;

class RunFolders : public testing::Test {
 protected:
  TrainConfig four_updates() const {
    TrainConfig c = t.config("a");
    c.run.updates = 4;
    c.checkpoint.every = 1;
    c.checkpoint.keep = 3;
    return c;
  }
  static fs::path checkpoint(const TrainConfig& c, int64_t update) {
    return checkpoint_path(c.run_folder() / "checkpoints", update);
  }
  static void damage(const fs::path& path) {
    std::string bytes = get(path);
    for (std::size_t i = bytes.size() / 2; i < bytes.size() / 2 + 64; ++i) bytes[i] ^= 1;
    put(path, bytes);
  }
  static std::vector<std::string> checkpoints(const TrainConfig& c) {
    return files_below(c.run_folder() / "checkpoints");
  }

  /// Every file of a run with its content.
  static std::map<std::string, std::string> contents(const TrainConfig& c) {
    std::map<std::string, std::string> all;
    for (const std::string& file : files_below(c.run_folder()))
      all[file] = fs::exists(c.run_folder() / file) ? get(c.run_folder() / file) : "";
    return all;
  }

  Training t;
};

TEST_F(RunFolders, KeepTheNewestCheckpointsAndThoseAtMultiples) {
  TrainConfig c = t.config("a");
  c.run.updates = 9;
  c.checkpoint = {.every = 2, .keep = 2, .keep_every = 4};
  run(c);
  using Names = std::vector<std::string>;
  EXPECT_EQ(checkpoints(c),
            (Names{"update-00000004.h5", "update-00000008.h5", "update-00000009.h5"}));
}

TEST_F(RunFolders, KeepTheWeakerNetworkOfAutoguidance) {
  TrainConfig c = t.config("a");
  c.run.updates = 12;
  c.checkpoint = {.every = 5, .keep = 1};
  c.sampler.autoguidance_share = 0.25;
  run(c);
  using Names = std::vector<std::string>;
  EXPECT_EQ(checkpoints(c), Names{"update-00000012.h5"});  // autoguidance is 1
  c.run.name = "b";
  c.sampler.autoguidance = 2;
  run(c);
  EXPECT_EQ(checkpoints(c), (Names{"update-00000003.h5", "update-00000012.h5"}));
  c.run.updates = 20;  // a quarter is 5, and long past
  put(t.folder / "run.toml", config::to_toml(c));
  EXPECT_EQ(
      noisette(t.folder, {"train", (t.folder / "run.toml").string(), "--resume", "auto"}).code, 0);
  EXPECT_EQ(checkpoints(c), (Names{"update-00000003.h5", "update-00000020.h5"}));
  c.run.name = "c";
  c.run.updates = 1;
  EXPECT_CONTAINS(message_of([&] { run(c); }), "a run of 1 update has none");
}

TEST_F(RunFolders, ADamagedNewestCheckpointIsPassedOverWithAWarning) {
  TrainConfig c = four_updates(), whole = t.config("whole");
  run(c);
  c.run.updates = whole.run.updates = 6;
  c.checkpoint.keep = 1;
  damage(checkpoint(c, 4));
  put(c.run_folder() / "checkpoints/.update-00000005.h5.host.1.7.tmp", "cut short");
  put(t.folder / "run.toml", config::to_toml(c));
  const Outcome o =
      noisette(t.folder, {"train", (t.folder / "run.toml").string(), "--resume", "auto"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_CONTAINS(o.err, "warning: passed over a damaged checkpoint: ");
  EXPECT_CONTAINS(o.err, "update-00000003.h5");
  EXPECT_EQ(checkpoints(c),
            (std::vector<std::string>{"update-00000004.h5.damaged", "update-00000006.h5"}));
  EXPECT_EQ(hash_checkpoint(checkpoint(c, 6)).state, state_of(run(whole)));
  EXPECT_EQ(records_of(c), records_of(whole));
}

TEST_F(RunFolders, ARunOfAnotherLengthSaysWhatBecomesOfItsLearningRate) {
  TrainConfig c = four_updates();
  c.optimizer.learning_rate = 0.01;
  const auto resumed = [&](int64_t updates) {
    c.run.updates = updates;
    put(t.folder / "run.toml", config::to_toml(c));
    const Outcome o =
        noisette(t.folder, {"train", (t.folder / "run.toml").string(), "--resume", "auto"});
    EXPECT_EQ(o.code, 0) << o.err;
    return o.err;
  };
  run(c);
  EXPECT_EQ(resumed(5).find("warning"), std::string::npos);  // a constant rate
  c.run.name = "b";
  c.optimizer.decay = Decay::linear;
  c.run.updates = 4;
  run(c);
  EXPECT_EQ(resumed(4).find("warning"), std::string::npos);
  EXPECT_CONTAINS(resumed(9),
                  "warning: the learning rate was to fall over 4 updates and now falls over 9: "
                  "after update 4 it is 0.00500 in place of 0, and config.toml alone will not "
                  "reproduce this run\n");
}

TEST_F(RunFolders, ARunThatIsDoneAddsNothing) {
  const TrainConfig c = four_updates();
  run(c);
  put(t.folder / "run.toml", config::to_toml(c));
  const auto before = files_below(c.run_folder());
  const Outcome o =
      noisette(t.folder, {"train", (t.folder / "run.toml").string(), "--resume", "auto"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_CONTAINS(o.err, "4 of 4; none was done now");
  EXPECT_EQ(o.err.find("in the last update"), std::string::npos);
  EXPECT_EQ(files_below(c.run_folder()), before);
}

TEST_F(RunFolders, WithoutASoundCheckpointOnlyOverwriteStartsAnew) {
  TrainConfig c = four_updates();
  const auto state = state_of(run(c));
  for (const int64_t update : {2, 3, 4}) damage(checkpoint(c, update));
  put(t.folder / "run.toml", config::to_toml(c));
  const std::string toml = (t.folder / "run.toml").string();
  const Folder output;
  const auto before = contents(c);
  const Outcome o = noisette(output, {"train", toml, "--resume", "auto"});
  expect_one_sentence(o, 1, "checkpoints is sound; of the newest, update-00000004.h5: cannot ");
  EXPECT_CONTAINS(o.err, "; start anew with --overwrite in place of --resume\n");
  EXPECT_EQ(contents(c), before);
  EXPECT_EQ(noisette(output, {"train", toml, "--overwrite"}).code, 0);
  EXPECT_EQ(hash_checkpoint(checkpoint(c, 4)).state, state);
}

TEST_F(RunFolders, WhatIsNotDamagedIsNeitherPassedOverNorRenamed) {
  const TrainConfig c = four_updates();
  run(c);
  put(t.folder / "run.toml", config::to_toml(c));
  const std::string toml = (t.folder / "run.toml").string();
  const Folder output;
  const auto refused = [&](const std::string& resume, int code, const std::string& part) {
    const auto before = contents(c);
    expect_one_sentence(noisette(output, {"train", toml, "--resume", resume}), code, part);
    EXPECT_EQ(contents(c), before);
  };
  hdf5::File later = hdf5::File::create(checkpoint(c, 5));
  later.set("/", "format", "noisette checkpoint");
  later.set("/", "version", int64_t(2));
  later.finish();
  refused("auto", 1, "update-00000005.h5 has format version 2; this build reads 1; start anew");
  refused(checkpoint(c, 4).string(), 2, "going back to update 4 removes what came later");
  fs::remove(checkpoint(c, 5));
  fs::create_symlink("nowhere", checkpoint(c, 5));  // root may read whatever there is
  refused("auto", 1, "update-00000005.h5: No such file or directory; start anew");
  damage(checkpoint(c, 4));
  refused(checkpoint(c, 3).string(), 2, "going back to update 3 removes what came later");
}

TEST_F(RunFolders, AnotherNumberOfThreadsIsSaid) {
  TrainConfig c = four_updates();
  run(c);
  c.run.updates = 5;
  put(t.folder / "run.toml", config::to_toml(c));
  const Outcome o = noisette(
      t.folder, {"train", (t.folder / "run.toml").string(), "--resume", "auto", "--threads", "2"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_CONTAINS(o.err,
                  "warning: the number of threads was 1 and is 2: weights will round differently");
  EXPECT_EQ(read_checkpoint_info(checkpoint(c, 5)).numbers.at("threads"), 2);
}

TEST_F(RunFolders, GoingBackReplacesLaterCheckpointsOnlyWhenAsked) {
  TrainConfig c = four_updates();
  const auto state = state_of(run(c));
  c.checkpoint.keep = 1;
  TrainOptions back{.resume = checkpoint(c, 2)};
  EXPECT_CONTAINS(error_of([&] { run(c, back); }), "holds a run already, up to update-00000004.h5");
  EXPECT_EQ(checkpoints(c).size(), 3u);
  back.overwrite = true;
  EXPECT_EQ(state_of(run(c, back)), state);
  EXPECT_EQ(checkpoints(c), std::vector<std::string>{"update-00000004.h5"});
  EXPECT_EQ(records_of(c).size(), 4u);
}

TEST_F(RunFolders, PreviewsComeFromTheSameNoise) {
  TrainConfig c = four_updates();
  c.optimizer.learning_rate = 1e-30;  // the network stays as it is
  c.preview = {.every = 2, .images = 6, .steps = 3};
  const auto preview = [](const TrainConfig& c, int64_t update) {
    const fs::path path = c.run_folder() / "previews" / fmt::format("update-{:08}.png", update);
    return decode_image(read_file(path), path.string()).pixels;
  };
  run(c);
  EXPECT_EQ(preview(c, 2), preview(c, 4));
  TrainConfig other = c;
  other.run.name = "b";
  other.run.seed_value = 9;
  run(other);
  EXPECT_NE(preview(c, 4), preview(other, 4));
}

TEST_F(RunFolders, EventsHoldEveryRecordAndEveryPreview) {
  TrainConfig c = four_updates();
  c.preview = {.every = 2, .images = 1, .steps = 1};
  run(c);
  std::string events;
  for (const std::string& file : files_below(c.run_folder()))
    if (file.starts_with("events.out.tfevents.")) events += get(c.run_folder() / file);
  const auto count = [&](const std::string& tag) {
    int64_t n = 0;
    for (std::size_t at = events.find(tag); at != events.npos; at = events.find(tag, at + 1)) ++n;
    return n;
  };
  for (const char* tag : {"grad_norm", "learning_rate", "images_per_second"})
    EXPECT_EQ(count(tag), 4) << tag;
  EXPECT_EQ(count("preview"), 2);
}

TEST_F(RunFolders, Bf16IsRunInF32WhereTheCpuHasNone) {
  TrainConfig c = four_updates();
  c.run.precision = Precision::bf16;
  put(t.folder / "bf16.toml", config::to_toml(c));
  const Outcome o = noisette(t.folder, {"train", (t.folder / "bf16.toml").string()});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(o.err.find("this CPU has no bf16 arithmetic") == o.err.npos, cpu_has_bf16()) << o.err;
  EXPECT_EQ(load_train_config(c.run_folder() / "config.toml").run.precision,
            cpu_has_bf16() ? Precision::bf16 : Precision::f32);
}

TEST_F(RunFolders, OverwritingLeavesNothingOfTheOldRun) {
  TrainConfig c = four_updates();
  c.preview = {.every = 2, .images = 1, .steps = 1};
  run(c);
  put(c.run_folder() / "eval.json", "{}");
  put(c.run_folder() / "grid.png", "the user's");
  c.run.updates = 1;
  c.preview.every = 0;
  EXPECT_CONTAINS(error_of([&] { run(c); }), "--overwrite");
  run(c, {.overwrite = true});
  std::vector<std::string> files = files_below(c.run_folder());
  std::erase_if(files, [](const auto& f) { return f.starts_with("events.out.tfevents."); });
  EXPECT_EQ(files,
            (std::vector<std::string>{".lock", "checkpoints/update-00000001.h5", "config.toml",
                                      "grid.png", "metrics.jsonl", "summary.json"}));
  EXPECT_EQ(files_below(c.run_folder()).size(), files.size() + 1) << "one file of events";
}

TEST_F(RunFolders, ARunTakenUpElsewhereHasItsStateThere) {
  TrainConfig c = four_updates(), other = t.config("other");
  run(c);
  other.run.updates = 4;
  std::atomic<bool> stop = true;
  const TrainResult r = run(other, {.resume = checkpoint(c, 3), .stop = &stop});
  EXPECT_TRUE(r.interrupted);
  EXPECT_EQ(r.checkpoint, checkpoint(other, 3));
  EXPECT_EQ(state_of(resume(other)), hash_checkpoint(checkpoint(c, 4)).state);
}

TEST_F(RunFolders, TheResolvedConfigurationReproducesTheRun) {
  TrainConfig c = four_updates();
  const auto state = state_of(run(c));
  const std::string toml = (c.run_folder() / "config.toml").string();
  const Outcome o = noisette(t.folder, {"train", toml, "--set", "run.name=again"});
  EXPECT_EQ(o.code, 0) << o.err;
  c.run.name = "again";
  EXPECT_EQ(hash_checkpoint(checkpoint(c, 4)).state, state);
}

TEST_F(RunFolders, AFinishedRunMayBeMadeLonger) {
  TrainConfig c = four_updates(), whole = t.config("whole");
  run(c);
  put(c.run_folder() / "eval.json", "{}");
  EXPECT_EQ(resume(c).update, 4);  // nothing left to do
  EXPECT_TRUE(fs::exists(c.run_folder() / "eval.json"));
  c.run.updates = whole.run.updates = 6;
  EXPECT_EQ(state_of(resume(c)), state_of(run(whole)));
  EXPECT_FALSE(fs::exists(c.run_folder() / "eval.json")) << "figures of other weights";
}

// ---- what the user reads

TEST_F(RunFolders, TablesBeforeAndAfter) {
  TrainConfig c = four_updates();
  c.run.micro_batch = 2;
  std::string text;
  {
    const Quiet quiet;
    train(c, {});
    text = quiet.text();
  }
  EXPECT_CONTAINS(text, "12 of 8x8x1");
  EXPECT_CONTAINS(text, "3 classes");
  EXPECT_CONTAINS(text, "5 images an update, computed 2 at a time");
  EXPECT_CONTAINS(text, "4 of 4; 4 in ");
  EXPECT_CONTAINS(text, "all values finite; the average moved");
  EXPECT_CONTAINS(text, "update-00000004.h5");
  c.run.name = "still";
  c.run.updates = 1;
  c.optimizer.warmup = 10;  // the first update has rate 0
  const Quiet quiet;
  train(c, {});
  EXPECT_CONTAINS(quiet.text(), "the average has NOT moved");
}

TEST_F(RunFolders, ARunInTrainingIsNamedBeforeItsCheckpointsAreLookedAt) {
  const TrainConfig c = four_updates();
  run(c);
  // What a process without the lock may see of checkpoints that come and go says nothing.
  fs::remove(checkpoint(c, 4));
  fs::create_symlink("gone", checkpoint(c, 4));
  const std::map<std::string, std::string> before = contents(c);
  const int lock = ::open((c.run_folder() / ".lock").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(lock, LOCK_EX | LOCK_NB), 0);
  for (const std::string& which : {std::string("auto"), checkpoint(c, 3).string()})
    EXPECT_CONTAINS(message_of([&] { find_resume(c, which); }), "another process is training in");
  ::close(lock);
  EXPECT_CONTAINS(message_of([&] { find_resume(c, "auto"); }), "cannot be used");
  EXPECT_EQ(contents(c), before);
}

// Without looking again at what is there by now, many of these rounds fail.
TEST_F(RunFolders, CheckpointsMayComeAndGoWhileTheNewestIsSought) {
  const TrainConfig c = four_updates();
  const fs::path folder = t.folder / "busy";
  fs::create_directories(folder);
  make_checkpoint(t.folder / "one.h5", c);
  std::atomic<bool> first = false, done = false;
  std::thread trainer([&] {
    for (int64_t i = 1; !done; ++i) {
      fs::create_hard_link(t.folder / "one.h5", checkpoint_path(folder, i));
      if (i > 1) fs::remove(checkpoint_path(folder, i - 1));
      first = true;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  });
  while (!first) std::this_thread::yield();
  for (int i = 0; i < 100; ++i) {
    std::vector<std::string> skipped;
    try {
      EXPECT_TRUE(newest_valid_checkpoint(folder, skipped));
    } catch (const Error& e) {
      ADD_FAILURE() << e.what();
    }
    EXPECT_TRUE(skipped.empty());
  }
  done = true;
  trainer.join();
}

}  // namespace
}  // namespace noisette
