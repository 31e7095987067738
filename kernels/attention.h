// Multi-head scaled dot-product attention, forward and backward; the matrix of scores is never
// stored.
//
//   S[b,h,i,j] = scale * sum_c q[b,i,h,c] * k[b,j,h,c]        (j <= i only, when causal)
//   P = softmax of S over j,   o[b,i,h,c] = sum_j P[b,h,i,j] * v[b,j,h,c]
//   lse[b,h,i] = log sum_j exp(S[b,h,i,j]), all that the backward pass needs beside the inputs and
// o
//
// Row r = b * queries + i of q starts at q + r * q_stride; head h is its columns h * head_dim .. +
// head_dim. k, v (rows b * keys + j) and o likewise, so q, k and v may be column ranges of one
// fused projection. f32 and bf16 accumulate in f32 with the softmax in f32; with bf16 dot-product
// instructions, bf16 rounds P and its gradient to bf16 before they are multiplied. f64 is the plain
// reference. Results do not depend on the number of threads.
//
// Dao et al. 2022, "FlashAttention", algorithms 1 and 4 (appendix B), arXiv:2205.14135.
#pragma once
#include <cstdint>

#include "kernels/backends.h"
#include "kernels/bfloat16.h"

namespace noisette {

struct AttentionDims {
  int64_t batch = 0, queries = 0, keys = 0, heads = 0, head_dim = 0;
  int64_t q_stride = 0, k_stride = 0, v_stride = 0,
          o_stride = 0;  // elements from a row to the next
  bool causal = false;   // query i sees keys 0 .. i
  double scale = 1;
};

NOISETTE_BACKENDS(  // clang-format off

/// o: strided by o_stride. lse [batch, heads, queries], or null when no gradient will be asked for.
/// A query that sees no key gets o = 0 and lse = -inf.
template <class T>
void attention_forward(const T* q, const T* k, const T* v, T* o, acc_t<T>* lse,
                       const AttentionDims& d);

/// Overwrites dq, dk, dv, strided like q, k, v; dout is strided like o. Scratch: two rows' worth of
/// tiles per thread plus [queries, head_dim] in f32 per thread (a few per head when batch * heads
/// is small).
template <class T>
void attention_backward(const T* q, const T* k, const T* v, const T* o, const acc_t<T>* lse,
                        const T* dout, T* dq, T* dk, T* dv, const AttentionDims& d);

)  // clang-format on
}  // namespace noisette
