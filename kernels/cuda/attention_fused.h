// Launchers of the fused attention kernels, for rows of heads on sixteen bytes: of bf16 on tensor
// cores, of f32 by multiply-adds.
#pragma once
#include <vector_types.h>

#include "kernels/attention.h"

namespace noisette::cuda::fused {

/// The widest head whose sums one warp's registers hold.
inline constexpr int64_t kNarrow = 160;
inline constexpr int64_t kWidest = 512;

/// What the backward kernels need of every query: the log-sum-exp in powers of two, and delta, the
/// sum of dout * o. [batch * heads, room], {infinity, 0} behind the last query.
struct Statistics {
  const float2* at;
  int64_t room;  // queries, rounded up
};

void forward(const bfloat16* q, const bfloat16* k, const bfloat16* v, bfloat16* o, float* lse,
             const AttentionDims& d);
void forward_wide(const bfloat16* q, const bfloat16* k, const bfloat16* v, bfloat16* o, float* lse,
                  const AttentionDims& d);
void backward(const bfloat16* q, const bfloat16* k, const bfloat16* v, const bfloat16* o,
              const float* lse, const bfloat16* dout, bfloat16* dq, bfloat16* dk, bfloat16* dv,
              const AttentionDims& d);
void backward_wide(const bfloat16* q, const bfloat16* k, const bfloat16* v, const bfloat16* dout,
                   const Statistics& s, bfloat16* dq, bfloat16* dk, bfloat16* dv,
                   const AttentionDims& d);

void forward_fma(const float* q, const float* k, const float* v, float* o, float* lse,
                 const AttentionDims& d);
/// delta [batch, heads, queries], the sums of dout * o.
void backward_fma(const float* q, const float* k, const float* v, const float* lse,
                  const float* delta, const float* dout, float* dq, float* dk, float* dv,
                  const AttentionDims& d);

}  // namespace noisette::cuda::fused
