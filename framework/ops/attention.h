// Attention, as an op: the scores exist only in tiles inside the kernel.
#pragma once
#include <optional>

#include "framework/autograd/autograd.h"

namespace noisette {

struct AttentionOptions {
  bool causal = false;         // query i sees keys 0 .. i
  std::optional<float> scale;  // of the scores; 1 / sqrt(C / heads) when not given
};

/// Multi-head attention of queries over keys and values (cross-attention when L and M differ).
///
///   o[n,i,h,:] = sum_j softmax_j(scale * q[n,i,h,:] . k[n,j,h,:]) * v[n,j,h,:]
///
/// q        [N, L, C]  f32, bf16 (f64 on CPU); head h is the h-th run of C / heads columns
/// k, v     [N, M, C]  dtype and device of q; M = L when causal
/// heads    divides C
/// returns  [N, L, C]  dtype of q; scores, softmax and sums in f32
///
/// Gradient to q, k, v. Keeps q, k, v, the result and the log-sum-exp of each row of scores
/// ([N, heads, L] f32); the backward pass computes the scores again. No keys at all (M = 0): zero.
/// Dao et al. 2022, "FlashAttention", arXiv:2205.14135; Vaswani et al. 2017, section 3.2.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads,
                 const AttentionOptions& options = {});

/// The same for queries, keys and values that one projection made side by side.
///
///   q, k, v = columns 0 .. C, C .. 2C, 2C .. 3C of qkv;  returns attention(q, k, v)
///
/// qkv      [N, L, 3C]  f32, bf16 (f64 on CPU)
/// heads    divides C
/// returns  [N, L, C]   dtype of qkv
///
/// Gradient to qkv, whole, without a copy. Keeps qkv, the result and [N, heads, L] f32.
Tensor self_attention(const Tensor& qkv, int64_t heads, const AttentionOptions& options = {});

}  // namespace noisette
