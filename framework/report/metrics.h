// The record of a run: one JSON object a line in metrics.jsonl.
#pragma once
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace noisette {

/// What is known about one logged update. In the file a value that is not finite is null, one that
/// was never set is absent; both read back as NaN.
///
///   {"update":120,"loss":0.0731,"loss_ema":0.0745,"lr":0.0002,"grad_norm":0.61,
///    "images_per_second":412.0,"data_wait":0.001,"time":18.6,"bands":[0.31,0.12,...],
///    "eval_loss":0.0712}
struct Metrics {
  static constexpr double kUnset = std::numeric_limits<double>::quiet_NaN();

  int64_t update = 0;                 // optimiser updates done, counted from 1
  double loss = kUnset;               // mean over the updates since the last record
  double loss_ema = kUnset;           // exponentially smoothed
  double lr = kUnset;                 // learning rate
  double grad_norm = kUnset;          // global norm before clipping
  double images_per_second = kUnset;  // since the last record
  double data_wait = kUnset;          // share of the time that training waited for data, 0 to 1
  double time = kUnset;               // seconds of training, interruptions left out
  std::vector<double>
      bands;  // mean loss by equal bands of the timestep, noise-free end first; may be empty
  std::map<std::string, double> extra;  // further scalars by name, such as "eval_loss"
};

std::string to_json(const Metrics& m);  // one line, without the line feed
/// Throws Error when the text is no JSON object with a whole number "update".
Metrics metrics_from_json(std::string_view line);

/// Appends records to a metrics.jsonl, each flushed at once.
///
/// path    created when it is not there
/// update  where this run starts: records of later updates, and lines damaged by a crash, are
/// removed first.
///         So a run resumed from a checkpoint leaves no duplicates, and a new run (update 0) starts
///         an empty file.
class MetricsWriter {
 public:
  MetricsWriter(std::filesystem::path path, int64_t update);
  void write(const Metrics& m);

 private:
  std::filesystem::path path_;
  std::ofstream out_;
};

/// All records of a metrics.jsonl in order; a last line without its line feed is a write cut short
/// and is left out.
std::vector<Metrics> read_metrics(const std::filesystem::path& path);

}  // namespace noisette
