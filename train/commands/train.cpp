// noisette train: runs a configuration to its end, or until it is interrupted.
#include <omp.h>
#include <csignal>

#include "framework/report/console.h"
#include "framework/report/progress.h"
#include "train/checkpoint.h"
#include "train/commands/commands.h"
#include "train/trainer.h"

namespace noisette::commands {
namespace {

std::atomic<bool> stop_requested{false};

extern "C" void on_signal(int) { stop_requested.store(true); }

/// SIGINT and SIGTERM ask the run to finish its update and save; the second one ends the process at once.
void install_handlers() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = int(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

struct Options {
  std::string file, resume;
  std::vector<std::string> set;
  bool overwrite = false;
  int64_t threads = 0;
};

/// A folder with checkpoints is neither overwritten nor taken up again unless the user says which.
void refuse_existing(const TrainConfig& c, const Options& o) {
  const auto found = list_checkpoints(c.run_folder() / "checkpoints");
  if (found.empty() || o.overwrite) {
    for (const auto& path : found) std::filesystem::remove(path);
    return;
  }
  throw UsageError(fmt::format(
      "[train] {} holds a run already, up to {}; go on with --resume auto, start anew with "
      "--overwrite, or take another --set run.name=...",
      c.run_folder().string(), found.back().filename().string()));
}

void run(const Options& o) {
  const TrainConfig c = load_train_config(o.file, o.set);
  if (o.threads > 0) omp_set_num_threads(int(o.threads));
  TrainOptions options;
  options.stop = &stop_requested;
  if (o.resume.empty())
    refuse_existing(c, o);
  else
    options.resume = find_resume(c, o.resume);
  install_handlers();
  const TrainResult r = train(c, options);
  if (r.interrupted)
    console().line(fmt::format(
        "interrupted after update {} of {}; saved {}\ngo on with: noisette train {} --resume auto",
        r.update, c.run.updates, r.checkpoint.string(), o.file));
  else
    console().line(fmt::format("done: {} updates, {}", r.update, r.checkpoint.string()));
}

}  // namespace

void add_train(CLI::App& app) {
  CLI::App* cmd = app.add_subcommand("train", "train a model as a config file says");
  auto o = std::make_shared<Options>();
  cmd->add_option("CONFIG", o->file, "TOML file; `noisette config --describe` lists its keys")
      ->required();
  cmd->add_option("--set", o->set, "key=value, as in optimizer.learning_rate=1e-4; may be repeated")
      ->allow_extra_args(false);
  cmd->add_option("--resume", o->resume,
                  "auto: the newest checkpoint of the run that verifies; or a checkpoint file");
  cmd->add_flag("--overwrite", o->overwrite, "start anew in a folder that holds a run");
  cmd->add_option("--threads", o->threads, "OpenMP threads; default: all cores")
      ->check(CLI::PositiveNumber);
  cmd->callback([o] { run(*o); });
}

}  // namespace noisette::commands
