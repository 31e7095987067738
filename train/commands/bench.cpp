// noisette bench: how fast this machine trains and samples a configuration, and where the time
// goes.
#include <fmt/format.h>
#include <omp.h>

#include <map>
#include <nlohmann/json.hpp>

#include "framework/report/sysinfo.h"
#include "framework/report/table.h"
#include "train/commands/bench.h"
#include "train/commands/commands.h"
#include "train/commands/options.h"
#include "train/conv_forms.h"
#include "train/measure.h"
#include "train/precision.h"
#include "train/providers.h"

namespace noisette::commands {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string file, dtype, device;
  std::vector<std::string> set;
  int64_t batch = 0, steps = 5, warmup = 2, sampling_steps = 10, threads = 0;
  bool json = false, kernels = false;
};

TrainConfig read(const Options& o) {
  TrainConfig c = load_train_config(o.file, o.set);
  if (!o.device.empty()) c.run.device_name = o.device;
  check_device(c.run.device());
  use_tf32(c);
  use_providers(c);
  if (!o.dtype.empty())
    c.run.precision = precision_of(o.dtype);
  else
    use_supported_precision(c);
  if (o.batch > 0) c.run.batch = o.batch;
  check_run(c);
  use_threads(o.threads);
  return c;
}

/// Seconds by family, what ran outside kernels included.
std::map<std::string, double> by_family(const StepMeasurement& m) {
  std::map<std::string, double> seconds;
  double inside = 0;
  for (const auto& [name, count] : m.kernels) {
    seconds[kernel_family(name)] += count.seconds;
    inside += count.seconds;
  }
  seconds["outside kernels"] = std::max(m.profiled_seconds - inside, 0.0);
  return seconds;
}

/// The whole over what its convolutions and matrix products take; attention's products count, and
/// with them its softmax.
double over_products(const StepMeasurement& m) {
  std::map<std::string, double> seconds = by_family(m);
  return m.profiled_seconds / (seconds["convolution"] + seconds["product"] + seconds["attention"]);
}

Json json_of(const TrainConfig& c, const StepMeasurement& m, const char* what) {
  const SystemInfo system = system_info();
  Json j;
  j["work"] = what;
  j["seconds_per_step"] = m.seconds;
  if (m.sampling_steps > 0) {
    j["seconds_per_image"] = m.seconds_per_batch() / double(c.run.batch);
    j["sampling_steps"] = m.sampling_steps;
  }
  j["images_per_second"] = double(c.run.batch) / m.seconds_per_batch();
  j["peak_bytes"] = m.peak_bytes;
  j["flops_per_step"] = m.flops_step;
  j["gflops_per_second"] = m.flops_step / m.seconds / 1e9;
  j["over_products"] = over_products(m);
  j["all_seconds"] = m.all_seconds;
  for (const auto& [family, seconds] : by_family(m))
    j["share"][family] = seconds / m.profiled_seconds;
  for (const auto& [name, count] : m.kernels)
    j["kernels"][name] = {
        {"calls", count.calls}, {"seconds", count.seconds}, {"flops", count.flops}};
  j["batch"] = c.run.batch;
  j["dtype"] = std::string(config::name_of(c.run.precision));
  j["providers"] = std::string(config::name_of(c.run.providers));
  j["conv"] = std::string(config::name_of(c.run.conv));
  j["conv_forms"] = c.run.conv_forms;
  j["threads"] = omp_get_max_threads();
  for (const auto& [name, value] : machine_rows(system)) j["machine"][name] = value;
  for (const auto& [name, value] : version_rows(system)) j["versions"][name] = value;
  return j;
}

/// What was measured on what, and the figures.
std::string figures_of(const TrainConfig& c, const StepMeasurement& m) {
  const double batch = double(c.run.batch);
  const bool sampling = m.sampling_steps > 0;
  Table t;
  t.row({sampling ? "sampling step, median" : "training step, median",
         fmt::format("{:.4f} s{}", m.seconds, sampling ? ", one evaluation of the batch" : "")});
  if (sampling)
    t.row({"image",
           fmt::format("{:.4f} s, all {} steps", m.seconds_per_batch() / batch, m.sampling_steps)});
  t.row({"images per second", fmt::format("{:.4g}", batch / m.seconds_per_batch())});
  t.row({"arithmetic", fmt::format("{:.1f} GFLOP/s", m.flops_step / m.seconds / 1e9)});
  t.row({"over convolutions, products, attention", fmt::format("{:.2f}", over_products(m))});
  t.row({"peak memory of tensors", format_bytes(double(m.peak_bytes))});
  t.row({"batch", format_count(c.run.batch)});
  t.row({"dtype", std::string(config::name_of(c.run.precision))});
  for (const auto& [name, value] : machine_rows(system_info())) t.row({name, value});
  return t.str();
}

