// arch: compute_90
// expects: source of an asynchronous copy written before it was read
// bad: a buffer is filled again before the bulk copy that stores it has read it. Reading it
// meanwhile is no fault.
#include <cuda/ptx>

#include "check.h"

namespace ptx = cuda::ptx;

__global__ void store(int* out, int steps, bool waits) {
  __shared__ alignas(16) int tile[256];
  int sum = 0;
  for (int s = 0; s < steps; ++s) {
    tile[threadIdx.x] = s;  // named
    ptx::fence_proxy_async(ptx::space_shared);
    __syncthreads();
    if (threadIdx.x == 0) {
      ptx::cp_async_bulk(ptx::space_global, ptx::space_shared, out + s * 256, tile, 1024);
      ptx::cp_async_bulk_commit_group();
    }
    sum += tile[255 - threadIdx.x];
    if (threadIdx.x == 0 && waits) ptx::cp_async_bulk_wait_group_read(ptx::n32_t<0>());
    __syncthreads();
  }
  out[steps * 256 + threadIdx.x] = sum;
}

int main(int argc, char** argv) {
  int* out;
  cudaMalloc(&out, 5 * 1024);
  store<<<1, 256>>>(out, 4, !asked_for_bad(argc, argv));
  int failed = finish();
  int last = 0;
  cudaMemcpy(&last, out + 3 * 256 + 7, sizeof last, cudaMemcpyDeviceToHost);
  failed |= last != 3;
  cudaFree(out);
  return failed;
}
