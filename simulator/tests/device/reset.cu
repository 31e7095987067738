// cudaDeviceReset: memory is gone, variables are as they were at first, and all can be used again.
#include <cstdio>

__device__ int counter = 5;
__constant__ int step = 2;
__managed__ int seen = 9;
__global__ void count() { counter += step, seen += 1; }

int value_of_counter() {
  int value = 0;
  cudaMemcpyFromSymbol(&value, counter, sizeof value);
  return value;
}

int main() {
  void* left;  // the reset frees it
  cudaMalloc(&left, 100);
  const int three = 3;
  cudaMemcpyToSymbol(step, &three, sizeof three);
  count<<<1, 1>>>();
  const int before = value_of_counter(), seen_before = seen;
  if (cudaDeviceReset() != cudaSuccess) return 2;
  const int reset = value_of_counter(), seen_reset = seen;
  count<<<1, 1>>>();
  const int after = value_of_counter();
  if (before == 8 && seen_before == 10 && reset == 5 && seen_reset == 9 && after == 7) return 0;
  std::printf("%d %d; reset %d %d; %d\n", before, seen_before, reset, seen_reset, after);
  return 1;
}
