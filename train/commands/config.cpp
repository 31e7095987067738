// noisette config: what can be configured, and what a file amounts to.
#include "train/config.h"
#include "framework/core/check.h"
#include "train/commands/commands.h"
#include "train/commands/options.h"

namespace noisette::commands {
namespace {

struct Options {
  std::string file;
  std::vector<std::string> set;
  bool describe = false, markdown = false, json = false, diff = false;
};

/// Options that would be ignored are refused.
void check_options(const Options& o) {
  const auto refuse = [](bool wrong, const char* text) {
    if (wrong) throw UsageError(fmt::format("[config] {}", text));
  };
  refuse(o.describe && (!o.file.empty() || !o.set.empty()),
         "--describe is about every key and takes neither a CONFIG file nor --set");
  refuse(o.describe && (o.json || o.diff),
         "--describe goes with --markdown alone, not with --json or --diff");
  refuse(o.markdown && !o.describe, "--markdown is for --describe");
  refuse(o.json && o.diff, "--diff has no JSON form; take --json or --diff");
}

std::string run(const Options& o) {
  check_options(o);
  if (o.describe)
    return config::describe<TrainConfig>(o.markdown ? config::Layout::markdown
                                                    : config::Layout::text);
  if (o.file.empty())
    throw UsageError(
        "[config] nothing to do; give a CONFIG file to resolve, or --describe for every key");
  const TrainConfig c = load_train_config(o.file, o.set);
  check_run(c);
  if (o.diff) {
    std::string text;
    for (const config::Change& d : config::diff(c))
      text += fmt::format("{}{} = {}  # default: {}", text.empty() ? "" : "\n", d.key, d.value,
                          d.other);
    return text;
  }
  return o.json ? config::to_json(c) : config::to_toml(c);
}

}  // namespace

void add_config(CLI::App& app) {
  CLI::App* cmd =
      app.add_subcommand("config", "print every configuration key, or a file fully resolved");
  auto o = std::make_shared<Options>();
  cmd->add_option("CONFIG", o->file, "TOML file to resolve: extends, --set and defaults applied");
  cmd->add_option("--set", o->set, "key=value, as in optimizer.learning_rate=1e-4; may be repeated")
      ->allow_extra_args(false);
  cmd->add_flag("--describe", o->describe, "every key with type, unit, range, default and meaning");
  cmd->add_flag("--markdown", o->markdown, "with --describe: as a Markdown table");
  cmd->add_flag("--json", o->json, "the resolved file as JSON");
  cmd->add_flag("--diff", o->diff, "only what differs from the defaults");
  cmd->callback([o] { print(run(*o)); });
}

}  // namespace noisette::commands
