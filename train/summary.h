// summary.json of a run folder: where and how fast it ran, and what came of it.
#pragma once
#include <filesystem>

#include "train/config.h"

namespace noisette {

/// Writes `folder`/summary.json, in the layout that load_run() of framework/report reads, from the
/// records in metrics.jsonl, this machine and the versions in use. The section "result" repeats the
/// figures as numbers.
///
/// waited_seconds   spent waiting for data;  total_seconds   of training, interruptions left out
void write_summary(const std::filesystem::path& folder, const TrainConfig& config,
                   double waited_seconds, double total_seconds);

}  // namespace noisette
