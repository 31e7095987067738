// Losses, read late: what a step computed stays in tensors until the next step has been started.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "framework/core/download.h"
#include "framework/optim/adamw.h"
#include "framework/report/metrics.h"
#include "train/task.h"

namespace noisette {

/// Mean loss of equal bands of the timestep, collected over many updates.
class BandMeans {
 public:
  BandMeans(int64_t bands, int64_t timesteps)
      : sums_(std::size_t(bands)), counts_(std::size_t(bands)), timesteps_(timesteps) {}
  void add(const Tensor& per_sample, const Tensor& t);
  std::vector<double> means() const;  // NaN for a band without samples
  void clear();
  /// What was added since clear(), by name, and back: {} when nothing was.
  std::map<std::string, double> saved() const;
  void restore(const std::map<std::string, double>& saved);

 private:
  std::vector<double> sums_;
  std::vector<int64_t> counts_;
  int64_t timesteps_;
};

/// What one update left behind.
struct StepRecord {
  int64_t update = 0;  // updates done, this one included
  Download values;     // values_of()
};

/// The tensors of a record: those of each micro-batch, and AdamW's numbers at the end.
std::vector<Tensor> values_of(const std::vector<StepLoss>& pieces, const Tensor& optimizer);

/// Turns step records into Metrics: means since the last record and a smoothed loss.
class StepLog {
 public:
  /// `saved` is what saved() gave when the run was interrupted; the records go on as if it had not
  /// been.
  explicit StepLog(int64_t timesteps, const std::map<std::string, double>& saved = {});
  std::map<std::string, double> saved() const;

  /// Adds a finished update, unless its loss or its gradient was not finite: then it returns false.
  bool add(StepRecord& record);
  /// The record of everything since the last call.
  Metrics take(int64_t update);
  double smoothed() const { return smoothed_; }
  double last_loss() const { return last_loss_; }
  double last_grad_norm() const { return grad_norm_; }
  double last_rate() const { return lr_; }

 private:
  BandMeans bands_;
  double smoothed_ = Metrics::kUnset;  // before the first update
  double last_loss_ = Metrics::kUnset, grad_norm_ = Metrics::kUnset, lr_ = Metrics::kUnset;
  double sum_ = 0;
  int64_t count_ = 0;
};

}  // namespace noisette
