// What a report says about a run, gathered from its folder.
#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "framework/config/fields.h"
#include "framework/report/metrics.h"

namespace noisette {

/// Rows of name and value in the order shown.
using Rows = std::vector<std::pair<std::string, std::string>>;

struct Setting {
  std::string key, value, standard;  // "optimizer.learning_rate", "0.0002", the default; TOML text
  std::string unit, doc;
};

struct RunReport {
  std::string name;
  std::vector<Metrics> metrics;
  std::vector<Setting> config;
  std::vector<std::pair<int64_t, std::string>> samples;  // update, PNG file; ascending
  std::string grid;                    // PNG file of the final samples; may be empty
  std::string grid_caption;            // "one class a row: shirt, trousers, ..."
  int64_t timesteps = 1000;            // of the diffusion process, for the scale of the bands
  std::vector<double> held_out_bands;  // mean loss by equal bands of the timestep; may be empty
  Rows summary, machine, versions, timings;
};

/// Reads `folder`: metrics.jsonl; previews/*.png with the update as the last number in the name;
/// grid.png; summary.json. Only metrics.jsonl must be there. `config` stays empty: see
/// settings_of().
RunReport load_run(const std::filesystem::path& folder);

/// The text of summary.json:
/// {"summary":{name:value},"machine":{},"versions":{},"timings":{},"timesteps":1000,
/// "grid_caption":""}. Values are strings; load_run() also takes numbers.
std::string summary_json(const RunReport& run);

/// Every key of a configuration beside its default; both must come from the same struct.
std::vector<Setting> settings_of(const config::TableSlot& used, const config::TableSlot& defaults);

/// Exponential smoothing, unbiased, with a memory that grows to half_life > 0 over the first
/// values. Gaps (NaN) stay gaps and are passed over.
std::vector<double> smoothed(const std::vector<double>& values, double half_life);

/// Means over the records of the last tenth of the updates that have bands, band by band; empty
/// without any.
std::vector<double> final_bands(const std::vector<Metrics>& metrics);

}  // namespace noisette
