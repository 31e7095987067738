// arch: compute_90
// expects: access to bytes of an asynchronous copy that was not waited for
// bad: threads read what a bulk copy brings behind a __syncthreads; what they need is a wait at the
// copy's mbarrier.
#include <cuda/ptx>

#include "check.h"

namespace ptx = cuda::ptx;

__global__ void fetch(const int* in, int* out, bool waits) {
  __shared__ alignas(16) int tile[256];
  __shared__ uint64_t full;
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(&full, 1);
    ptx::fence_mbarrier_init(ptx::sem_release, ptx::scope_cluster);
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    ptx::mbarrier_arrive_expect_tx(ptx::sem_release, ptx::scope_cta, ptx::space_shared, &full,
                                   1024u);
    ptx::cp_async_bulk(ptx::space_cluster, ptx::space_global, tile, in, 1024, &full);
  }
  __syncthreads();
  if (waits)
    while (!ptx::mbarrier_try_wait_parity(&full, 0u)) {
    }
  out[threadIdx.x] = tile[255 - threadIdx.x];  // named
}

int main(int argc, char** argv) {
  int *in, *out;
  cudaMalloc(&in, 1024);
  cudaMalloc(&out, 1024);
  cudaMemset(in, 1, 1024);
  fetch<<<1, 256>>>(in, out, !asked_for_bad(argc, argv));
  const int failed = finish();
  cudaFree(in);
  cudaFree(out);
  return failed;
}
