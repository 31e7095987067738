#include "train/step_log.h"

#include <fmt/format.h>

#include <cmath>

namespace noisette {
namespace {

double number_in(const std::map<std::string, double>& saved, const std::string& name,
                 double otherwise) {
  const auto at = saved.find(name);
  return at == saved.end() ? otherwise : at->second;
}

}  // namespace

void BandMeans::add(const Tensor& per_sample, const Tensor& t) {
  const std::vector<float> losses = to_vector<float>(per_sample);
  const std::vector<int64_t> steps = to_vector<int64_t>(t);
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

std::map<std::string, double> BandMeans::saved() const {
  std::map<std::string, double> numbers;
  for (std::size_t i = 0; i < sums_.size(); ++i) {
    if (!counts_[i]) continue;
    numbers[fmt::format("band_{}_sum", i)] = sums_[i];
    numbers[fmt::format("band_{}_count", i)] = double(counts_[i]);
  }
  return numbers;
}

void BandMeans::restore(const std::map<std::string, double>& saved) {
  for (std::size_t i = 0; i < sums_.size(); ++i) {
    sums_[i] = number_in(saved, fmt::format("band_{}_sum", i), 0);
    counts_[i] = int64_t(number_in(saved, fmt::format("band_{}_count", i), 0));
  }
}

StepLog::StepLog(int64_t timesteps, const std::map<std::string, double>& saved)
    : bands_(10, timesteps),
      smoothed_(number_in(saved, "loss_ema", Metrics::kUnset)),
      sum_(number_in(saved, "loss_sum", 0)),
      count_(int64_t(number_in(saved, "loss_count", 0))) {
  bands_.restore(saved);
}

std::map<std::string, double> StepLog::saved() const {
  std::map<std::string, double> numbers = bands_.saved();
  numbers["loss_ema"] = smoothed_;
  if (count_ == 0) return numbers;
  numbers["loss_sum"] = sum_;
  numbers["loss_count"] = double(count_);
  return numbers;
}

std::vector<Tensor> values_of(const std::vector<StepLoss>& pieces, const Tensor& optimizer) {
  std::vector<Tensor> values;
  for (const StepLoss& piece : pieces)
    for (const Tensor* t : {&piece.total, &piece.per_sample, &piece.timesteps})
      values.push_back(t->detach());
  values.push_back(optimizer);
  return values;
}

bool StepLog::add(StepRecord& record) {
  const std::vector<Tensor>& values = record.values.get();
  const std::size_t pieces = values.size() / 3 * 3;
  double loss = 0;
  for (std::size_t i = 0; i < pieces; i += 3) loss += values[i].item();
  last_loss_ = loss;
  const AdamW::Report optimizer = AdamW::read(values.back());
  grad_norm_ = optimizer.grad_norm;
  lr_ = optimizer.learning_rate;
  if (!std::isfinite(loss) || !optimizer.finite) return false;
  for (std::size_t i = 0; i < pieces; i += 3) bands_.add(values[i + 1], values[i + 2]);
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
