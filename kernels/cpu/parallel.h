// Loops over threads. Work is cut into chunks whose size depends on the problem alone, and partial
// results are combined in chunk order, so that no result depends on how many threads there are.
#pragma once
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace noisette::cpu {

/// Elements per chunk of a flat loop: long enough to hide the cost of a chunk, short enough to stay
/// in L1.
inline constexpr int64_t kChunk = 8192;
/// Below this much work (elements touched) a loop runs on the calling thread: waking the others
/// costs more.
inline constexpr int64_t kSerial = 16384;

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Calls f(i) for i in [0, n). `work` is the total number of elements touched.
template <class F>
void parallel_items(int64_t n, int64_t work, const F& f) {
  if (n <= 1 || work <= kSerial || omp_in_parallel()) {
    for (int64_t i = 0; i < n; ++i) f(i);
    return;
  }
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < n; ++i) f(i);
}

/// Calls f(begin, end) for consecutive ranges that cover [0, n).
template <class F>
void parallel_ranges(int64_t n, const F& f) {
  parallel_items(ceil_div(n, kChunk), n,
                 [&](int64_t c) { f(c * kChunk, std::min(n, (c + 1) * kChunk)); });
}

/// Sum over [0, n) of f(begin, end): partial sums of fixed chunks, added up in order in double.
template <class F>
double parallel_sum(int64_t n, const F& f) {
  const int64_t chunks = ceil_div(n, kChunk);
  std::vector<double> partial(static_cast<std::size_t>(chunks));
  parallel_items(chunks, n, [&](int64_t c) {
    partial[std::size_t(c)] = f(c * kChunk, std::min(n, (c + 1) * kChunk));
  });
  double sum = 0;
  for (const double p : partial) sum += p;
  return sum;
}

}  // namespace noisette::cpu
