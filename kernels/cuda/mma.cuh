// Tensor-core products of tiles in shared memory, as instructions of PTX: asynchronous copies
// (cp.async), matrices to registers (ldmatrix), products with f32 sums (mma.m16n8k16 of bf16,
// mma.m16n8k8 of tf32). PTX ISA 9, sections 9.7.9.25, 9.7.14.5.15 and 9.7.14.5.14; compute
// capability 8.0 and up.
#pragma once
#include <cstdint>

#include "kernels/bfloat16.h"

namespace noisette::cuda {

__device__ inline uint32_t shared_address(const void* p) {
  return uint32_t(__cvta_generic_to_shared(p));
}

/// Sixteen bytes of shared memory from global memory, both aligned to sixteen: the first `bytes`, 0
/// or 16, are copied, the others are zero. The offsets, in bytes, cost no instruction.
template <int kTo = 0, int kFrom = 0>
__device__ inline void copy16_async(uint32_t to, const void* from, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0 + %3], [%1 + %4], 16, %2;\n" ::"r"(to), "l"(from),
               "r"(bytes), "n"(kTo), "n"(kFrom)
               : "memory");
}
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
/// Until at most kPending of this thread's groups are under way.
template <int kPending>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
}
/// __syncthreads() that warps, though not threads of one, may come to at different places of the
/// code: bar.sync counts the warps that have come to a barrier (PTX ISA, bar.sync).
__device__ inline void meet_all_warps() { asm volatile("bar.sync 0;\n" ::: "memory"); }

/// Four 8x8 matrices of 16-bit elements; lane l has the address of row l % 8 of matrix l / 8. With
/// kTransposed each is handed out transposed. The offset, in bytes, costs no instruction.
template <bool kTransposed, int kOffset = 0>
__device__ inline void load_matrices(uint32_t (&r)[4], uint32_t at) {
  if constexpr (kTransposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4 + %5];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at), "n"(kOffset)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4 + %5];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at), "n"(kOffset)
                 : "memory");
}
/// Words of shared memory.
template <int kOffset = 0>
__device__ inline uint32_t load_shared(uint32_t at) {
  uint32_t word;
  asm volatile("ld.shared.b32 %0, [%1 + %2];\n" : "=r"(word) : "r"(at), "n"(kOffset) : "memory");
  return word;
}
template <int kOffset = 0>
__device__ inline float4 load_shared4(uint32_t at) {
  float4 v;
  asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4 + %5];\n"
               : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
               : "r"(at), "n"(kOffset)
               : "memory");
  return v;
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
/// c [16, 8] += a [16, 8] * b [8, 8], of f32 rounded to tf32.
__device__ inline void multiply_add_tf32(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                         uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, "
      "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
/// The bits of an f32 number, rounded to the 10 bits of tf32's fraction.
__device__ inline uint32_t round_tf32(uint32_t bits) {
  uint32_t rounded;
  asm("cvt.rna.tf32.f32 %0, %1;\n" : "=r"(rounded) : "f"(__uint_as_float(bits)));
  return rounded;
}

/// Two neighbours, rounded to nearest even.
__device__ inline uint32_t pack_bf16(float first, float second) {
  uint32_t r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(r) : "f"(second), "f"(first));
  return r;
}

}  // namespace noisette::cuda
