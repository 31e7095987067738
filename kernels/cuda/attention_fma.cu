// Attention of f32 by multiply-adds, forward and backward, for heads of any width. Contract:
// kernels/attention.h. Dao et al. 2022, "FlashAttention", algorithms 1 and 4, arXiv:2205.14135: a
// tile of 128 x 128 scores at a time, which never leaves an SM. No atomics: every sum runs in one
// order.
//
// A block has 128 rows (of queries, or of keys for dk and dv) and 128 columns of the result, and
// goes over the other side. Scores are products of tiles as in gemm_fma.cuh; what becomes of them
// (P, or dS) lies in shared memory as the left factor of the product with the other side's rows:
//
//   forward  o = P v             P = softmax of q k^T, with the running maximum of its rows
//   dv       P^T dout            P = exp(q k^T - lse)
//   dq       dS k, dk dS^T q     dS = P (dout v^T - delta), delta = sum of dout * o
//
// Blocks of other columns of a wide head compute the scores again, and so do dq, dk and dv: kernels
// of their own, for 64 sums a thread of the result and 64 of scores are what registers hold.
//
// Counted on the software GPU as an H100, not yet run on a card, 128 x 256 queries, one head of
// 256: 0.25 ms forward and 1.06 backward (plainly, attention_plain.cuh: 14 and 55), bound by the
// issue of instructions; no bank conflicts, nothing spilled, 255 registers. Statistics of queries
// lie in shared memory: read where they are wanted, they took more registers than there are.
//
// Shared memory: 96 KB, which every card has. Three stages of two tiles while scores are summed up;
// then four tiles of P or dS, and two of the other side (or one of both sides, of dout v^T).
#include <cmath>

#include "kernels/cuda/attention_fused.h"
#include "kernels/cuda/gemm_fma.cuh"
#include "kernels/cuda/gemm_write.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/reduce.cuh"

namespace noisette::cuda::fused {
namespace {

using gemm::kM;
using gemm::kN;
using gemm::kTileBytes;

constexpr int kTerms = 32;           // of a tile
constexpr int kTiles = kN / kTerms;  // of P
constexpr uint32_t kBehind = kTiles * kTileBytes, kBytes = kBehind + 2 * kTileBytes;

/// q, k, v, o or a gradient: `count` rows of every batch element, of all heads.
struct Rows {
  const float* at;
  int64_t count, stride;

