// Tensor-core products of bf16 tiles in shared memory, as instructions of PTX: asynchronous copies
// (cp.async), matrices to registers (ldmatrix), products with f32 sums (mma.m16n8k16). PTX ISA 9,
// sections 9.7.9.25, 9.7.14.5.15 and 9.7.14.5.14; compute capability 8.0 and up.
#pragma once
#include <cstdint>

#include "kernels/bfloat16.h"

namespace noisette::cuda {

__device__ inline uint32_t shared_address(const void* p) {
  return uint32_t(__cvta_generic_to_shared(p));
}

/// Sixteen bytes from global memory to an address in shared memory, both aligned to sixteen; zeros
/// where not `there`.
__device__ inline void copy16_async(uint32_t to, const void* from, bool there) {
  const int bytes = there ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to), "l"(from), "r"(bytes)
               : "memory");
}
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
/// Until at most kPending of this thread's groups are under way.
template <int kPending>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
}

/// Four 8x8 matrices of 16-bit elements; lane l has the address of row l % 8 of matrix l / 8. With
/// kTransposed each is handed out transposed.
template <bool kTransposed>
__device__ inline void load_matrices(uint32_t (&r)[4], uint32_t at) {
  if constexpr (kTransposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

/// c [16, 8] += a [16, 16] * b [16, 8]. Lane l holds c of rows l / 4 and l / 4 + 8, columns
/// 2 (l % 4) and the next.
__device__ inline void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                    uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
      "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

}  // namespace noisette::cuda
