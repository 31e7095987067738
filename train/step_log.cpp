#include "train/step_log.h"

#include <cmath>

namespace noisette {

void BandMeans::add(const Tensor& per_sample, const Tensor& t) {
  const auto losses = per_sample.span<float>();
  const auto steps = t.span<int64_t>();
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const auto band = std::size_t(steps[i] * int64_t(sums_.size()) / timesteps_);
    sums_[band] += double(losses[i]);
    counts_[band] += 1;
  }
}

std::vector<double> BandMeans::means() const {
  std::vector<double> out;
  for (std::size_t i = 0; i < sums_.size(); ++i)
    out.push_back(counts_[i] ? sums_[i] / double(counts_[i]) : Metrics::kUnset);
  return out;
}

void BandMeans::clear() {
  std::fill(sums_.begin(), sums_.end(), 0.0);
  std::fill(counts_.begin(), counts_.end(), 0);
}

bool StepLog::add(const StepRecord& record) {
  double loss = 0;
  for (const StepLoss& piece : record.pieces) {
    loss += piece.total.item();
    if (std::isfinite(loss)) bands_.add(piece.per_sample, piece.timesteps);
  }
  last_loss_ = loss;
  const AdamW::Report optimizer = AdamW::read(record.optimizer);
  grad_norm_ = optimizer.grad_norm;
  lr_ = optimizer.learning_rate;
  if (!std::isfinite(loss) || !optimizer.finite) return false;
  sum_ += loss;
  count_ += 1;
  constexpr double kMemory = 0.98;  // about the last fifty updates
  smoothed_ = std::isfinite(smoothed_) ? kMemory * smoothed_ + (1 - kMemory) * loss : loss;
  return true;
}

Metrics StepLog::take(int64_t update) {
  Metrics m;
  m.update = update;
  m.loss = count_ ? sum_ / double(count_) : Metrics::kUnset;
  m.loss_ema = smoothed_;
  m.lr = lr_;
  m.grad_norm = grad_norm_;
  m.bands = bands_.means();
  bands_.clear();
  sum_ = 0;
  count_ = 0;
  return m;
}

}  // namespace noisette
