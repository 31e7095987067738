// The `noisette` program. Exit codes: 0 done (or interrupted and saved), 1 the run failed, 2 usage or configuration.
#include <cstdio>
#include <exception>

#include "framework/core/check.h"
#include "framework/report/log.h"
#include "train/commands/commands.h"

namespace {

int report(const std::exception& e, int code) {
  std::fprintf(stderr, "noisette: %s\n", e.what());
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace noisette;
  CLI::App app{"noisette: diffusion models, trained and sampled from one config file"};
  app.require_subcommand(1);
  app.footer(
      "`noisette COMMAND --help` explains a command; `noisette config --describe` every "
      "configuration key.");
  commands::add_data(app);
  commands::add_train(app);
  commands::add_sample(app);
  commands::add_eval(app);
  //commands::add_report(app);
  commands::add_plan(app);
  //commands::add_info(app);
  commands::add_config(app);
  commands::add_convert(app);
  commands::add_forward(app);
  commands::add_bench(app);
  try {
    set_up_log();
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const UsageError& e) {
    return report(e, 2);
  } catch (const std::exception& e) {
    return report(e, 1);
  }
  return 0;
}
