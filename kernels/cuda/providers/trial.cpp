#include "kernels/cuda/providers/trial.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace noisette::cuda::providers {
namespace {

/// Rows of tensors are no multiple of it, so that no two begin alike.
constexpr std::size_t kPeriod = 65521;

template <class T>
std::vector<T> random_values(unsigned stream) {
  std::mt19937 bits(stream);
  std::vector<T> values(kPeriod);
  for (T& v : values) v = T(float(bits() >> 8) * 0x1p-23f - 1.f);
  return values;
}

template <class T>
std::vector<float> without_gaps(const std::vector<std::byte>& bytes, const View& view) {
  const T* all = reinterpret_cast<const T*>(bytes.data());
  std::vector<float> values;
  values.reserve(std::size_t(view.rows * view.cols));
  for (int64_t r = 0; r < view.rows; ++r)
    for (int64_t c = 0; c < view.cols; ++c) values.push_back(float(all[r * view.stride + c]));
  return values;
}

constexpr unsigned kOfResults = 100;  // streams from here on

}  // namespace

Trial::Trial(Card& card, const Work& work, const Operands& like)
    : card_(card), results_(work.results()) {
  for (std::size_t i = 0; i < results_.size(); ++i)
    if (like.out[i] != nullptr) operands_.out[i] = filled(results_[i], kOfResults + unsigned(i));
  const std::vector<View> inputs = work.inputs();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const bool in_place = i == Operands::kAdded && work.added == Addend::in_place;
    if (like.in[i] != nullptr)
      operands_.in[i] = in_place ? operands_.out[0] : filled(inputs[i], unsigned(i));
  }
}

Trial::~Trial() {
  for (void* data : memory_) card_.release(data);
}

void* Trial::filled(const View& view, unsigned stream) {
  void* const data = ready_ ? card_.reserve(std::size_t(view.bytes())) : nullptr;
  ready_ = ready_ && data != nullptr;
  if (!ready_) return nullptr;
  memory_.push_back(data);
  fill(data, view, stream);
  return data;
}

void Trial::fill(void* data, const View& view, unsigned stream) {
  const auto write = [&](const auto& values) {
    const auto bytes = std::size_t(view.bytes()), period = values.size() * sizeof(values[0]);
    for (std::size_t at = 0; at < bytes; at += period)
      card_.write(static_cast<std::byte*>(data) + at, values.data(), std::min(period, bytes - at));
  };
  view.f32 ? write(random_values<float>(stream)) : write(random_values<bfloat16>(stream));
}

void Trial::reset() {
  for (std::size_t i = 0; i < results_.size(); ++i)
    if (operands_.out[i] != nullptr) fill(operands_.out[i], results_[i], kOfResults + unsigned(i));
}

std::vector<std::vector<float>> Trial::read() const {
  std::vector<std::vector<float>> all(results_.size());
  for (std::size_t i = 0; i < results_.size(); ++i) {
    if (operands_.out[i] == nullptr) continue;
    std::vector<std::byte> bytes(std::size_t(results_[i].bytes()));
    card_.read(bytes.data(), operands_.out[i], bytes.size());
    all[i] = results_[i].f32 ? without_gaps<float>(bytes, results_[i])
                             : without_gaps<bfloat16>(bytes, results_[i]);
  }
  return all;
}

double bound(const Work& work, const View& result) {
  // bf16: two roundings of a result, each within 2^-9, and in attention those of P besides; in its
  // gradients P * (dP - delta) takes away most of what was rounded.
  if (!result.f32) return work.operation == Operation::attention_backward ? 0x1p-5 : 0x1p-7;
  // Sums in f32, in any order, or by Winograd's method: 1e-6 to 1e-5. Factors rounded to tf32
  // unasked would be 3e-4 away. Those that are asked for are rounded or cut off, within 2^-10.
  return work.tf32 ? 0x1p-8 : 0x1p-14;
}

double distance(const std::vector<float>& got, const std::vector<float>& want) {
  double error = 0, size = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double e = double(got[i]) - double(want[i]);
    error += e * e;
    size += double(want[i]) * double(want[i]);
  }
  if (error == 0) return 0;
  const double d = std::sqrt(error / size);
  return std::isfinite(d) ? d : std::numeric_limits<double>::infinity();
}

}  // namespace noisette::cuda::providers
