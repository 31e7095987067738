// The `noisette` program. Exit codes: 0 done (or interrupted and saved), 1 the run failed, 2 usage
// or configuration.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "framework/config/value.h"
#include "framework/core/check.h"
#include "framework/report/console.h"
#include "framework/report/log.h"
#include "train/commands/commands.h"

namespace {

int report(const std::exception& e, int code) {
  noisette::console().end_bar();
  std::fprintf(stderr, "noisette: %s\n", e.what());
  return code;
}

/// "there is no command 'trian', perhaps 'train'; known: ..."
std::string unknown_command(const CLI::App& in, const std::string& word) {
  std::string hint, known;
  int64_t best = 1 + int64_t(word.size()) / 3;  // as for keys: more is no longer a typing error
  for (const CLI::App* command : in.get_subcommands({})) {
    const std::string& name = command->get_name();
    known += (known.empty() ? "" : ", ") + name;
    if (word.size() > 100) continue;
    const int64_t distance = noisette::config::edit_distance(word, name);
    if (distance > best) continue;
    best = distance - 1;
    hint = ", perhaps '" + name + "'";
  }
  return "there is no command '" + word + "'" + hint + "; known: " + known;
}

/// A command line that cannot be read: what is wrong, and where the right one is described.
int report_usage(const CLI::App& app, const CLI::ParseError& e, int argc, char** argv) {
  std::string command = "noisette", what = e.what();
  const CLI::App* at = &app;
  int depth = 1;
  for (; !at->get_subcommands().empty(); ++depth) {
    at = at->get_subcommands().front();
    command += " " + at->get_name();
  }
  const bool group = !at->get_subcommands({}).empty();  // its next word is a command
  if (group && depth < argc && argv[depth][0] != '-') what = unknown_command(*at, argv[depth]);
  std::fprintf(stderr, "noisette: %s; see `%s --help`\n", what.c_str(), command.c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace noisette;
  CLI::App app{"noisette: diffusion models, trained and sampled from one config file", "noisette"};
  app.set_help_flag("-h,--help", "print this help");
  app.require_subcommand(1);
  app.set_version_flag("--version", "noisette " NOISETTE_VERSION, "print the version");
  app.footer(
      "`noisette COMMAND --help` explains a command; `noisette config --describe` every "
      "configuration key.");
  commands::add_data(app);
  commands::add_train(app);
  commands::add_sample(app);
  commands::add_eval(app);
  commands::add_report(app);
  commands::add_plan(app);
  commands::add_info(app);
  commands::add_config(app);
  commands::add_convert(app);
  commands::add_forward(app);
  commands::add_bench(app);
  try {
    set_up_log();
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const bool asked = e.get_exit_code() == 0;  // --help, --version
    return asked ? app.exit(e) : report_usage(app, e, argc, argv);
  } catch (const UsageError& e) {
    return report(e, 2);
  } catch (const std::exception& e) {
    return report(e, 1);
  }
  return 0;
}
