#include "train/eval_record.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "framework/core/check.h"
#include "framework/io/atomic_file.h"
#include "framework/report/table.h"

namespace noisette {
namespace {

using Json = nlohmann::ordered_json;

double number_in(const Json& record, const char* metric, const char* name) {
  const auto m = record.find(metric);
  if (m == record.end() || !m->is_object()) return std::nan("");
  const auto value = m->find(name);
  return value == m->end() || !value->is_number() ? std::nan("") : value->get<double>();
}

bool trained_on(const Json& record, const char* metric) {
  const auto m = record.find(metric);
  return m != record.end() && m->is_object() && m->value("trained_on", false);
}

/// "loss, held-out"
std::string name_of(const Json& record, const char* metric, const char* figure) {
  return fmt::format("{}, {}", figure, trained_on(record, metric) ? "training images" : "held-out");
}

/// " on 512 images"; "" where the record does not say.
std::string extent_of(const Json& record, const char* metric, const char* noun) {
  const double images = number_in(record, metric, "images");
  if (!std::isfinite(images)) return "";
  return fmt::format(" on {} {}{}", format_count(int64_t(images)), noun, images == 1 ? "" : "s");
}

}  // namespace

Json read_eval_record(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "eval.json";
  if (!std::filesystem::exists(path)) return Json::object();
  Json record = Json::parse(read_text(path), nullptr, /*allow_exceptions=*/false);
  check_user(record.is_object(), "[eval] {} is damaged: it must hold a JSON object; delete it",
             path.string());
  return record;
}

void write_eval_record(const std::filesystem::path& folder, const Json& metrics) {
  Json record = read_eval_record(folder);
  for (const auto& [name, figures] : metrics.items()) record[name] = figures;
  write_file(folder / "eval.json", record.dump(2) + "\n");
}

std::string conflict_with_record(const Json& record, const Json& metrics) {
  const auto weights_in = [](const Json& figures) {
    return figures.is_object() && figures.contains("weights") ? figures["weights"] : Json();
  };
  for (const auto& [name, figures] : metrics.items())
    if (record.contains(name) && weights_in(record[name]) == "averaged" &&
        weights_in(figures) == "raw")
      return fmt::format("it holds {} of the averaged weights, these are of the raw ones", name);
  return "";
}

Rows eval_rows(const Json& record) {
  Rows rows;
  const double bits = number_in(record, "nll", "bits_per_dim");
  const double error = number_in(record, "nll", "standard_error");
  if (std::isfinite(bits))
    rows.emplace_back(name_of(record, "nll", "bits per dimension"),
                      fmt::format("{:.3f}", bits) +
                          (std::isfinite(error) ? fmt::format(" ± {:.3f}", error) : "") +
                          extent_of(record, "nll", "image"));
  if (const double loss = number_in(record, "bands", "loss"); std::isfinite(loss))
    rows.emplace_back(name_of(record, "bands", "loss"),
                      fmt::format("{:.4f}", loss) + extent_of(record, "bands", "image"));
  if (const double share = number_in(record, "knn", "share"); std::isfinite(share))
    rows.emplace_back(
        fmt::format("class named by {:.0f} neighbours", number_in(record, "knn", "neighbours")),
        fmt::format("{:.1f} %", 100 * share) + extent_of(record, "knn", "sample"));
  if (const double ratio = number_in(record, "variety", "mean_ratio"); std::isfinite(ratio))
    rows.emplace_back("variety, real images = 1",
                      fmt::format("{:.2f}", ratio) + extent_of(record, "variety", "sample"));
  return rows;
}

std::vector<double> eval_bands(const Json& record) {
  std::vector<double> bands;
  if (trained_on(record, "bands")) return bands;
  const auto metric = record.find("bands");
  if (metric == record.end() || !metric->is_object() || !metric->contains("bands")) return bands;
  for (const Json& value : (*metric)["bands"])
    bands.push_back(value.is_number() ? value.get<double>() : std::nan(""));
  return bands;
}

}  // namespace noisette
