// The training loop, the same for every task: accumulation, optimiser, averages, log, checkpoints,
// previews, interruption.
#pragma once
#include <atomic>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "train/config.h"

namespace noisette {

struct TrainOptions {
  std::optional<std::filesystem::path> resume = {};  // a checkpoint to go on from
  bool overwrite = false;             // replace what the run folder holds beyond that point
  std::atomic<bool>* stop = nullptr;  // set from a signal handler: finish the update, save, return
};

struct TrainResult {
  int64_t update = 0;        // updates done
  bool interrupted = false;  // stopped before the last update; a checkpoint was written
  std::filesystem::path checkpoint;
};

/// Runs `config` to its last update, or until *stop. Writes config.toml, metrics.jsonl, TensorBoard
/// events, previews and checkpoints into the run folder, and a table before and after to console().
/// Throws Error when the loss stops being finite (the state before it is saved, and the message
/// names the first bad tensor), when the data set is not the one the checkpoint was trained on, and
/// when the configuration differs from the checkpoint's in what changes the result.
TrainResult train(const TrainConfig& config, const TrainOptions& options);

/// The checkpoint to resume from: `auto` is the newest of the run folder that verifies; none where
/// the folder has no checkpoint, and an Error where it has some and none can be used.
std::optional<std::filesystem::path> find_resume(const TrainConfig& config,
                                                 const std::string& resume);

}  // namespace noisette
