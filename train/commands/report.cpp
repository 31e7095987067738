// noisette report: one self-contained HTML page about one run, or several side by side.
#include <map>
#include <nlohmann/json.hpp>

#include "framework/core/check.h"
#include "framework/io/atomic_file.h"
#include "framework/io/image.h"
#include "framework/report/html_report.h"
#include "framework/report/table.h"
#include "train/commands/commands.h"
#include "train/commands/options.h"
#include "train/config.h"
#include "train/eval_record.h"
#include "train/file_kind.h"

namespace noisette::commands {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::vector<std::string> runs;
  std::string output;
};

/// A picture that was cut short would only show as a broken one in the browser.
void check_pictures(const RunReport& run, const fs::path& folder) {
  const auto check_one = [](const std::string& png, const std::string& origin) {
    decode_image(std::as_bytes(std::span(png)), origin);
  };
  for (const auto& [update, png] : run.samples)
    check_one(png, fmt::format("the preview of update {} in {}", update, folder.string()));
  if (!run.grid.empty()) check_one(run.grid, (folder / "grid.png").string());
}

/// How the picture of samples was made, which `noisette sample` writes into it; "" for a foreign
/// one.
std::string caption_of(const RunReport& run) {
  if (run.grid.empty() || !run.grid_caption.empty()) return run.grid_caption;
  const auto text = read_png_text(std::as_bytes(std::span(run.grid)), "grid.png");
  std::string caption;
  for (const char* key : {"update", "weights", "sampler", "steps", "eta", "guidance",
                          "autoguidance", "guided", "seed"})
    if (const auto entry = text.find(key); entry != text.end())
      caption += fmt::format("{}{} {}", caption.empty() ? "" : ", ", key, entry->second);
  return caption;
}

RunReport read_run(const fs::path& folder) {
  check_user(is_run_folder(folder),
             "[report] {} is no run folder: it needs config.toml beside metrics.jsonl",
             folder.string());
  RunReport run = load_run(folder);
  check_pictures(run, folder);
  run.grid_caption = caption_of(run);
  TrainConfig used = load_train_config(folder / "config.toml"), defaults;
  run.config = settings_of(config::Fields::table_of(used), config::Fields::table_of(defaults));
  run.timesteps = used.schedule.steps;
  const nlohmann::ordered_json record = read_eval_record(folder);
  const Rows figures = eval_rows(record);
  run.held_out_bands = eval_bands(record);
  run.summary.insert(run.summary.end(), figures.begin(), figures.end());
  return run;
}

/// Runs of one name in different folders are told apart by their paths.
void make_names_unique(std::vector<RunReport>& runs, const std::vector<std::string>& paths) {
  std::map<std::string, int> count;
  for (const RunReport& run : runs) ++count[run.name];
  for (std::size_t i = 0; i < runs.size(); ++i)
    if (count[runs[i].name] > 1) runs[i].name = paths[i];
}

void run(const Options& o) {
  if (o.output.empty() && o.runs.size() > 1)
    throw UsageError(fmt::format("[report] {} runs make one page; say where with -o report.html",
                                 o.runs.size()));
  const fs::path output =
      o.output.empty() ? fs::path(o.runs[0]) / "report.html" : fs::path(o.output);
  if (fs::is_directory(output))
    throw UsageError(
        fmt::format("[report] {} is a folder; -o names the file to write", output.string()));
  std::vector<RunReport> runs;
  for (const std::string& path : o.runs) runs.push_back(read_run(path));
  make_names_unique(runs, o.runs);
  const std::string html = html_report(runs);
  write_file(output, html);
  print(fmt::format("{}: {} run{}, {}", output.string(), runs.size(), runs.size() == 1 ? "" : "s",
                    format_bytes(double(html.size()))));
}

}  // namespace

void add_report(CLI::App& app) {
  CLI::App* cmd = app.add_subcommand(
      "report", "one HTML page of a run, or of several side by side, with everything inside");
  auto o = std::make_shared<Options>();
  cmd->add_option("RUN", o->runs,
                  "run folders: curves from metrics.jsonl, previews/, grid.png, config.toml, "
                  "summary.json, eval.json")
      ->required();
  cmd->add_option("-o,--output", o->output, "file to write; default: RUN/report.html of one run");
  cmd->callback([o] { run(*o); });
}

}  // namespace noisette::commands
