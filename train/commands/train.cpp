// noisette train: runs a configuration to its end, or until it is interrupted.
#include <omp.h>

#include <cerrno>
#include <csignal>

#include "framework/core/check.h"
#include "framework/report/console.h"
#include "train/commands/commands.h"
#include "train/commands/options.h"
#include "train/run_folder.h"
#include "train/trainer.h"

namespace noisette::commands {
namespace {

std::atomic<bool> stop_requested{false};

extern "C" void on_signal(int) { stop_requested.store(true); }

/// SIGINT and SIGTERM ask the run to finish its update and save; the second one ends the process at
/// once.
void install_handlers() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = int(SA_RESETHAND) | SA_RESTART;  // a save goes on undisturbed
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

struct Options {
  std::string file, resume, device;
  std::vector<std::string> set;
  bool overwrite = false, deterministic = false;
  int64_t threads = 0;
};

/// An argument as a shell reads it back.
std::string quoted(const std::string& text) {
  const bool plain = text.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789_-+=./,:@%") == std::string::npos;
  if (plain && !text.empty()) return text;
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

/// With the program's path as it was started: a user's shell may find no `noisette` of its own.
std::string how_to_go_on(const Options& o) {
  std::string text = quoted(program_invocation_name) + " train " + quoted(o.file);
  for (const std::string& s : o.set) text += " --set " + quoted(s);
  if (!o.device.empty()) text += " --device " + o.device;
  if (o.deterministic) text += " --deterministic";
  if (o.threads > 0) text += fmt::format(" --threads {}", o.threads);
  return text + " --resume auto";
}

void run(const Options& o) {
  std::vector<std::string> set = o.set;
  if (!o.device.empty()) set.push_back("run.device=" + o.device);
  if (o.deterministic) set.emplace_back("run.deterministic=true");
  const TrainConfig c = load_train_config(o.file, set);
  use_threads(o.threads);
  TrainOptions options;
  options.overwrite = o.overwrite;
  options.stop = &stop_requested;
  if (!o.resume.empty())
    options.resume = find_resume(c, o.resume);
  else if (!o.overwrite)
    refuse_existing_run(c);
  install_handlers();
  const TrainResult r = train(c, options);
  if (r.interrupted)
    console().line(fmt::format("interrupted after update {} of {}; go on with:\n  {}", r.update,
                               c.run.updates, how_to_go_on(o)));
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
  cmd->add_flag("--overwrite", o->overwrite,
                "start anew in a folder that holds a run, or go back to the checkpoint of "
                "--resume: later ones are removed");
  cmd->add_flag("--deterministic", o->deterministic,
                "run.deterministic: nothing is chosen by a clock");
  add_device(cmd, o->device, "run.device of the file");
  add_threads(cmd, o->threads);
  cmd->footer(
      "Ctrl-C (or SIGTERM) finishes the update, saves, and prints how to go on; a second one ends "
      "at once.");
  cmd->callback([o] { run(*o); });
}

}  // namespace noisette::commands
