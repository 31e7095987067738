// noisette plan: what a run will cost, before any data is touched.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "framework/report/progress.h"
#include "framework/report/table.h"
#include "train/commands/commands.h"
#include "train/commands/options.h"
#include "train/conv_forms.h"
#include "train/measure.h"
#include "train/precision.h"

namespace noisette::commands {
namespace {

struct Options {
  std::string file;
  std::vector<std::string> set;
  bool json = false, measure = true;
  int64_t threads = 0;
};

std::string text_of(const TrainConfig& c, const StepPlan& p, double seconds_per_image) {
  Table blocks({"block", "parameters"});
  for (const auto& [name, count] : p.parameters_by_block) blocks.row({name, format_count(count)});
  blocks.rule().row({"all", format_count(p.parameters)});
  Table cost({"cost", ""});
  cost.row({"arithmetic, one image forward", fmt::format("{:.3f} GFLOP", p.flops_forward / 1e9)});
  cost.row(
      {"arithmetic, one image, training step", fmt::format("{:.3f} GFLOP", p.flops_step / 1e9)});
  cost.row({"arithmetic, one update",
            fmt::format("{:.1f} GFLOP", p.flops_step * double(c.run.batch) / 1e9)});
  cost.row(
      {"memory: weights, gradients, moments, average", format_bytes(double(p.persistent_bytes))});
  cost.row({fmt::format("memory: after forward of {} images", p.micro_batch),
            format_bytes(double(p.forward_bytes))});
  cost.row({"memory: peak of the step", format_bytes(double(p.peak_bytes))});
  if (seconds_per_image > 0) {
    const double update = seconds_per_image * double(c.run.batch);
    cost.row({"time: one update, by a short measurement here", fmt::format("{:.3f} s", update)});
    const double all = update * double(c.run.updates);
    cost.row({fmt::format("time: {} updates", format_count(c.run.updates)),
              all < 10 ? fmt::format("{:.3f} s", all) : format_duration(all)});
  }
  Table largest({"at the peak", "memory"});
  for (std::size_t i = 0; i < std::min<std::size_t>(p.peak_by_tag.size(), 8); ++i) {
    const auto& [op, bytes] = p.peak_by_tag[i];
    largest.row({op == "unnamed" ? "other" : op, format_bytes(double(bytes))});
  }
  return blocks.str() + "\n\n" + cost.str() + "\n\n" + largest.str();
}

nlohmann::ordered_json json_of(const TrainConfig& c, const StepPlan& p, double seconds_per_image) {
  nlohmann::ordered_json j;
  j["parameters"] = p.parameters;
  for (const auto& [name, count] : p.parameters_by_block) j["parameters_by_block"][name] = count;
  j["flops_per_image"] = p.flops_forward;
  j["flops_per_image_step"] = p.flops_step;
  j["batch"] = c.run.batch;
  j["micro_batch"] = p.micro_batch;
  j["persistent_bytes"] = p.persistent_bytes;
  j["forward_bytes"] = p.forward_bytes;
  j["peak_bytes"] = p.peak_bytes;
  for (const auto& [name, bytes] : p.peak_by_tag) j["peak_by_op"][name] = bytes;
  if (seconds_per_image > 0) {
    j["seconds_per_update"] = seconds_per_image * double(c.run.batch);
    j["seconds"] = seconds_per_image * double(c.run.batch) * double(c.run.updates);
  }
  return j;
}

/// Seconds of a training step per image, from two steps of a few images; 0 when it is switched off.
double short_measurement(TrainConfig c) {
  c.run.micro_batch = c.run.batch = std::min<int64_t>(c.run.batch, 8);
  return measure_step(c, 1, 1).seconds / double(c.run.batch);
}

}  // namespace

void add_plan(CLI::App& app) {
  CLI::App* cmd = app.add_subcommand(
      "plan", "parameters, arithmetic, memory and time of a run; touches no data");
  auto o = std::make_shared<Options>();
  cmd->add_option("CONFIG", o->file, "TOML file of the run")->required();
  cmd->add_option("--set", o->set, "key=value; may be repeated")->allow_extra_args(false);
  cmd->add_flag("--json", o->json, "one JSON object instead of tables");
  cmd->add_flag_callback(
      "--no-measure", [o] { o->measure = false; },
      "leave out the time, which needs two training steps of a few images");
  add_threads(cmd, o->threads);
  cmd->callback([o] {
    use_threads(o->threads);
    TrainConfig c = load_train_config(o->file, o->set);
    check_run(c);
    use_supported_precision(c);
    use_conv_forms(c);
    const StepPlan p = plan_step(c);
    const double seconds = o->measure ? short_measurement(c) : 0;
    print(o->json ? json_of(c, p, seconds).dump(2) : text_of(c, p, seconds));
  });
}

}  // namespace noisette::commands
