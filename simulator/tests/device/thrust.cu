// Thrust's algorithms, unmodified, on vectors of no element up to a million: sort (of keys, by key
// and with a comparator of one's own), transform_reduce, reduce_by_key, inclusive_scan.
#include <thrust/device_vector.h>
#include <thrust/reduce.h>
#include <thrust/scan.h>
#include <thrust/sort.h>
#include <thrust/transform_reduce.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <vector>

namespace {

int failures = 0;

using Ints = std::vector<int>;
using DeviceInts = thrust::device_vector<int>;

void expect(const DeviceInts& got, const Ints& want, const char* what, size_t n) {
  Ints host(got.size());
  thrust::copy(got.begin(), got.end(), host.begin());
  if (host == want) return;
  std::printf("%s of %zu is wrong\n", what, n);
  ++failures;
}

/// By the last digit, downwards: many keys are equal, and a stable order keeps their values' order.
struct ByDigit {
  __host__ __device__ bool operator()(int a, int b) const { return (a & 15) > (b & 15); }
};
struct Square {
  __host__ __device__ int64_t operator()(int x) const { return int64_t(x) * x; }
};

Ints numbers(size_t n) {
  Ints x(n);
  uint32_t state = 1;
  for (int& v : x) v = int((state = state * 1664525u + 1013904223u) >> 8) - (1 << 23);
  return x;
}

void test_sorts(const Ints& x) {
  const size_t n = x.size();
  DeviceInts keys(x);
  thrust::sort(keys.begin(), keys.end());
  Ints want = x;
  std::sort(want.begin(), want.end());
  expect(keys, want, "thrust::sort", n);

  Ints order(n);
  std::iota(order.begin(), order.end(), 0);
  DeviceInts values(order);
  keys = x;
  thrust::sort_by_key(keys.begin(), keys.end(), values.begin());
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return x[size_t(a)] < x[size_t(b)]; });
  expect(keys, want, "keys of thrust::sort_by_key", n);
  expect(values, order, "values of thrust::sort_by_key", n);

  keys = x;
  thrust::stable_sort(keys.begin(), keys.end(), ByDigit());
  want = x;
  std::stable_sort(want.begin(), want.end(), ByDigit());
  expect(keys, want, "thrust::stable_sort with a comparator", n);
}

void test_sums(const Ints& x) {
  const size_t n = x.size();
  const DeviceInts in(x);
  const int64_t squares =
      thrust::transform_reduce(in.begin(), in.end(), Square(), int64_t(0), thrust::plus<int64_t>());
  int64_t want = 0;
  for (const int v : x) want += Square()(v);
  if (squares != want) std::printf("thrust::transform_reduce of %zu is wrong\n", n), ++failures;

  DeviceInts out(n);
  thrust::inclusive_scan(in.begin(), in.end(), out.begin(), thrust::maximum<int>());
  Ints scanned(n);
  std::partial_sum(x.begin(), x.end(), scanned.begin(),
                   [](int a, int b) { return std::max(a, b); });
  expect(out, scanned, "thrust::inclusive_scan", n);

  // Runs of equal keys: 0, 1 1, 2 2 2, ... and long ones at the end.
  Ints keys(n), unique, sums;
  for (size_t i = 0, run = 0, left = 1; i < n; ++i) {
    if (left-- == 0) left = ++run % 64 == 0 ? 5000 : run % 64;
    keys[i] = int(run);
  }
  for (size_t i = 0; i < n; ++i) {
    if (i == 0 || keys[i] != keys[i - 1]) unique.push_back(keys[i]), sums.push_back(0);
    sums.back() += x[i] & 255;
  }
  Ints small = x;
  for (int& v : small) v &= 255;
  const DeviceInts device_keys(keys), values(small);
  DeviceInts out_keys(n);
  const auto ends = thrust::reduce_by_key(device_keys.begin(), device_keys.end(), values.begin(),
                                          out_keys.begin(), out.begin());
  out_keys.resize(size_t(ends.first - out_keys.begin()));
  out.resize(size_t(ends.second - out.begin()));
  expect(out_keys, unique, "keys of thrust::reduce_by_key", n);
  expect(out, sums, "sums of thrust::reduce_by_key", n);
}

}  // namespace

int main() {
  for (const size_t n : {0, 1, 33, 2500, 100000, 1000000}) {
    const Ints x = numbers(n);
    test_sorts(x);
    test_sums(x);
  }
  return failures != 0;
}
