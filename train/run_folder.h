// The folder of one run: what is in it, and that only one process writes it.
//
//   config.toml          the resolved configuration; alone it reproduces the run
//   metrics.jsonl        one record per logged update;  events.out.tfevents.*  the same for TensorBoard
//   checkpoints/         update-00001000.h5, ...
//   previews/            update-00001000.png, ...
//   summary.json         written when training ends: machine, versions, timings
#pragma once
#include <filesystem>

#include "train/config.h"

namespace noisette {

class RunFolder {
 public:
  /// Creates the folder, or takes over an existing one, and locks it until destruction. Throws Error when another
  /// process holds it or it cannot be written.
  explicit RunFolder(const TrainConfig& config);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  std::filesystem::path previews() const { return path_ / "previews"; }

 private:
  std::filesystem::path path_;
  int lock_ = -1;
};

}  // namespace noisette
