// arch: compute_90
// expects: mbarrier phase never ends
// bad: an mbarrier is told to expect more bytes than the bulk copy brings.
#include <cuda/ptx>

#include "check.h"

namespace ptx = cuda::ptx;

__global__ void fetch(const int* in, int* out, unsigned expected) {
  __shared__ alignas(16) int tile[256];
  __shared__ uint64_t full;
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(&full, 1);
    ptx::fence_mbarrier_init(ptx::sem_release, ptx::scope_cluster);
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    ptx::mbarrier_arrive_expect_tx(ptx::sem_release, ptx::scope_cta, ptx::space_shared, &full,
                                   expected);
    ptx::cp_async_bulk(ptx::space_cluster, ptx::space_global, tile, in, 1024, &full);
  }
  while (!ptx::mbarrier_try_wait_parity(&full, 0u)) {  // named
  }
  out[threadIdx.x] = tile[255 - threadIdx.x];
}

int main(int argc, char** argv) {
  int *in, *out;
  cudaMalloc(&in, 1024);
  cudaMalloc(&out, 1024);
  cudaMemset(in, 1, 1024);
  fetch<<<1, 256>>>(in, out, asked_for_bad(argc, argv) ? 2048 : 1024);
  const int failed = finish();
  cudaFree(in);
  cudaFree(out);
  return failed;
}
