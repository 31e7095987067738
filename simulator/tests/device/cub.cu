// CUB's device-wide algorithms, unmodified, on sizes from 0 up: reduce, scan (decoupled look-back
// between blocks), radix sort, select, histogram.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cub/cub.cuh>
#include <numeric>
#include <vector>

namespace {

int failures = 0;

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::printf("%s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

template <class T>
struct Buffer {
  explicit Buffer(size_t n) : size(n) {
    check(cudaMalloc(&data, (n + 1) * sizeof(T)), "cudaMalloc");
  }
  explicit Buffer(const std::vector<T>& v) : Buffer(v.size()) {
    check(cudaMemcpy(data, v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  Buffer(const Buffer&) = delete;
  ~Buffer() { cudaFree(data); }
  std::vector<T> read(size_t n) const {
    std::vector<T> v(n);
    check(cudaMemcpy(v.data(), data, n * sizeof(T), cudaMemcpyDeviceToHost), "cudaMemcpy");
    return v;
  }
  T* data = nullptr;
  size_t size;
};

/// Calls an algorithm twice, as CUB wants: for the size of its scratch, then to run.
template <class F>
void run(F algorithm) {
  size_t bytes = 0;
  check(algorithm(nullptr, bytes), "size of scratch");
  Buffer<char> scratch(bytes);
  check(algorithm(scratch.data, bytes), "algorithm");
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
}

template <class T>
void expect(const std::vector<T>& got, const std::vector<T>& want, const char* what, size_t n) {
  if (got == want) return;
  std::printf("%s of %zu is wrong\n", what, n);
  ++failures;
}

struct IsOdd {
  __host__ __device__ bool operator()(int x) const { return x & 1; }
};

void test(size_t n) {
  std::vector<int> x(n);
  uint32_t state = 1;
  for (int& v : x) v = int((state = state * 1664525u + 1013904223u) >> 8) - (1 << 23);
  const Buffer<int> in(x);
  const Buffer<int> out(n), count(1);
  const int items = int(n);

  run([&](void* t, size_t& b) { return cub::DeviceReduce::Sum(t, b, in.data, out.data, items); });
  const auto sum = std::accumulate(x.begin(), x.end(), uint32_t(0));
  expect(out.read(1), {int(sum)}, "the sum", n);

  std::vector<int> scanned(n);
  std::partial_sum(x.begin(), x.end(), scanned.begin(),
                   [](int a, int b) { return int(uint32_t(a) + uint32_t(b)); });
  run([&](void* t, size_t& b) {
    return cub::DeviceScan::InclusiveSum(t, b, in.data, out.data, items);
  });
  expect(out.read(n), scanned, "the scan", n);

  std::vector<int> sorted = x;
  std::sort(sorted.begin(), sorted.end());
  run([&](void* t, size_t& b) {
    return cub::DeviceRadixSort::SortKeys(t, b, in.data, out.data, items);
  });
  expect(out.read(n), sorted, "the sorted list", n);

  std::vector<int> odd;
  std::copy_if(x.begin(), x.end(), std::back_inserter(odd), IsOdd());
  run([&](void* t, size_t& b) {
    return cub::DeviceSelect::If(t, b, in.data, out.data, count.data, items, IsOdd());
  });
  expect(count.read(1), {int(odd.size())}, "the number of odd ones", n);
  expect(out.read(odd.size()), odd, "the odd ones", n);

  if (n == 0) return;  // a histogram of nothing has nothing to clear
  std::vector<int> bins(16);
  for (const int v : x) ++bins[size_t((v + (1 << 23)) >> 20)];
  const Buffer<int> counts(16);
  run([&](void* t, size_t& b) {
    return cub::DeviceHistogram::HistogramEven(t, b, in.data, counts.data, 17, -(1 << 23), 1 << 23,
                                               items);
  });
  expect(counts.read(16), bins, "the histogram", n);
}

}  // namespace

int main() {
  for (const size_t n : {0, 1, 31, 32, 33, 1000, 4097, 100000, 1000000}) test(n);
  return failures != 0;
}
