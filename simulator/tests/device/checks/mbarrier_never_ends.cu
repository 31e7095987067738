// expects: mbarrier phase never ends
// bad: a barrier that was made for one thread more than there are. The good twin polls in loops
// that end by themselves, waits while a thread of its block looks at a flag of another block, and
// waits for a while that is over.
#include <cuda_awbarrier_primitives.h>
#include <cuda/barrier>
#include <cuda/std/chrono>

#include "check.h"

#pragma nv_diag_suppress static_var_with_dynamic_init
using Barrier = cuda::barrier<cuda::thread_scope_block>;

__global__ void wait(int* out, int threads) {
  __shared__ Barrier barrier;
  if (threadIdx.x == 0) init(&barrier, threads);
  __syncthreads();
  barrier.arrive_and_wait();  // named
  out[threadIdx.x] = 1;
}

/// The phase does not end while threads poll; all give up.
__global__ void give_up(int* out) {
  __shared__ Barrier barrier;
  __shared__ __mbarrier_t word;
  if (threadIdx.x == 0) init(&barrier, 65), __mbarrier_init(&word, 65);
  __syncthreads();
  const __mbarrier_token_t token = __mbarrier_arrive(&word);
  int tries = 0;
  while (tries < 20000 && !__mbarrier_test_wait(&word, token)) ++tries;
  const bool ended = barrier.try_wait_for(barrier.arrive(), cuda::std::chrono::milliseconds(20));
  out[threadIdx.x] = tries + int(ended);
}

/// The last thread of block 0 arrives when block 1 has set a flag.
__global__ void late(int* out, volatile int* flag) {
  __shared__ Barrier barrier;
  if (threadIdx.x == 0) init(&barrier, 64);
  __syncthreads();
  if (blockIdx.x == 1) {
    for (int k = 0; threadIdx.x == 0 && k < 200000; ++k) out[0] = flag[1] + k;
    if (threadIdx.x == 0) *flag = 1;
    return;
  }
  if (threadIdx.x == 63)
    while (*flag == 0) {
    }
  barrier.arrive_and_wait();
  out[64 + threadIdx.x] = 1;
}

int main(int argc, char** argv) {
  int *out, *flag;
  cudaMalloc(&out, 128 * sizeof(int));
  cudaMalloc(&flag, 2 * sizeof(int));
  cudaMemset(flag, 0, 2 * sizeof(int));
  const bool bad = asked_for_bad(argc, argv);
  wait<<<1, 64>>>(out, bad ? 65 : 64);
  give_up<<<1, 64>>>(out);
  late<<<2, 64>>>(out, flag);
  const int failed = finish();
  cudaFree(out);
  cudaFree(flag);
  return failed;
}