std::string text_of(const TrainConfig& c, const StepMeasurement& m, bool kernels) {
  Table share({"family", "share",
               m.sampling_steps > 0 ? fmt::format("seconds of {} steps", m.sampling_steps)
                                    : "seconds of a step"});
  for (const auto& [family, seconds] : by_family(m))
    share.row({family, fmt::format("{:.1f} %", 100 * seconds / m.profiled_seconds),
               fmt::format("{:.4f}", seconds)});
  std::string text = figures_of(c, m) + "\n\n" + share.str();
  if (!kernels) return text;
  Table each({"kernel", "calls", "seconds", "GFLOP/s"});
  for (const auto& [name, count] : m.kernels)
    each.row({name, std::to_string(count.calls), fmt::format("{:.4f}", count.seconds),
              count.flops > 0 && count.seconds > 0
                  ? fmt::format("{:.0f}", count.flops / count.seconds / 1e9)
                  : ""});
  return text + "\n\n" + each.str();
}

void common(CLI::App* cmd, Options& o) {
  cmd->add_option("CONFIG", o.file, "TOML file of a run; no data is read")->required();
  cmd->add_option("--set", o.set, "key=value; may be repeated")->allow_extra_args(false);
  cmd->add_option("--dtype", o.dtype, "f32 or bf16; default: the file's")
      ->check(CLI::IsMember({"f32", "bf16"}));
  cmd->add_option("--batch", o.batch, "images per step; default: the file's")
      ->check(between(1, (1 << 24) - 1));
  cmd->add_option("--warmup", o.warmup, "steps before timing")
      ->check(at_least(0))
      ->capture_default_str();
  add_threads(cmd, o.threads);
  add_device(cmd, o.device, "run.device of the file");
  cmd->add_flag("--json", o.json, "one JSON object instead of tables");
  cmd->add_flag("--kernels", o.kernels, "time of every kernel, not only by family");
}

void add_bench_train(CLI::App* bench) {
  CLI::App* cmd = bench->add_subcommand("train", "time the full training step on random images");
  auto o = std::make_shared<Options>();
  common(cmd, *o);
  cmd->add_option("--steps", o->steps, "timed steps; the median counts")
      ->check(at_least(1))
      ->capture_default_str();
  cmd->callback([o] {
    TrainConfig c = read(*o);
    check_memory(c);
    measure_conv_forms(c);  // as a run does
    use_conv_forms(c);
    const StepMeasurement m = measure_step(c, o->steps, o->warmup);
    print(o->json ? json_of(c, m, "training step").dump(2) : text_of(c, m, o->kernels));
  });
}

void add_bench_sample(CLI::App* bench) {
  CLI::App* cmd = bench->add_subcommand("sample", "time DDIM sampling of one batch");
  auto o = std::make_shared<Options>();
  o->warmup = 1;
  common(cmd, *o);
  cmd->add_option("--sampling-steps", o->sampling_steps, "DDIM steps")
      ->check(at_least(1))
      ->capture_default_str();
  cmd->callback([o] {
    const TrainConfig c = read(*o);
    use_conv_forms(c);
    const StepMeasurement m = measure_sampling(c, c.run.batch, o->sampling_steps, o->warmup);
    print(o->json ? json_of(c, m, "sampling").dump(2) : text_of(c, m, o->kernels));
  });
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* cmd =
      app.add_subcommand("bench", "time training, sampling or single ops on this machine");
  cmd->require_subcommand(1);
  add_bench_train(cmd);
  add_bench_sample(cmd);
  add_bench_ops(cmd);
  add_bench_kernels(cmd);
}

}  // namespace noisette::commands
