// expects: race in global memory
// environment: SIM_CHECKS=all
// bad: a block reads what the others add up, after no more than an addition of its own. The twin
// reads it when a count says that all have added, and what a block wrote before any number of
// atomics, among them as many as a count of these wraps at.
#include "check.h"

constexpr unsigned kBlocks = 4;

__global__ void sum(int* total, int* out, unsigned* done, bool bad) {
  if (threadIdx.x != 0) return;
  atomicAdd(total, int(blockIdx.x));
  __threadfence();
  const bool reads = bad ? blockIdx.x == kBlocks - 1 : atomicAdd(done, 1u) == kBlocks - 1;
  if (reads) *out = *total;
}

__global__ void flag(int* data, unsigned* counts, int* out, unsigned atomics) {
  if (threadIdx.x != 0) return;
  if (blockIdx.x == 0) {
    *data = 7;
    for (unsigned k = 1; k < atomics; ++k) atomicAdd(counts, 1u);
    __threadfence();
    atomicExch(counts + 1, 1u);
  } else {
    while (atomicAdd(counts + 1, 0u) == 0) {
    }
    __threadfence();
    *out = *data;
  }
}

int main(int argc, char** argv) {
  int *cells, failed = 0;
  unsigned* counts;
  cudaMalloc(&cells, 3 * sizeof(int)), cudaMalloc(&counts, 2 * sizeof(unsigned));
  for (const unsigned atomics : {1u, 8u, 16u, 64u, 128u, 256u, 512u}) {
    cudaMemset(cells, 0, 3 * sizeof(int)), cudaMemset(counts, 0, 2 * sizeof(unsigned));
    flag<<<2, 32>>>(cells, counts, cells + 1, atomics);
    int seen = 0;
    cudaMemcpy(&seen, cells + 1, sizeof seen, cudaMemcpyDeviceToHost);
    failed |= seen != 7;
  }
  cudaMemset(cells, 0, 3 * sizeof(int)), cudaMemset(counts, 0, 2 * sizeof(unsigned));
  sum<<<kBlocks, 32>>>(cells, cells + 1, counts, asked_for_bad(argc, argv));
  int total = 0;
  cudaMemcpy(&total, cells + 1, sizeof total, cudaMemcpyDeviceToHost);
  failed |= finish() || (!asked_for_bad(argc, argv) && total != 6);
  cudaFree(cells), cudaFree(counts);
  return failed;
}
