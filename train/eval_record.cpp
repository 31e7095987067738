#include "train/eval_record.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "framework/core/check.h"
#include "framework/io/atomic_file.h"

namespace noisette {
namespace {

using Json = nlohmann::ordered_json;

double number_in(const Json& record, const char* metric, const char* name) {
  const auto m = record.find(metric);
  if (m == record.end() || !m->is_object()) return std::nan("");
  const auto value = m->find(name);
  return value == m->end() || !value->is_number() ? std::nan("") : value->get<double>();
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

Rows eval_rows(const Json& record) {
  Rows rows;
  const auto on = [&](const char* metric) {
    const double images = number_in(record, metric, "images");
    return std::isfinite(images) ? fmt::format(" on {:.0f} images", images) : std::string();
  };
  const double bits = number_in(record, "nll", "bits_per_dim");
  const double error = number_in(record, "nll", "standard_error");
  if (std::isfinite(bits))
    rows.emplace_back("bits per dimension, held-out" + on("nll"),
                      std::isfinite(error) ? fmt::format("{:.3f} ± {:.3f}", bits, error)
                                           : fmt::format("{:.3f}", bits));
  if (const double loss = number_in(record, "bands", "loss"); std::isfinite(loss))
    rows.emplace_back("loss, held-out" + on("bands"), fmt::format("{:.4f}", loss));
  if (const double share = number_in(record, "knn", "share"); std::isfinite(share))
    rows.emplace_back(
        fmt::format("class named by {:.0f} neighbours", number_in(record, "knn", "neighbours")),
        fmt::format("{:.1f} %", 100 * share));
  if (const double ratio = number_in(record, "variety", "mean_ratio"); std::isfinite(ratio))
    rows.emplace_back("variety, real images = 1", fmt::format("{:.2f}", ratio));
  return rows;
}

std::vector<double> eval_bands(const Json& record) {
  std::vector<double> bands;
  const auto metric = record.find("bands");
  if (metric == record.end() || !metric->is_object() || !metric->contains("bands")) return bands;
  for (const Json& value : (*metric)["bands"])
    bands.push_back(value.is_number() ? value.get<double>() : std::nan(""));
  return bands;
}

}  // namespace noisette
