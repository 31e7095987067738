// expects: race in global memory
// environment: SIM_CHECKS=all
// bad: a block reads what its neighbour wrote in the same launch. The twin reads it in the next
// launch. Both also add up partial sums by the last block that is done, which is in order.
#include "check.h"

__global__ void write(int* cells) {
  cells[blockIdx.x * blockDim.x + threadIdx.x] = int(blockIdx.x);
}

__global__ void read(const int* cells, int* out, int n) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  out[i] = cells[(i + int(blockDim.x)) % n];
}

__global__ void both(int* cells, int* out, int n) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  cells[i] = int(blockIdx.x);
  out[i] = cells[(i + int(blockDim.x)) % n];
}

__global__ void sum(const int* in, int* partial, unsigned* count, int* out) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = in[blockIdx.x * blockDim.x];
    __threadfence();
    last = atomicInc(count, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last || threadIdx.x != 0) return;
  int all = 0;
  for (unsigned b = 0; b < gridDim.x; ++b) all += partial[b];
  *out = all;
}

int main(int argc, char** argv) {
  constexpr int n = 8 * 64;
  int *cells, *out, *partial;
  unsigned* count;
  cudaMalloc(&cells, n * sizeof(int));
  cudaMalloc(&out, n * sizeof(int));
  cudaMalloc(&partial, 8 * sizeof(int));
  cudaMalloc(&count, sizeof(unsigned));
  cudaMemset(cells, 0, n * sizeof(int));
  cudaMemset(count, 0, sizeof(unsigned));
  for (int again = 0; again < 300; ++again) write<<<8, 64>>>(cells);
  read<<<8, 64>>>(cells, out, n);
  sum<<<8, 64>>>(cells, partial, count, out);
  if (asked_for_bad(argc, argv)) both<<<8, 64>>>(cells, out, n);
  const int failed = finish();
  cudaFree(cells), cudaFree(out), cudaFree(partial), cudaFree(count);
  return failed;
}
