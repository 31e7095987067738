// eval.json of a run folder: the newest figures of each metric, for the report.
#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "framework/report/run_report.h"

namespace noisette {

/// What `folder`/eval.json holds; an empty object without one. Throws Error when it is damaged.
nlohmann::ordered_json read_eval_record(const std::filesystem::path& folder);

/// Replaces the metrics that `metrics` (an object by metric) has, keeps the others. Written atomically.
void write_eval_record(const std::filesystem::path& folder, const nlohmann::ordered_json& metrics);

/// The record in the few words of a report.
Rows eval_rows(const nlohmann::ordered_json& record);

/// Mean held-out loss by band of the timestep; empty when the record has none.
std::vector<double> eval_bands(const nlohmann::ordered_json& record);

}  // namespace noisette
