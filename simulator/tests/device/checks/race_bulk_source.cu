// arch: compute_90
// expects: race in shared memory
// bad: a thread has waited until the bulk copy has read its source, but nothing tells the threads
// that fill it again.
#include <cuda/ptx>

#include "check.h"

namespace ptx = cuda::ptx;

__global__ void store(int* out, bool tells) {
  __shared__ alignas(16) int tile[32];
  tile[threadIdx.x] = 1;
  ptx::fence_proxy_async(ptx::space_shared);
  __syncwarp();
  if (threadIdx.x == 0) {
    ptx::cp_async_bulk(ptx::space_global, ptx::space_shared, out, tile, 128);
    ptx::cp_async_bulk_commit_group();
  }
  __syncwarp();
  if (threadIdx.x == 0) ptx::cp_async_bulk_wait_group_read(ptx::n32_t<0>());
  if (tells) __syncwarp();
  tile[threadIdx.x] = 2;  // named
  __syncwarp();
  out[32 + threadIdx.x] = tile[31 - threadIdx.x];
}

int main(int argc, char** argv) {
  int* out;
  cudaMalloc(&out, 256);
  store<<<1, 32>>>(out, !asked_for_bad(argc, argv));
  const int failed = finish();
  cudaFree(out);
  return failed;
}
