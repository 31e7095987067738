// Attention, plainly: a block a query (or, for the gradients of k and v, a key), which takes the
// other side a chunk at a time; scores live in shared memory for one chunk and are never stored.
// Contract: kernels/attention.h. For rows of no whole sixteen bytes, and heads of bf16 that are too
// wide for tensor cores. No atomics: every sum runs in the order of its chunks.
//
// Slow: a thread walks along a row by itself, so a warp asks for 32 sectors at a time. Counted on
// the software GPU as an H100, not yet run on a card, 128 x 256 queries, one head of 256, f32:
// 14 ms forward and 55 backward, bound by the second-level cache.
#pragma once
#include <cmath>

#include "kernels/attention.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vec.cuh"

namespace noisette::cuda {
namespace plain {

constexpr int kBlock = 128;  // threads, and the length of a chunk

/// A row of q, k, v or o: one position of one head.
template <class T>
__device__ inline const T* row_of(const T* x, int64_t batch, int64_t length, int64_t position,
                                  int64_t stride, int64_t head, const AttentionDims& d) {
  return x + (batch * length + position) * stride + head * d.head_dim;
}

template <class T>
__device__ inline float dot(const T* a, const T* b, int64_t n) {
  float sum = 0;
  for (int64_t c = 0; c < n; ++c) sum += load(a + c) * load(b + c);
  return sum;
}

/// What a block works on: batch b, head h, position i of `length`.
struct Place {
  int64_t b, h, i;
  __device__ Place(int64_t number, int64_t length, const AttentionDims& d) {
    i = number % length;
    h = number / length % d.heads;
    b = number / length / d.heads;
  }
};
/// Calls f(Place) for those of this block, of all that there are.
template <class F>
__device__ inline void for_each_place(int64_t length, const AttentionDims& d, const F& f) {
  for (int64_t n = blockIdx.x; n < d.batch * d.heads * length; n += gridDim.x) {
    __syncthreads();  // what the last one had in shared memory is done with
    f(Place(n, length, d));
  }
}

/// Keys that query i sees.
__device__ inline int64_t seen(int64_t i, const AttentionDims& d) {
  return d.causal && i + 1 < d.keys ? i + 1 : d.keys;
}

/// A block a query. Dynamic shared memory: head_dim floats of the result.
template <class T>
__global__ void attention_fwd(const T* q, const T* k, const T* v, T* o, float* lse,
                              AttentionDims d) {
  extern __shared__ float sum[];
  __shared__ float weight[kBlock];
  for_each_place(d.queries, d, [&](const Place& at) {
    const T* query = row_of(q, at.b, d.queries, at.i, d.q_stride, at.h, d);
    const int64_t keys = seen(at.i, d);
    for (int64_t c = threadIdx.x; c < d.head_dim; c += kBlock) sum[c] = 0;
    float largest = -INFINITY, total = 0;
    for (int64_t from = 0; from < keys; from += kBlock) {
      const int64_t j = from + threadIdx.x;
      const float score =
          j < keys ? float(d.scale) *
                         dot(query, row_of(k, at.b, d.keys, j, d.k_stride, at.h, d), d.head_dim)
                   : -INFINITY;
      const float now = fmaxf(largest, block_max<kBlock>(score));
      const float shrink = expf(largest - now);
      __syncthreads();
      weight[threadIdx.x] = expf(score - now);
      total = total * shrink + block_sum<kBlock>(weight[threadIdx.x]);  // with a barrier
      const int64_t n = keys - from < kBlock ? keys - from : kBlock;
      for (int64_t c = threadIdx.x; c < d.head_dim; c += kBlock) {
        float part = 0;
        for (int64_t r = 0; r < n; ++r)
          part += weight[r] * load(row_of(v, at.b, d.keys, from + r, d.v_stride, at.h, d) + c);
        sum[c] = sum[c] * shrink + part;
      }
      largest = now;
    }
    T* out = o + (at.b * d.queries + at.i) * d.o_stride + at.h * d.head_dim;
    for (int64_t c = threadIdx.x; c < d.head_dim; c += kBlock)
      store(out + c, total > 0 ? sum[c] / total : 0.f);
    if (lse != nullptr && threadIdx.x == 0)
      lse[(at.b * d.heads + at.h) * d.queries + at.i] =
          total > 0 ? largest + logf(total) : -INFINITY;
  });
}

/// delta[b,h,i] = sum over c of dout * o. Eight lanes a query.
template <class T>
__global__ void row_dots(const T* o, const T* dout, float* delta, AttentionDims d) {
  constexpr int kLanes = 8;
  const int64_t items = d.batch * d.heads * d.queries;
  for_each_item(ceil_div(items * kLanes, 32) * 32, [&](int64_t number) {  // whole warps
    const int64_t item = number / kLanes, i = item % d.queries;
    const int64_t h = item / d.queries % d.heads, b = item / d.queries / d.heads;
    float sum = 0;
    if (item < items) {
      const T* const x = row_of(o, b, d.queries, i, d.o_stride, h, d);
      const T* const y = row_of(dout, b, d.queries, i, d.o_stride, h, d);
      for (int64_t c = number % kLanes; c < d.head_dim; c += kLanes)
        sum += load(x + c) * load(y + c);
    }
#pragma unroll
    for (int step = kLanes / 2; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
    if (number % kLanes == 0 && item < items) delta[item] = sum;
  });
}

/// P and its gradient through the softmax, dS / scale, of one query and key.
struct Pair {
  float p, ds;
  template <class T>
  __device__ Pair(const T* query, const T* key, const T* value, const T* dout, float lse,
                  float delta, const AttentionDims& d) {
    p = expf(float(d.scale) * dot(query, key, d.head_dim) - lse);
    ds = p * (dot(dout, value, d.head_dim) - delta);
  }
};

/// A block a query. Dynamic shared memory: head_dim floats.
template <class T>
__global__ void attention_bwd_q(const T* q, const T* k, const T* v, const float* lse,
                                const float* delta, const T* dout, T* dq, AttentionDims d) {
  extern __shared__ float sum[];
  __shared__ float ds[kBlock];
  for_each_place(d.queries, d, [&](const Place& at) {
    const T* query = row_of(q, at.b, d.queries, at.i, d.q_stride, at.h, d);
    const T* grad = row_of(dout, at.b, d.queries, at.i, d.o_stride, at.h, d);
    const int64_t row = (at.b * d.heads + at.h) * d.queries + at.i, keys = seen(at.i, d);
    for (int64_t c = threadIdx.x; c < d.head_dim; c += kBlock) sum[c] = 0;
    for (int64_t from = 0; from < keys; from += kBlock) {
      const int64_t j = from + threadIdx.x;
      __syncthreads();
      if (j < keys)
        ds[threadIdx.x] =
            Pair(query, row_of(k, at.b, d.keys, j, d.k_stride, at.h, d),
                 row_of(v, at.b, d.keys, j, d.v_stride, at.h, d), grad, lse[row], delta[row], d)
                .ds;
      __syncthreads();
      const int64_t n = keys - from < kBlock ? keys - from : kBlock;
      for (int64_t c = threadIdx.x; c < d.head_dim; c += kBlock)
        for (int64_t r = 0; r < n; ++r)
          sum[c] += ds[r] * load(row_of(k, at.b, d.keys, from + r, d.k_stride, at.h, d) + c);
    }
    T* out = dq + (at.b * d.queries + at.i) * d.q_stride + at.h * d.head_dim;
    for (int64_t c = threadIdx.x; c < d.head_dim; c += kBlock)
      store(out + c, float(d.scale) * sum[c]);
  });
}

/// A block a key. Dynamic shared memory: 2 * head_dim floats.
template <class T>
__global__ void attention_bwd_kv(const T* q, const T* k, const T* v, const float* lse,
                                 const float* delta, const T* dout, T* dk, T* dv, AttentionDims d) {
  extern __shared__ float sum[];
  __shared__ float p[kBlock], ds[kBlock];
  float *sum_k = sum, *sum_v = sum + d.head_dim;
  for_each_place(d.keys, d, [&](const Place& at) {
    const T* key = row_of(k, at.b, d.keys, at.i, d.k_stride, at.h, d);
    const T* value = row_of(v, at.b, d.keys, at.i, d.v_stride, at.h, d);
    const int64_t head = (at.b * d.heads + at.h) * d.queries;
    for (int64_t c = threadIdx.x; c < d.head_dim; c += kBlock) sum_k[c] = sum_v[c] = 0;
    for (int64_t from = d.causal ? at.i : 0; from < d.queries; from += kBlock) {
      const int64_t i = from + threadIdx.x;
      __syncthreads();
      if (i < d.queries) {
        const Pair pair(row_of(q, at.b, d.queries, i, d.q_stride, at.h, d), key, value,
                        row_of(dout, at.b, d.queries, i, d.o_stride, at.h, d), lse[head + i],
                        delta[head + i], d);
        p[threadIdx.x] = pair.p;
        ds[threadIdx.x] = pair.ds;
      }
      __syncthreads();
      const int64_t n = d.queries - from < kBlock ? d.queries - from : kBlock;
      for (int64_t c = threadIdx.x; c < d.head_dim; c += kBlock)
        for (int64_t r = 0; r < n; ++r) {
          sum_v[c] += p[r] * load(row_of(dout, at.b, d.queries, from + r, d.o_stride, at.h, d) + c);
          sum_k[c] += ds[r] * load(row_of(q, at.b, d.queries, from + r, d.q_stride, at.h, d) + c);
        }
    }
    const int64_t row = at.b * d.keys + at.i, column = at.h * d.head_dim;
    for (int64_t c = threadIdx.x; c < d.head_dim; c += kBlock) {
      store(dk + row * d.k_stride + column + c, float(d.scale) * sum_k[c]);
      store(dv + row * d.v_stride + column + c, sum_v[c]);
    }
  });
}

}  // namespace plain

template <class T>
void attention_forward_plain(const T* q, const T* k, const T* v, T* o, acc_t<T>* lse,
                             const AttentionDims& d) {
  const int64_t rows = d.batch * d.heads * d.queries;
  if (rows * d.head_dim == 0) return;
  launch("attention_forward", plain::attention_fwd<T>, blocks_for(rows, 1), plain::kBlock,
         std::size_t(d.head_dim) * sizeof(float), q, k, v, o, lse, d);
}

/// delta [batch, heads, queries]: the sums of dout * o.
template <class T>
void attention_row_dots(const T* o, const T* dout, float* delta, const AttentionDims& d) {
  const int64_t rows = d.batch * d.heads * d.queries;
  if (rows > 0)
    launch("attention_row_dots", plain::row_dots<T>, blocks_for(rows * 8), kThreads, 0, o, dout,
           delta, d);
}

template <class T>
void attention_backward_plain(const T* q, const T* k, const T* v, const acc_t<T>* lse,
                              const float* delta, const T* dout, T* dq, T* dk, T* dv,
                              const AttentionDims& d) {
  const int64_t heads = d.batch * d.heads;
  const std::size_t width = std::size_t(d.head_dim) * sizeof(float);
  if (heads * d.head_dim == 0) return;
  if (d.queries > 0)
    launch("attention_backward_q", plain::attention_bwd_q<T>, blocks_for(heads * d.queries, 1),
           plain::kBlock, width, q, k, v, lse, delta, dout, dq, d);
  if (d.keys > 0)
    launch("attention_backward_kv", plain::attention_bwd_kv<T>, blocks_for(heads * d.keys, 1),
           plain::kBlock, 2 * width, q, k, v, lse, delta, dout, dk, dv, d);
}

}  // namespace noisette::cuda
