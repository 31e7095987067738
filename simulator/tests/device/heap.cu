// malloc of kernels: CUDA programming guide, "Dynamic global memory allocation". The heap has a
// size, 8 MiB where nothing else is asked for.
#include <cstdio>

namespace {

__global__ void take(int* got, unsigned bytes) {
  char* memory = static_cast<char*>(malloc(bytes));
  if (memory) {
    memory[0] = 1, memory[bytes - 1] = 2;
    atomicAdd(got, memory[0] + memory[bytes - 1] - 2);
  }
  __syncthreads();
  free(memory);
}

int taken(int* got, unsigned threads, unsigned bytes) {
  int n = 0;
  cudaMemset(got, 0, sizeof(int));
  take<<<1, threads>>>(got, bytes);
  cudaMemcpy(&n, got, sizeof n, cudaMemcpyDeviceToHost);
  return n;
}

int failures = 0;
void expect(const char* what, int is, int want) {
  if (is != want) std::printf("%s: %d, want %d\n", what, is, want), ++failures;
}

}  // namespace

int main() {
  int* got;
  cudaMalloc(&got, sizeof(int));
  expect("of 8 MiB", taken(got, 32, 1 << 20), 8);
  expect("of 8 MiB again, for all was freed", taken(got, 32, 1 << 20), 8);
  expect("small ones", taken(got, 256, 24), 256);
  size_t limit = 0;
  cudaDeviceGetLimit(&limit, cudaLimitMallocHeapSize);
  expect("the limit", int(limit), 8 << 20);
  cudaDeviceSetLimit(cudaLimitMallocHeapSize, 20 << 20);
  expect("of 20 MiB", taken(got, 32, 1 << 20), 20);
  cudaFree(got);
  return failures != 0;
}
