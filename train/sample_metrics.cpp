#include "train/sample_metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "framework/core/check.h"

namespace noisette {
namespace {

/// Pixels of some images as f32 in [0, 1], one image a row.
struct Rows {
  int64_t count = 0, width = 0;
  std::vector<float> values;
  const float* row(int64_t i) const { return values.data() + i * width; }
};

Rows read(const DataSplit& data, const std::vector<int64_t>& numbers) {
  Rows rows;
  rows.count = int64_t(numbers.size());
  rows.width = data.info().image_bytes();
  std::vector<uint8_t> bytes(std::size_t(rows.count * rows.width));
  data.read_images(numbers, bytes);
  rows.values.resize(bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) rows.values[i] = float(bytes[i]) / 255.f;
  return rows;
}

float squared_distance(const float* a, const float* b, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

void check_alike(const DataSplit& samples, const DataSplit& real) {
  const DatasetInfo &a = samples.info(), &b = real.info();
  check_user(a.height == b.height && a.width == b.width && a.channels == b.channels,
             "[eval] {} has images of {}x{}x{} and {} of {}x{}x{}; they must be alike",
             samples.dataset().origin(), a.height, a.width, a.channels, real.dataset().origin(),
             b.height, b.width, b.channels);
  check_user(!b.class_names.empty(), "[eval] {} has no classes to vote for",
             real.dataset().origin());
}

std::vector<int64_t> numbers_up_to(int64_t n) {
  std::vector<int64_t> v(static_cast<std::size_t>(n));
  std::iota(v.begin(), v.end(), int64_t(0));
  return v;
}

/// The label most of the k nearest have; among equals, the one met first from the nearest on.
int32_t vote(std::vector<std::pair<float, int32_t>>& near, int64_t k, int64_t classes) {
  std::partial_sort(near.begin(), near.begin() + k, near.end());
  std::vector<int64_t> votes(static_cast<std::size_t>(classes));
  for (int64_t i = 0; i < k; ++i) ++votes[std::size_t(near[std::size_t(i)].second)];
  const int64_t most = *std::max_element(votes.begin(), votes.end());
  for (int64_t i = 0; i < k; ++i)
    if (votes[std::size_t(near[std::size_t(i)].second)] == most) return near[std::size_t(i)].second;
  return -1;
}

std::vector<int64_t> of_class(const DataSplit& data, int32_t label, int64_t limit) {
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < data.size() && int64_t(numbers.size()) < limit; ++i)
    if (data.label(i) == label) numbers.push_back(i);
  return numbers;
}

double mean_pairwise_distance(const Rows& rows) {
  if (rows.count < 2) return std::nan("");
  double sum = 0;
  for (int64_t i = 0; i < rows.count; ++i)
    for (int64_t j = 0; j < i; ++j)
      sum += std::sqrt(double(squared_distance(rows.row(i), rows.row(j), rows.width)));
  return sum / (double(rows.count) * double(rows.count - 1) / 2);
}

}  // namespace

VoteResult nearest_neighbour_vote(const DataSplit& samples, const DataSplit& real,
                                  int64_t reference, int64_t k) {
  check_alike(samples, real);
  const int64_t n = reference > 0 ? std::min(reference, real.size()) : real.size();
  check_user(k >= 1 && k <= n,
             "[eval] a vote of {} neighbours needs at least as many real images; got {}", k, n);
  const auto classes = int64_t(real.info().class_names.size());
  const Rows a = read(samples, numbers_up_to(samples.size())), b = read(real, numbers_up_to(n));
  std::vector<int32_t> winners(std::size_t(a.count));
#pragma omp parallel for schedule(dynamic, 8)
  for (int64_t i = 0; i < a.count; ++i) {
    std::vector<std::pair<float, int32_t>> near(static_cast<std::size_t>(n));
    for (int64_t j = 0; j < n; ++j)
      near[std::size_t(j)] = {squared_distance(a.row(i), b.row(j), a.width), real.label(j)};
    winners[std::size_t(i)] = vote(near, k, classes);
  }
  VoteResult result;
  result.asked.resize(std::size_t(classes));
  result.right.resize(std::size_t(classes));
  for (int64_t i = 0; i < a.count; ++i) {
    const int32_t label = samples.label(i);
    check_user(label >= 0 && label < classes,
               "[eval] image {} of {} has label {}; {} has {} classes", i,
               samples.dataset().origin(), label, real.dataset().origin(), classes);
    const bool right = winners[std::size_t(i)] == label;
    ++result.images;
    ++result.asked[std::size_t(label)];
    result.correct += right;
    result.right[std::size_t(label)] += right;
  }
  return result;
}

VarietyResult variety(const DataSplit& samples, const DataSplit& real, int64_t limit) {
  check_alike(samples, real);
  VarietyResult result;
  int64_t counted = 0;
  for (int32_t c = 0; c < int32_t(real.info().class_names.size()); ++c) {
    const std::vector<int64_t> ours = of_class(samples, c, limit),
                               theirs = of_class(real, c, limit);
    const double generated = mean_pairwise_distance(read(samples, ours));
    const double truth = mean_pairwise_distance(read(real, theirs));
    result.samples.push_back(int64_t(ours.size()));
    result.originals.push_back(int64_t(theirs.size()));
    result.generated.push_back(generated);
    result.real.push_back(truth);
    result.ratio.push_back(generated / truth);
    if (!std::isfinite(result.ratio.back())) continue;
    result.mean_ratio += result.ratio.back();
    ++counted;
  }
  result.mean_ratio = counted ? result.mean_ratio / double(counted) : std::nan("");
  return result;
}

}  // namespace noisette
