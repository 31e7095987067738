#include "framework/report/run_report.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "framework/core/check.h"

namespace noisette {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  check_user(in.good() || in.eof(), "[report] cannot read {}", path.string());
  return bytes;
}

/// The last run of digits in a file name: "update-000500.png" is 500. -1 when there is none.
int64_t last_number(const std::string& stem) {
  const auto is_digit = [](unsigned char c) { return std::isdigit(c) != 0; };
  const auto end = std::find_if(stem.rbegin(), stem.rend(), is_digit).base();
  auto begin = end;
  while (begin != stem.begin() && is_digit(static_cast<unsigned char>(*(begin - 1)))) --begin;
  return begin == end || end - begin > 18 ? -1 : std::stoll(std::string(begin, end));
}

std::vector<std::pair<int64_t, std::string>> read_samples(const fs::path& folder) {
  std::vector<std::pair<int64_t, std::string>> samples;
  if (!fs::is_directory(folder)) return samples;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const int64_t update = last_number(entry.path().stem().string());
    if (entry.path().extension() == ".png" && update >= 0)
      samples.emplace_back(update, read_file(entry.path()));
  }
  std::sort(samples.begin(), samples.end());
  return samples;
}

std::string text_of(const Json& v) { return v.is_string() ? v.get<std::string>() : v.dump(); }

void read_summary(const fs::path& path, RunReport& run) {
  const Json j = Json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
  check_user(j.is_object(), "[report] {} must hold a JSON object", path.string());
  const auto rows = [&j](const char* name) {
    Rows r;
    if (j.contains(name) && j[name].is_object())
      for (const auto& [key, value] : j[name].items()) r.emplace_back(key, text_of(value));
    return r;
  };
  run.summary = rows("summary");
  run.machine = rows("machine");
  run.versions = rows("versions");
  run.timings = rows("timings");
  if (j.contains("timesteps") && j["timesteps"].is_number_integer())
    run.timesteps = j["timesteps"].get<int64_t>();
  if (j.contains("grid_caption")) run.grid_caption = text_of(j["grid_caption"]);
}

void add_settings(const config::TableSlot& used, const config::TableSlot& defaults,
                  const std::string& prefix, std::vector<Setting>& settings) {
  if (used.fields.size() != defaults.fields.size())
    throw std::logic_error("settings_of: the two configurations are of different structs");
  for (std::size_t i = 0; i < used.fields.size(); ++i) {
    const config::Field &field = used.fields[i], &standard = defaults.fields[i];
    const auto* table = std::get_if<config::TableSlot>(&field.slot);
    if (table != nullptr) {
      add_settings(*table, std::get<config::TableSlot>(standard.slot), prefix + field.name + ".",
                   settings);
    } else {
      settings.push_back({prefix + field.name, value_text(field), value_text(standard),
                          std::string(field.spec.unit), std::string(field.spec.doc)});
    }
  }
}

}  // namespace

RunReport load_run(const fs::path& folder) {
  check_user(fs::is_directory(folder), "[report] {} is not a run folder", folder.string());
  RunReport run;
  run.name = fs::canonical(folder).filename().string();
  run.metrics = read_metrics(folder / "metrics.jsonl");
  run.samples = read_samples(folder / "previews");
  if (fs::exists(folder / "grid.png")) run.grid = read_file(folder / "grid.png");
  if (fs::exists(folder / "summary.json")) read_summary(folder / "summary.json", run);
  return run;
}

std::string summary_json(const RunReport& run) {
  const auto object = [](const Rows& rows) {
    Json o = Json::object();
    for (const auto& [name, value] : rows) o[name] = value;
    return o;
  };
  Json j;
  j["summary"] = object(run.summary);
  j["machine"] = object(run.machine);
  j["versions"] = object(run.versions);
  j["timings"] = object(run.timings);
  j["timesteps"] = run.timesteps;
  j["grid_caption"] = run.grid_caption;
  return j.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::vector<Setting> settings_of(const config::TableSlot& used, const config::TableSlot& defaults) {
  std::vector<Setting> settings;
  add_settings(used, defaults, "", settings);
  return settings;
}

std::vector<double> smoothed(const std::vector<double>& values, double half_life) {
  double sum = 0, weight = 0, seen = 0;
  std::vector<double> out;
  for (double v : values) {
    if (std::isfinite(v)) {
      // A tenth of what was seen so far, at first: a long memory would drag a steep start along.
      const double keep = std::exp2(-1 / std::min(half_life, 0.1 * ++seen));
      sum = keep * sum + (1 - keep) * v;
      weight = keep * weight + (1 - keep);
    }
    out.push_back(std::isfinite(v) ? sum / weight : Metrics::kUnset);
  }
  return out;
}

std::vector<double> final_bands(const std::vector<Metrics>& metrics) {
  if (metrics.empty()) return {};
  const double from = 0.9 * double(metrics.back().update);
  std::vector<double> sums, last;
  std::vector<int64_t> counts;
  for (const Metrics& m : metrics) {
    if (m.bands.empty()) continue;
    last = m.bands;
    if (double(m.update) < from) continue;
    sums.resize(std::max(sums.size(), m.bands.size()), 0);
    counts.resize(sums.size(), 0);
    for (std::size_t b = 0; b < m.bands.size(); ++b)
      if (std::isfinite(m.bands[b])) sums[b] += m.bands[b], ++counts[b];
  }
  if (sums.empty()) return last;
  for (std::size_t b = 0; b < sums.size(); ++b)
    sums[b] = counts[b] ? sums[b] / double(counts[b]) : Metrics::kUnset;
  return sums;
}

}  // namespace noisette
