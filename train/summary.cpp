#include "train/summary.h"

#include <fmt/chrono.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "framework/core/allocator.h"
#include "framework/io/atomic_file.h"
#include "framework/report/progress.h"
#include "framework/report/run_report.h"
#include "framework/report/sysinfo.h"
#include "framework/report/table.h"
#include "models/unet/unet.h"

namespace noisette {
namespace {

using Json = nlohmann::ordered_json;

/// The last value that was logged; NaN when there is none.
double last_of(const std::vector<Metrics>& metrics, double Metrics::*field) {
  for (auto m = metrics.rbegin(); m != metrics.rend(); ++m)
    if (std::isfinite((*m).*field)) return (*m).*field;
  return Metrics::kUnset;
}

std::string now_utc() {
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(std::time(nullptr)));
}

Rows timing_rows(const TrainConfig& c, double waited, double total, int64_t peak_bytes) {
  const double per_update = total / double(c.run.updates);
  return {{"training", format_duration(total)},
          {"one update", fmt::format("{:.4f} s", per_update)},
          {"images per second", format_value(double(c.run.batch) / per_update)},
          {"waited for data", fmt::format("{:.1f} s", waited)},
          {"peak memory of tensors", format_bytes(double(peak_bytes))},
          {"finished", now_utc()}};
}

}  // namespace

void write_summary(const std::filesystem::path& folder, const TrainConfig& config,
                   double waited_seconds, double total_seconds) {
  const SystemInfo system = system_info();
  const std::vector<Metrics> metrics = read_metrics(folder / "metrics.jsonl");
  const int64_t parameters = UNet(config.model).parameter_count();
  const int64_t peak = Allocator::of(config.run.device()).stats().peak_bytes;
  RunReport run;
  run.summary = {{"parameters", format_count(parameters)},
                 {"precision", std::string(config::name_of(config.run.precision))}};
  run.machine = machine_rows(system);
  run.versions = version_rows(system);
  run.timings = timing_rows(config, waited_seconds, total_seconds, peak);
  run.timesteps = config.schedule.steps;
  Json j = Json::parse(summary_json(run));
  j["result"] = {{"updates", config.run.updates},
                 {"images", config.run.updates * config.run.batch},
                 {"loss", last_of(metrics, &Metrics::loss)},
                 {"loss_ema", last_of(metrics, &Metrics::loss_ema)},
                 {"seconds", total_seconds},
                 {"seconds_per_update", total_seconds / double(config.run.updates)},
                 {"waited_seconds", waited_seconds},
                 {"peak_bytes", peak},
                 {"parameters", parameters}};
  write_file(folder / "summary.json", j.dump(2) + "\n");
}

}  // namespace noisette
