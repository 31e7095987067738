// eval.json of a run folder: the newest figures of each metric, for the report.
#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "framework/report/run_report.h"

namespace noisette {

/// What `folder`/eval.json holds; an empty object without one. Throws Error when it is damaged.
nlohmann::ordered_json read_eval_record(const std::filesystem::path& folder);

/// Replaces the metrics that `metrics` (an object by metric) has, keeps the others. Written
/// atomically.
void write_eval_record(const std::filesystem::path& folder, const nlohmann::ordered_json& metrics);

/// Why `metrics` must not take the place of what `record` holds: figures of weights as trained
/// where it has those of the averaged ones; "" when they may.
std::string conflict_with_record(const nlohmann::ordered_json& record,
                                 const nlohmann::ordered_json& metrics);

/// The record in the few words of a report: each figure with the number of images it comes from,
/// and those measured on training images (`trained_on`) under that name.
Rows eval_rows(const nlohmann::ordered_json& record);

/// Mean held-out loss by band of the timestep; empty when the record has none, or has those of
/// training images.
std::vector<double> eval_bands(const nlohmann::ordered_json& record);

}  // namespace noisette
