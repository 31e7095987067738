// noisette bench ops: single ops at the shapes of the UNets, forward and backward.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <omp.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "framework/core/check.h"
#include "framework/report/sysinfo.h"
#include "framework/report/table.h"
#include "train/commands/bench.h"
#include "train/commands/commands.h"
#include "train/commands/options.h"
#include "train/measure_ops.h"

namespace noisette::commands {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string filter, dtype = "both";
  int64_t repeat = 7, batch = 0, threads = 0;
  bool json = false;
};

bool wanted(const OpCase& c, const std::string& filter) {
  for (const std::string& text : {c.family, c.name, c.where})
    if (text.find(filter) != text.npos) return true;
  return false;
}

/// "convolution, 1x1, linear, ..."
std::string families(const std::vector<OpCase>& cases) {
  std::vector<std::string> names;
  for (const OpCase& c : cases)
    if (std::find(names.begin(), names.end(), c.family) == names.end()) names.push_back(c.family);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::vector<OpMeasurement> measure_all(const Options& o) {
  std::vector<DType> dtypes;
  if (o.dtype != "bf16") dtypes.push_back(DType::f32);
  if (o.dtype != "f32") dtypes.push_back(DType::bf16);
  std::vector<OpMeasurement> all;
  const std::vector<OpCase> cases = op_cases(o.batch);
  for (const OpCase& c : cases) {
    if (!wanted(c, o.filter)) continue;
    for (const DType dtype : dtypes)
      for (OpMeasurement& m : measure_op(c, dtype, o.repeat)) all.push_back(std::move(m));
  }
  if (all.empty())
    throw UsageError(
        fmt::format("[bench] no op has '{}' in its family, name or configuration; families: {}",
                    o.filter, families(cases)));
  return all;
}

Json json_of(const std::vector<OpMeasurement>& all) {
  Json j;
  j["work"] = "ops";
  j["threads"] = omp_get_max_threads();
  j["ops"] = Json::array();
  for (const OpMeasurement& m : all)
    j["ops"].push_back({{"family", m.family},
                        {"name", m.name},
                        {"config", m.where},
                        {"pass", m.pass},
                        {"dtype", fmt::format("{}", m.dtype)},
                        {"seconds", m.seconds},
                        {"flops", m.flops},
                        {"bytes", m.bytes},
                        {"gflops_per_second", m.flops / m.seconds / 1e9},
                        {"gigabytes_per_second", m.bytes / m.seconds / 1e9}});
  const SystemInfo system = system_info();
  for (const auto& [name, value] : machine_rows(system)) j["machine"][name] = value;
  for (const auto& [name, value] : version_rows(system)) j["versions"][name] = value;
  return j;
}

std::string text_of(const std::vector<OpMeasurement>& all) {
  Table t({"op", "of", "dtype", "pass", "ms", "GFLOP/s", "GB/s"});
  std::string family;
  for (const OpMeasurement& m : all) {
    if (!family.empty() && m.family != family) t.rule();
    family = m.family;
    t.row({m.name, m.where, fmt::format("{}", m.dtype), m.pass,
           fmt::format("{:.3f}", m.seconds * 1e3),
           m.flops > 0 ? fmt::format("{:.0f}", m.flops / m.seconds / 1e9) : "",
           m.flops > 0 ? "" : fmt::format("{:.1f}", m.bytes / m.seconds / 1e9)});
  }
  return t.str();
}

}  // namespace

void add_bench_ops(CLI::App* bench) {
  CLI::App* cmd = bench->add_subcommand("ops", "time single ops at the shapes of the UNets");
  auto o = std::make_shared<Options>();
  cmd->add_option("--filter", o->filter,
                  "only ops with this text in their family, name or configuration");
  cmd->add_option("--dtype", o->dtype, "f32, bf16 or both")
      ->check(CLI::IsMember({"f32", "bf16", "both"}))
      ->capture_default_str();
  cmd->add_option("--repeat", o->repeat, "timed calls; the median counts")
      ->check(at_least(1))
      ->capture_default_str();
  cmd->add_option("--batch", o->batch, "images; default: 16 of CIFAR-10, 64 of 28x28")
      ->check(at_least(1));
  add_threads(cmd, o->threads);
  cmd->add_flag("--json", o->json, "one JSON object instead of a table");
  cmd->callback([o] {
    use_threads(o->threads);
    const std::vector<OpMeasurement> all = measure_all(*o);
    print(o->json ? json_of(all).dump(2) : text_of(all));
  });
}

}  // namespace noisette::commands
