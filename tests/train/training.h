// Small training runs in this process, and what they leave behind.
#pragma once
#include <omp.h>

#include <sstream>

#include "framework/io/atomic_file.h"
#include "framework/report/metrics.h"
#include "tests/train/small_run.h"
#include "train/precision.h"
#include "train/trainer.h"

namespace noisette::test {

/// While it lives, standard error of this process is collected instead of shown.
class Quiet {
 public:
  Quiet() : before_(std::cerr.rdbuf(text_.rdbuf())) {}
  ~Quiet() { std::cerr.rdbuf(before_); }
  Quiet(const Quiet&) = delete;
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::streambuf* before_;
};

/// While it lives, runs in bf16 stay in bf16 on every CPU.
class KeptBf16 {
 public:
  KeptBf16() { keep_bf16(true); }
  ~KeptBf16() { keep_bf16(false); }
  KeptBf16(const KeptBf16&) = delete;
};

/// A folder with a data set and a configuration that trains on it for a moment, `name` telling runs
/// apart.
class Training {
 public:
  Training() : threads_(omp_get_max_threads()) {
    omp_set_num_threads(1);  // the networks are too small for more, and the machine may be busy
    make_data(folder / "set.h5");
  }
  ~Training() { omp_set_num_threads(threads_); }

  TrainConfig config(const std::string& name) const {
    TrainConfig c = small_config(folder / "set.h5");
    c.run.folder = folder.path().string();
    c.run.name = name;
    c.run.batch = 5;  // of 12 images: epochs end in the middle of a batch
    c.run.log_every = 1;
    c.data.flip = true;
    c.model.dropout = 0.1;
    c.optimizer.learning_rate = 2e-3;
    c.checkpoint.every = 1000;
    return c;
  }

  Folder folder;

 private:
  int threads_;
};

inline TrainResult run(const TrainConfig& config, const TrainOptions& options = {}) {
  const Quiet quiet;
  return train(config, options);
}

/// Goes on from the newest checkpoint of the run.
inline TrainResult resume(const TrainConfig& config) {
  const Quiet quiet;
  TrainOptions options;
  options.resume = find_resume(config, "auto");
  EXPECT_TRUE(options.resume.has_value());
  return train(config, options);
}

inline std::string state_of(const TrainResult& r) { return hash_checkpoint(r.checkpoint).state; }

/// The records of a run, without what depends on the clock.
inline std::vector<std::string> records_of(const TrainConfig& config) {
  std::vector<std::string> lines;
  for (Metrics m : read_metrics(config.run_folder() / "metrics.jsonl")) {
    m.time = m.images_per_second = m.data_wait = Metrics::kUnset;
    lines.push_back(to_json(m));
  }
  return lines;
}

inline std::vector<double> losses_of(const TrainConfig& config) {
  std::vector<double> losses;
  for (const Metrics& m : read_metrics(config.run_folder() / "metrics.jsonl"))
    losses.push_back(m.loss);
  return losses;
}

/// Every file below a folder, hidden ones included, by its path in the folder.
inline std::vector<std::string> files_below(const std::filesystem::path& folder) {
  std::vector<std::string> files;
  for (const auto& e : std::filesystem::recursive_directory_iterator(folder))
    if (!e.is_directory()) files.push_back(e.path().lexically_relative(folder).string());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace noisette::test
