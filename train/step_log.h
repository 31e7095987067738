// Losses, read late: what a step computed stays in tensors until the next step has been started.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

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

 private:
  std::vector<double> sums_;
  std::vector<int64_t> counts_;
  int64_t timesteps_;
};

/// What one update left behind.
struct StepRecord {
  int64_t update = 0;            // updates done, this one included
  std::vector<StepLoss> pieces;  // one per micro-batch
  Tensor optimizer;              // AdamW::read() it
};

/// Turns step records into Metrics: means since the last record, a smoothed loss that survives a resume.
class StepLog {
 public:
  StepLog(int64_t timesteps, double smoothed) : bands_(10, timesteps), smoothed_(smoothed) {}

  /// Adds a finished update. Returns false when its loss or its gradient was not finite.
  bool add(const StepRecord& record);
  /// The record of everything since the last call.
  Metrics take(int64_t update);
  double smoothed() const { return smoothed_; }
  double last_loss() const { return last_loss_; }
  double last_grad_norm() const { return grad_norm_; }

 private:
  BandMeans bands_;
  double smoothed_;  // NaN before the first update
  double sum_ = 0, last_loss_ = 0, grad_norm_ = 0, lr_ = 0;
  int64_t count_ = 0;
};

}  // namespace noisette
