// The program, interrupted: politely, and not.
#include <random>

#include "tests/train/program.h"

namespace noisette {
namespace {

using namespace test;

class Interrupted : public testing::Test {
 protected:
  /// The command line of a run of `updates` with a file of its own.
  std::vector<std::string> command(const TrainConfig& c, const std::string& resume = "") {
    const auto file = t.folder / (c.run.name + ".toml");
    put(file, config::to_toml(c));
    std::vector<std::string> arguments{"train", file.string()};
    if (!resume.empty()) arguments.insert(arguments.end(), {"--resume", resume});
    return arguments;
  }

  static int64_t newest(const TrainConfig& c) {
    const auto all = list_checkpoints(c.run_folder() / "checkpoints");
    return all.empty() ? 0 : *update_of_checkpoint(all.back());
  }

  static std::string newest_state(const TrainConfig& c) {
    const auto all = list_checkpoints(c.run_folder() / "checkpoints");
    return all.empty() ? "" : hash_checkpoint(all.back()).state;
  }

  Training t;
};

TEST_F(Interrupted, TermFinishesTheUpdateSavesAndSaysHowToGoOn) {
  TrainConfig c = t.config("a run");  // a name that a shell would split
  c.run.updates = 1'000'000;
  c.data.flip = true;
  for (const int signal : {SIGTERM, SIGINT}) {
    const auto arguments = command(c, signal == SIGINT ? "auto" : "");
    const int64_t before = newest(c);
    Program program(t.folder, arguments);
    const auto records = c.run_folder() / "metrics.jsonl";
    ASSERT_TRUE(wait_for(program, [&] {
      return std::filesystem::exists(records) && int64_t(read_metrics(records).size()) > before + 3;
    }));
    program.kill(signal);
    const Outcome o = program.wait();
    EXPECT_EQ(o.code, 0) << o.err;
    EXPECT_CONTAINS(o.err, fmt::format("interrupted after update {} of 1000000", newest(c)));
    const std::string program_path = NOISETTE_PROGRAM;  // quoted where a shell would split it
    const bool plain = program_path.find(' ') == std::string::npos;
    EXPECT_CONTAINS(o.err, (plain ? program_path : "'" + program_path + "'") + " train '" +
                               arguments[1] + "' --resume auto");
    EXPECT_GT(newest(c), before);
  }
  const int64_t end = newest(c) + 3;
  TrainConfig whole = t.config("whole");
  whole.run.updates = c.run.updates = end;
  resume(c);
  run(whole);
  EXPECT_EQ(newest_state(c), newest_state(whole));
  EXPECT_EQ(records_of(c), records_of(whole));
}

TEST_F(Interrupted, TermWhilePreviewsAreMadeAndSecondTerm) {
  TrainConfig c = t.config("a");
  c.run.updates = 1'000'000;
  c.preview.every = c.checkpoint.every = 1;
  c.preview.steps = 20;
  Program program(t.folder, command(c));
  ASSERT_TRUE(wait_for(program, [&] { return newest(c) >= 2; }));
  program.kill(SIGTERM);
  EXPECT_EQ(program.wait().code, 0);
  const TrainConfig shown = load_train_config(c.run_folder() / "config.toml");
  const auto state = newest_state(c);
  TrainConfig plain = t.config("plain");
  plain.run.updates = newest(c);
  run(plain);
  EXPECT_EQ(newest_state(plain), state) << "previews change nothing";

  Program again(t.folder, command(c, "auto"));
  const int64_t before = newest(c);
  ASSERT_TRUE(wait_for(again, [&] { return newest(c) > before; }));
  again.kill(SIGTERM);
  again.kill(SIGTERM);  // may be merged with the first one
  const Outcome o = again.wait();
  EXPECT_TRUE(o.code == 0 || o.signal == SIGTERM);
  verify_checkpoint(list_checkpoints(c.run_folder() / "checkpoints").back());
}

TEST_F(Interrupted, TwentyKillsAtRandomMomentsLoseNothingThatWasSaved) {
  TrainConfig c = t.config("killed"), whole = t.config("whole");
  c.run.updates = whole.run.updates = 64;
  c.run.micro_batch = whole.run.micro_batch = 2;  // some kills meet an accumulation
  c.checkpoint.every = 1;                         // most of the time goes into saving
  c.preview.every = 5;
  c.preview.images = c.preview.steps = 2;
  run(whole);
  std::mt19937 random(20240607);
  int kills = 0, mid_save = 0;
  for (; kills < 20; ++kills) {
    Program program(t.folder, command(c, kills > 0 ? "auto" : ""));
    const int64_t target = 3 * (kills + 1);
    if (!wait_for(program, [&] { return newest(c) >= target; })) {
      ADD_FAILURE() << program.wait().err;
      break;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
    program.kill(SIGKILL);
    EXPECT_EQ(program.wait().signal, SIGKILL);
    ASSERT_GE(newest(c), target);
    for (const auto& path : list_checkpoints(c.run_folder() / "checkpoints"))
      verify_checkpoint(path);
    for (const std::string& file : files_below(c.run_folder() / "checkpoints"))
      mid_save += file.starts_with(".");
  }
  EXPECT_GT(mid_save, 0) << "no kill met a checkpoint being written; of 20, about 10 do";
  const Outcome o = noisette(t.folder, command(c, "auto"));
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(newest(c), 64);
  EXPECT_EQ(newest_state(c), newest_state(whole));
  EXPECT_EQ(records_of(c), records_of(whole));
  for (const std::string& file : files_below(c.run_folder()))
    EXPECT_FALSE(file.ends_with(".tmp")) << "left by a killed writer: " << file;
}

TEST_F(Interrupted, OneProcessAtATime) {
  TrainConfig c = t.config("a");
  c.run.updates = 1'000'000;
  c.checkpoint.every = 1;
  Program program(t.folder, command(c));
  ASSERT_TRUE(wait_for(program, [&] { return newest(c) >= 2; }));
  const Folder second;
  for (const char* option : {"--overwrite", "--resume=auto"}) {
    auto arguments = command(c);
    arguments.emplace_back(option);
    expect_one_sentence(noisette(second, arguments), 1, "another process is training in");
  }
  EXPECT_TRUE(program.running());
  const int64_t at = newest(c);
  EXPECT_TRUE(wait_for(program, [&] { return newest(c) > at; }));
  program.kill(SIGTERM);
  EXPECT_EQ(program.wait().code, 0);
}

}  // namespace
}  // namespace noisette
