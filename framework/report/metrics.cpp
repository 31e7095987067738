#include "framework/report/metrics.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "framework/core/check.h"

namespace noisette {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::pair<const char*, double Metrics::*> kFields[] = {
    {"loss", &Metrics::loss},
    {"loss_ema", &Metrics::loss_ema},
    {"lr", &Metrics::lr},
    {"grad_norm", &Metrics::grad_norm},
    {"images_per_second", &Metrics::images_per_second},
    {"data_wait", &Metrics::data_wait},
    {"time", &Metrics::time},
};

// JSON has no NaN or infinity. A diverged loss must still leave a valid line.
Json number(double v) { return std::isfinite(v) ? Json(v) : Json(nullptr); }

double number(const Json& v) { return v.is_number() ? v.get<double>() : Metrics::kUnset; }

/// The whole lines of a file, without their line feeds. What follows the last line feed is left
/// out.
std::vector<std::string> whole_lines(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  check_user(in.good(), "[metrics] cannot read {}", path.string());
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);)
    if (!in.eof()) lines.push_back(std::move(line));
  return lines;
}

/// Is this a record of an update up to `last`? A damaged line is none: it must not keep a run from
/// resuming.
bool is_record_until(const std::string& line, int64_t last) {
  try {
    return metrics_from_json(line).update <= last;
  } catch (const Error&) {
    return false;
  }
}

/// Removes records after `update` and damaged lines. Rewrites the file only when there is something
/// to remove.
void truncate_after(const fs::path& path, int64_t update) {
  std::string kept;
  for (const std::string& line : whole_lines(path))
    if (is_record_until(line, update)) kept += line + "\n";
  if (kept.size() == fs::file_size(path)) return;

  fs::path partial = path;
  partial += ".partial";
  std::ofstream out(partial, std::ios::binary | std::ios::trunc);
  out << kept;
  out.close();
  check_user(out.good(), "[metrics] cannot write {}", partial.string());
  fs::rename(partial, path);
}

}  // namespace

std::string to_json(const Metrics& m) {
  Json j;
  j["update"] = m.update;
  for (const auto& [name, field] : kFields)
    if (!std::isnan(m.*field) || name == std::string_view("loss")) j[name] = number(m.*field);
  if (!m.bands.empty()) {
    j["bands"] = Json::array();
    for (double b : m.bands) j["bands"].push_back(number(b));
  }
  for (const auto& [name, value] : m.extra) j[name] = number(value);
  return j.dump();
}

Metrics metrics_from_json(std::string_view line) {
  const Json j = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  check(j.is_object() && j.contains("update") && j["update"].is_number_integer(),
        "[metrics] a record is a JSON object with a whole number \"update\"; got {}",
        line.substr(0, 80));
  Metrics m;
  m.update = j["update"].get<int64_t>();
  for (const auto& [name, value] : j.items()) {
    const auto* field = std::find_if(std::begin(kFields), std::end(kFields),
                                     [&name = name](const auto& f) { return f.first == name; });
    if (field != std::end(kFields)) {
      m.*(field->second) = number(value);
    } else if (name == "bands" && value.is_array()) {
      for (const Json& b : value) m.bands.push_back(number(b));
    } else if (name != "update" && (value.is_number() || value.is_null())) {
      m.extra[name] = number(value);
    }
  }
  return m;
}

MetricsWriter::MetricsWriter(fs::path path, int64_t update) : path_(std::move(path)) {
  if (fs::is_regular_file(path_)) truncate_after(path_, update);
  out_.open(path_, std::ios::binary | std::ios::app);
  check_user(out_.good(), "[metrics] cannot write {}", path_.string());
}

void MetricsWriter::write(const Metrics& m) {
  out_ << to_json(m) << '\n' << std::flush;
  check_user(out_.good(), "[metrics] cannot write {}; is the disk full?", path_.string());
}

std::vector<Metrics> read_metrics(const fs::path& path) {
  std::vector<Metrics> records;
  for (const std::string& line : whole_lines(path)) {
    try {
      records.push_back(metrics_from_json(line));
    } catch (const Error& e) {
      throw Error(fmt::format("{} ({}:{})", e.what(), path.string(), records.size() + 1));
    }
  }
  return records;
}

}  // namespace noisette
