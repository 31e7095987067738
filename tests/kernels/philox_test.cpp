// Philox against its published answers, and what is drawn from it.
#include "kernels/philox.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "kernels/cpu/philox_lanes.h"
#include "kernels/random.h"

namespace noisette {
namespace {

// Random123 1.14, tests/kat_vectors, lines "philox4x32 10".
TEST(Philox, PublishedAnswers) {
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}),
            (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(
      philox4x32_10({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
      (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(
      philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, LanesDrawTheSameNumbers) {
  const RngKey key{0x123456789abcdef0u, Purpose::kNoise, 77};
  const uint64_t index = 0xfedcba9876543210u;
  const cpu::PhiloxLanes lanes(key, index, 1000);
  for (uint32_t i = 0; i < cpu::kLanes; ++i) {
    const PhiloxBlock b = philox_block(key, index, 1000 + i);
    for (size_t j = 0; j < 4; ++j) EXPECT_EQ(lanes.word[j][i], b[j]);
  }
}

TEST(Philox, StreamsDiffer) {
  std::set<uint64_t> seen;
  for (const uint64_t seed : {0, 1})
    for (const Purpose purpose : {Purpose::kNoise, Purpose::kSample})
      for (const uint32_t layer : {0u, 1u})
        for (const uint64_t index : {uint64_t(0), uint64_t(1), uint64_t(1) << 32})
          seen.insert(philox_u64({seed, purpose, layer}, index));
  EXPECT_EQ(seen.size(), 24u);
}

template <class T>
std::vector<double> normals(int64_t batch, int64_t per_item, const RngKey& key, int64_t first = 0) {
  std::vector<int64_t> index;
  for (int64_t n = 0; n < batch; ++n) index.push_back(first + n);
  std::vector<T> y(size_t(batch * per_item));
  cpu::fill_normal(y.data(), index.data(), batch, per_item, key);
  std::vector<double> v;
  for (const T& x : y) v.push_back(double(acc_t<T>(x)));
  return v;
}

const RngKey kKey{7, Purpose::kTest, 3};

TEST(Normal, FollowsTheFormulaOfTheContract) {
  const auto y = normals<double>(1, 9, kKey, 5);
  for (uint32_t e = 0; e < 9; ++e) {
    const PhiloxBlock b = philox_block(kKey, 5, e / 4);
    const uint32_t j = e % 4 / 2 * 2;
    const double r = std::sqrt(-2 * std::log(double(uniform_open(b[j]))));
    const double a = 2 * M_PI * double(uniform(b[j + 1]));
    EXPECT_NEAR(y[e], e % 2 ? r * std::sin(a) : r * std::cos(a), 1e-6);
  }
}

TEST(Normal, IsNormal) {
  auto x = normals<float>(64, 4001, kKey);
  const double n = double(x.size());
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0;
  for (const double v : x) m1 += v / n;
  for (const double v : x) {
    const double d = v - m1;
    m2 += d * d / n;
    m3 += d * d * d / n;
    m4 += d * d * d * d / n;
  }
  // Bounds: four standard errors, sqrt(1, 2, 6, 24 and so on / n).
  EXPECT_NEAR(m1, 0, 4 * std::sqrt(1 / n));
  EXPECT_NEAR(m2, 1, 4 * std::sqrt(2 / n));
  EXPECT_NEAR(m3, 0, 4 * std::sqrt(15 / n));
  EXPECT_NEAR(m4, 3, 4 * std::sqrt(96 / n));
  double lagged = 0;
  for (size_t i = 1; i < x.size(); ++i) lagged += x[i] * x[i - 1] / n;
  EXPECT_NEAR(lagged, 0, 4 * std::sqrt(1 / n));

  std::sort(x.begin(), x.end());
  double distance = 0;  // Kolmogorov-Smirnov
  for (size_t i = 0; i < x.size(); ++i) {
    const double cdf = 0.5 * std::erfc(-x[i] * std::sqrt(0.5));
    distance = std::max({distance, cdf - double(i) / n, double(i + 1) / n - cdf});
  }
  EXPECT_LE(distance * std::sqrt(n), 1.95);  // exceeded once in a thousand seeds
}

TEST(Normal, DoesNotDependOnBatchThreadsOrType) {
  const auto all = normals<float>(12, 3 * 1024 + 5, kKey);
  const size_t per_item = 3 * 1024 + 5;
  const auto fifth = normals<float>(1, int64_t(per_item), kKey, 5);
  EXPECT_TRUE(std::equal(fifth.begin(), fifth.end(), all.begin() + 5 * int64_t(per_item)));
  const int before = omp_get_max_threads();
  omp_set_num_threads(3);
  EXPECT_EQ(normals<float>(12, int64_t(per_item), kKey), all);
  omp_set_num_threads(before);
  EXPECT_EQ(normals<double>(12, int64_t(per_item), kKey), all);
  auto rounded = all;
  for (double& v : rounded) v = double(float(bfloat16(float(v))));
  EXPECT_EQ(normals<bfloat16>(12, int64_t(per_item), kKey), rounded);
}

TEST(Uniform, FillsTheUnitInterval) {
  const int64_t n = 100001, index = 9;
  std::vector<float> x(static_cast<size_t>(n));
  cpu::fill_uniform(x.data(), &index, 1, n, kKey);
  EXPECT_EQ(x[6], uniform(philox_block(kKey, 9, 1)[2]));
  EXPECT_GE(*std::min_element(x.begin(), x.end()), 0.0f);
  EXPECT_LT(*std::max_element(x.begin(), x.end()), 1.0f);
  std::sort(x.begin(), x.end());
  double distance = 0;
  for (size_t i = 0; i < x.size(); ++i)
    distance = std::max(distance, std::fabs(double(x[i]) - (double(i) + 0.5) / double(n)));
  EXPECT_LE(distance * std::sqrt(double(n)), 1.95);
}

TEST(Integers, CoverTheRangeEvenly) {
  const int64_t n = 50000, bound = 10;
  std::vector<int64_t> index(static_cast<size_t>(n)), y(index);
  for (int64_t i = 0; i < n; ++i) index[size_t(i)] = sample_index(i, i % 7);
  cpu::fill_integers(y.data(), index.data(), n, bound, kKey);
  std::vector<double> count(10);
  for (const int64_t v : y) ++count.at(size_t(v));
  double chi2 = 0;
  for (const double c : count) chi2 += (c - 5000) * (c - 5000) / 5000;
  EXPECT_LE(chi2, 27.9);  // 9 degrees of freedom: exceeded once in a thousand seeds
}

TEST(Dropout, KeepsTheAskedShareAndTheMean) {
  const int64_t per_item = 30001;
  const std::vector<int64_t> index{4, 8};
  std::vector<float> x(size_t(2 * per_item), 1.0f), y(x);
  cpu::dropout(x.data(), y.data(), index.data(), 2, per_item, 0.3, kKey);
  double kept = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    const PhiloxBlock b = philox_block(kKey, uint64_t(index[i / size_t(per_item)]),
                                       uint32_t(i % size_t(per_item) / 4));
    const float u = uniform(b[i % size_t(per_item) % 4]);
    EXPECT_EQ(y[i], u >= 0.3f ? float(1 / 0.7) : 0.0f);
    kept += y[i] != 0;
  }
  EXPECT_NEAR(kept / double(y.size()), 0.7, 4 * std::sqrt(0.21 / double(y.size())));
}

}  // namespace
}  // namespace noisette