  __device__ const float* head(int64_t number, const AttentionDims& d) const {
    return at + number / d.heads * count * stride + number % d.heads * d.head_dim;
  }
  /// Of a head, rows by columns.
  __device__ gemm::Matrix<float, true> along(int64_t number, const AttentionDims& d) const {
    return {head(number, d), count, d.head_dim, stride};
  }
  /// Its columns from `first` on, by rows.
  __device__ gemm::Matrix<float, false> across(int64_t number, int64_t first,
                                               const AttentionDims& d) const {
    return {head(number, d) + first, d.head_dim - first, count, stride};
  }
};

enum class Result { o, dq, dk, dv };

/// What a block reads: scores are left * right^T, their gradient left2 * right2^T (dq and dk), and
/// the result's rows come from those of `values`. right, right2 and values are of the other side.
struct Factors {
  Rows left, right, left2, right2, values;
};

/// Of every query, [batch, heads, queries]. The forward pass writes lse, unless it is null.
struct OfQueries {
  float* lse;
  const float* delta;
};

using Scores = gemm::MultiplyAdds<gemm::Matrix<float, true>, gemm::Matrix<float, true>>;
using Sums = gemm::MultiplyAdds<gemm::Matrix<float, true>, gemm::Matrix<float, false>>;
constexpr int kOwn = Scores::kOwn;

/// Adds the products of rows i0 .. of a and j0 .. of b, which have head_dim terms. Tiles lie in
/// kStages pairs from `memory` on, of which no thread may be reading.
template <int kStages>
__device__ void multiply(Scores& sums, const gemm::Matrix<float, true>& a,
                         const gemm::Matrix<float, true>& b, int64_t i0, int64_t j0,
                         uint32_t memory) {
  constexpr uint32_t kPair = 2 * kTileBytes;
  gemm::Fetcher<gemm::Matrix<float, true>> left(a, 0, i0, 0, a.terms), right(b, 0, j0, 0, a.terms);
  int to_fetch = int((a.terms + kTerms - 1) / kTerms), to_add = to_fetch;
  uint32_t fetched = 0, added = 0;
  const auto fetch = [&] {
    if (to_fetch > 0) {
      --to_fetch;
      left.fetch(memory + fetched);
      right.fetch(memory + fetched + kTileBytes);
      fetched = fetched == (kStages - 1) * kPair ? 0 : fetched + kPair;
    }
    commit_copies();
  };
  for (int i = 0; i + 1 < kStages; ++i) fetch();
  for (; to_add > 0; --to_add) {
    if constexpr (kStages > 1) wait_for_copies<kStages - 2>();
    __syncthreads();
    fetch();  // into the stage that all have done with
    if constexpr (kStages == 1) {
      wait_for_copies<0>();
      __syncthreads();
    }
    sums.add(memory + added);
    added = added == (kStages - 1) * kPair ? 0 : added + kPair;
  }
}

/// Over the eight lanes that share a row, by xor: all of them have it.
template <class F>
__device__ inline float over_row(float x, const F& combine) {
#pragma unroll
  for (int step = 4; step > 0; step /= 2) x = combine(x, __shfl_xor_sync(~0u, x, step));
  return x;
}

/// Combines each row's values over the two warps that share it; all threads call.
template <class Tile, class F>
__device__ inline void over_warps(float (&x)[kOwn], float (&memory)[2][kM], const Tile& tile,
                                  const F& combine) {
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    x[i] = over_row(x[i], combine);
    if (threadIdx.x % 8 == 0) memory[tile.half()][tile.row(i)] = x[i];
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kOwn; ++i) x[i] = combine(memory[0][tile.row(i)], memory[1][tile.row(i)]);
}

/// Grid (tiles of rows of all heads, tiles of columns).
template <Result kResult>
__global__ void __launch_bounds__(kThreads)
    attention_fma(Factors f, OfQueries of, float* out, int64_t out_stride, AttentionDims d) {
  extern __shared__ __align__(1024) unsigned char memory[];
  constexpr bool kForward = kResult == Result::o;
  // Of queries: lse and delta. Forward: room for over_warps, and the largest score of every row.
  __shared__ float statistics[2][kM], largest[kForward ? kM : 1];
  constexpr bool kOfKeys = kResult == Result::dk || kResult == Result::dv;
  constexpr bool kGradient = kResult == Result::dq || kResult == Result::dk;
  const uint32_t base = shared_address(memory);
  const int64_t count = f.left.count, others = f.right.count, tiles = (count + kM - 1) / kM;
  const int64_t head = blockIdx.x / tiles, i0 = blockIdx.x % tiles * kM;
  const int64_t c0 = int64_t(blockIdx.y) * kN;
  const float scale = float(d.scale);
  const int64_t begin = d.causal && kOfKeys ? i0 : 0;
  const int64_t end = d.causal && !kOfKeys && i0 + kM < others ? i0 + kM : others;

  const int rows = int(count - i0);
  Sums sums;
  float total[kOwn] = {};                                       // of the thread's part of a row
  const bool first = sums.half() == 0 && threadIdx.x % 8 == 0;  // of a row's threads
  if (kForward && threadIdx.x < kM) largest[threadIdx.x] = -INFINITY;
  for (int64_t j0 = begin; j0 < end; j0 += kN) {
    Scores s;
    __syncthreads();  // the last tiles are done with
    if (!kForward && threadIdx.x < kM) {
      const int64_t query = (kOfKeys ? j0 : i0) + threadIdx.x, at = head * d.queries + query;
      statistics[0][threadIdx.x] = query < d.queries ? of.lse[at] : INFINITY;  // P = 0
      if (kGradient) statistics[1][threadIdx.x] = query < d.queries ? of.delta[at] : 0;
    }
    multiply<3>(s, f.left.along(head, d), f.right.along(head, d), i0, j0, base);

    // Within the tile, in 32 bits: 64 took more registers than there are.
    const int columns = int(others - j0), further = int(i0 - j0);  // are the rows than the columns
    const auto counts = [&](int i, int j) {  // whether there is such a pair, and it is seen
      const int row = s.row(i), column = s.column(j), diagonal = row + further;
      return row < rows && column < columns &&
             (!d.causal || (kOfKeys ? column >= diagonal : column <= diagonal));
    };
    const auto of_query = [&](const float* x, int i, int j) {
      return x[kOfKeys ? s.column(j) : s.row(i)];
    };
    const auto place = [&](int i, int j) -> float4& {  // of four neighbours of P, or of dS
      const int column = s.column(j);
      return *reinterpret_cast<float4*>(
          memory + column / kTerms * kTileBytes +
          gemm::Layout<float, true>::offset(s.row(i), column % kTerms / 4));
    };

    if constexpr (kForward) {
      float now[kOwn], before[kOwn];
#pragma unroll
      for (int i = 0; i < kOwn; ++i) {
        now[i] = -INFINITY;
        before[i] = largest[s.row(i)];
#pragma unroll
        for (int j = 0; j < kOwn; ++j) {
          s.own(i)[j] = counts(i, j) ? scale * s.own(i)[j] : -INFINITY;
          now[i] = fmaxf(now[i], s.own(i)[j]);
        }
      }
      over_warps(now, statistics, s, Larger{});
#pragma unroll
      for (int i = 0; i < kOwn; ++i) {
        now[i] = fmaxf(now[i], before[i]);
        const float from = now[i] == -INFINITY ? 0 : now[i], shrink = expf(before[i] - from);
        if (first) largest[s.row(i)] = now[i];
        total[i] *= shrink;
#pragma unroll
        for (int j = 0; j < kOwn; ++j) {
          s.own(i)[j] = expf(s.own(i)[j] - from);
          total[i] += s.own(i)[j];
          sums.own(i)[j] *= shrink;
        }
      }
    } else {
#pragma unroll
      for (int i = 0; i < kOwn; ++i)
#pragma unroll
        for (int j = 0; j < kOwn; ++j)
          s.own(i)[j] =
              counts(i, j) ? expf(scale * s.own(i)[j] - of_query(statistics[0], i, j)) : 0;
      __syncthreads();  // the stages are done with
    }
#pragma unroll
    for (int i = 0; i < kOwn; ++i)
#pragma unroll
      for (int j = 0; j < kOwn; j += 4) {
        const auto& p = s.own(i);
        place(i, j) = float4{p[j], p[j + 1], p[j + 2], p[j + 3]};
      }
    if constexpr (kGradient) {
      Scores ds;
      multiply<1>(ds, f.left2.along(head, d), f.right2.along(head, d), i0, j0, base + kBehind);
#pragma unroll
      for (int i = 0; i < kOwn; ++i)
#pragma unroll
        for (int j = 0; j < kOwn; j += 4) {
          float4 p = place(i, j);
          const auto through = [&](float& x, int c) {
            x *= ds.own(i)[j + c] - of_query(statistics[1], i, j + c);
          };
          through(p.x, 0), through(p.y, 1), through(p.z, 2), through(p.w, 3);
          place(i, j) = p;
        }
      __syncthreads();  // the pair of tiles is done with
    }

    const gemm::Matrix<float, false> values = f.values.across(head, c0, d);
    gemm::Fetcher<gemm::Matrix<float, false>> fetcher(values, 0, 0, j0, end);
    const int last = int((end - j0 + kTerms - 1) / kTerms) - 1;
    const auto fetch = [&](int t) {
      if (t < kTiles && t <= last) fetcher.fetch(base + kBehind + t % 2 * kTileBytes);
      commit_copies();
    };
    fetch(0);
    fetch(1);
    for (int t = 0; t < kTiles && t <= last; ++t) {
      wait_for_copies<1>();
      __syncthreads();
      sums.add(base + t * kTileBytes, base + kBehind + t % 2 * kTileBytes);
      __syncthreads();
      fetch(t + 2);
    }
    wait_for_copies<0>();
  }

  float factor[kOwn];
  if constexpr (kForward) {
    __syncthreads();
    over_warps(total, statistics, sums, Add{});
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
      factor[i] = total[i] > 0 ? 1 / total[i] : 0;
      const int64_t row = i0 + sums.row(i);
      if (of.lse != nullptr && blockIdx.y == 0 && first && row < count)
        of.lse[head * d.queries + row] =
            total[i] > 0 ? largest[sums.row(i)] + logf(total[i]) : -INFINITY;
    }
  } else {
#pragma unroll
    for (int i = 0; i < kOwn; ++i) factor[i] = kResult == Result::dv ? 1 : scale;
  }
  float* const to = out + head / d.heads * count * out_stride + head % d.heads * d.head_dim;
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    const int64_t row = i0 + sums.row(i);
#pragma unroll
    for (int j = 0; j < kOwn; j += 4) {
      const int64_t column = c0 + sums.column(j);
      const auto& x = sums.own(i);
      const float r = factor[i];
      if (row < count && column < d.head_dim)
        gemm::store_four(to + row * out_stride + column,
                         Pack<float, 4>{{x[j] * r, x[j + 1] * r, x[j + 2] * r, x[j + 3] * r}});
    }
  }
}

