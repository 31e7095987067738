// The folder of one run: what is in it, and that only one process writes it.
//
//   config.toml          the resolved configuration; alone it reproduces the run
//   metrics.jsonl        one record per logged update
//   events.out.tfevents.*  the same for TensorBoard
//   checkpoints/         update-00001000.h5, ...
//   previews/            update-00001000.png, ...
//   summary.json         written when training ends: machine, versions, timings
#pragma once
#include <filesystem>

#include "train/config.h"

namespace noisette {

class RunFolder {
 public:
  /// Creates the folder, or takes over an existing one, and locks it until destruction. Throws
  /// Error when another process holds it or it cannot be written.
  explicit RunFolder(const TrainConfig& config);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  std::filesystem::path previews() const { return path_ / "previews"; }

  /// Leaves nothing in the folder that a run going on from `update` (-1: a new run) would
  /// contradict: previews and checkpoints of later updates, an older run's events and summary, the
  /// figures (eval.json) of weights that will change, the hidden files of writers that were killed.
  /// Damaged checkpoints that a run passes over as it goes on are renamed to NAME.damaged. All
  /// others are removed with `overwrite`; without, it throws UsageError and has changed nothing.
  void start_from(int64_t update, bool overwrite) const;

 private:
  std::filesystem::path path_;
  int64_t updates_;  // of the whole run
  int lock_ = -1;
};

/// Throws Error while another process trains in the folder, which makes and removes checkpoints as
/// it goes: before they are looked at. Writes nothing.
void refuse_running(const TrainConfig& config);

/// Throws UsageError, with what to do, when the folder holds checkpoints: a new run would replace
/// them.
void refuse_existing_run(const TrainConfig& config);

}  // namespace noisette
