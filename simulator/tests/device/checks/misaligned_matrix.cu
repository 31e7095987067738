// expects: misaligned address: rows of a matrix that are 40 bytes apart
// bad: the rows of a matrix in shared memory are padded by four numbers of 16 bits, not eight.
#include <cuda_fp16.h>
#include <mma.h>

#include "check.h"

__global__ void sum(float* out, int stride) {
  using namespace nvcuda::wmma;
  __shared__ __half tile[16 * 24];
  for (int k = int(threadIdx.x); k < 16 * 24; k += 32) tile[k] = __float2half(1.0f);
  __syncwarp();
  fragment<matrix_a, 16, 16, 16, __half, row_major> a;
  fragment<matrix_b, 16, 16, 16, __half, col_major> b;
  fragment<accumulator, 16, 16, 16, float> c;
  fill_fragment(c, 0.0f);
  load_matrix_sync(a, tile, unsigned(stride));
  load_matrix_sync(b, tile, unsigned(stride));
  mma_sync(c, a, b, c);
  store_matrix_sync(out, c, 16, mem_row_major);
}

int main(int argc, char** argv) {
  float* out;
  cudaMalloc(&out, 256 * sizeof(float));
  sum<<<1, 32>>>(out, asked_for_bad(argc, argv) ? 20 : 24);
  const int failed = finish();
  cudaFree(out);
  return failed;
}