template <Result kResult>
void run(const char* name, const Factors& f, const OfQueries& of, float* out, int64_t out_stride,
         const AttentionDims& d) {
  const int64_t tiles = d.batch * d.heads * ceil_div(f.left.count, kM);
  if (tiles == 0) return;
  launch(name, attention_fma<kResult>, dim3(unsigned(tiles), unsigned(ceil_div(d.head_dim, kN))),
         kThreads, kBytes, f, of, out, out_stride, d);
}

}  // namespace

void forward_fma(const float* q, const float* k, const float* v, float* o, float* lse,
                 const AttentionDims& d) {
  const Rows values{v, d.keys, d.v_stride};
  const Factors f{{q, d.queries, d.q_stride}, {k, d.keys, d.k_stride}, {}, {}, values};
  run<Result::o>("attention_forward", f, {lse, nullptr}, o, d.o_stride, d);
}

void backward_fma(const float* q, const float* k, const float* v, const float* lse,
                  const float* delta, const float* dout, float* dq, float* dk, float* dv,
                  const AttentionDims& d) {
  const Rows queries{q, d.queries, d.q_stride}, keys{k, d.keys, d.k_stride};
  const Rows values{v, d.keys, d.v_stride}, grads{dout, d.queries, d.o_stride};
  const OfQueries of{const_cast<float*>(lse), delta};
  run<Result::dq>("attention_backward_q", {queries, keys, grads, values, keys}, of, dq, d.q_stride,
                  d);
  run<Result::dk>("attention_backward_k", {keys, queries, values, grads, queries}, of, dk,
                  d.k_stride, d);
  run<Result::dv>("attention_backward_v", {keys, queries, {}, {}, grads}, of, dv, d.v_stride, d);
}

}  // namespace noisette::cuda::fused
