// Two sources with static kernels and variables of the same name: each has its own.
#include <cstdio>

static __device__ int value = 1;
static __global__ void add(int* to) { *to += value; }
template <int n>
__global__ void add_constant(int* to) {  // in both
  *to += n;
}

void add_second(int* to, int new_value);

int main() {
  int *x, got = 0, new_value = 10;
  cudaMalloc(&x, 4);
  cudaMemset(x, 0, 4);
  cudaMemcpyToSymbol(value, &new_value, 4);
  add<<<1, 1>>>(x);
  add_constant<1000><<<1, 1>>>(x);
  add_second(x, 100);
  cudaMemcpy(&got, x, 4, cudaMemcpyDeviceToHost);
  cudaFree(x);
  const int expected = 10 + 1000 + 100 + 2000;
  if (got != expected) std::printf("got %d; expected %d\n", got, expected);
  return got != expected;
}
