// Attention of bf16 on tensor cores, backward, for heads of up to 160 columns. Contract:
// kernels/attention.h. Dao et al. 2022, "FlashAttention", algorithm 4, arXiv:2205.14135, in two
// kernels without atomics, so that every sum has one order: dq goes over the keys, dk and dv
// together over the queries, and each computes the scores again (7 products instead of 5).
//
// A warp has 16 (dq of up to 64 columns: 32) rows of the result. S or S^T and dP come from mma in
// f32; P and dS, rounded to bf16, are left factors of the next products as their registers lie.
// Tiles of the other side come in two stages of cp.async. What a query needs besides, its lse and
// delta = sum of dout * o, is computed before (`statistics`).
//
// Counted on the software GPU as an H100 (test_kernels *CudaAttention*q256_k256*), simulated, not
// yet run on a card: no bank conflicts, nothing spilled; other instructions of PTX in the main loop
// for each mma
//   head                     40   64   80  128  160
//   others/mma, dq          3.7  3.0  2.9  2.2  2.2
//   others/mma, dk and dv   4.0  3.4  2.7  2.1  2.1
//   registers, dq           200  238  164  162  168
//   registers, dk and dv    164  202  226  255  254
// By these figures reading shared memory bounds both: tensor cores are busy 29 to 56 % of that time
// for dq, 31 to 35 % for dk and dv. Tried and dropped: 16 rows of dq a warp for heads of up to 64
// columns (0.67 instead of 0.42 ldmatrix for each mma); registers left to ptxas, which spilled up
// to 12 bytes of dk and dv to fit one block more (kAtOnce says how many it may count on).
#include "kernels/cuda/attention_fused.h"
#include "kernels/cuda/attention_tiles.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/scratch_need.h"

namespace noisette::cuda::fused {
namespace {

constexpr int kThreads = 128;

/// Eight lanes a query.
__global__ void statistics(Rows o, Rows dout, const float* lse, float2* out, int64_t room,
                           AttentionDims d) {
  constexpr int kLanes = 8;
  const int64_t item = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / kLanes;
  const int lane = int(threadIdx.x) % kLanes;
  const int64_t head = item / room, i = item % room;
  const bool inside = head < d.batch * d.heads && i < d.queries;
  float delta = 0;
  if (inside) {
    const Head a(o, head, d), b(dout, head, d);
    for (int64_t c = lane * 8; c < d.head_dim; c += kLanes * 8) {
      const auto x = Pack<bfloat16>::read(a.at + i * a.stride + c);
      const auto y = Pack<bfloat16>::read(b.at + i * b.stride + c);
#pragma unroll
      for (int e = 0; e < 8; ++e) delta += x[e] * y[e];
    }
  }
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) delta += __shfl_xor_sync(~0u, delta, step);
  if (lane == 0 && head < d.batch * d.heads)
    out[item] = inside ? float2{lse[head * d.queries + i] * kLog2E, delta} : float2{INFINITY, 0};
}

/// A warp has kBlocks times 16 rows of the result. It takes kOthers rows of the other side at a
/// time, of which two tiles of two matrices are in shared memory.
template <int kDim_, int kBlocks_, int kAtOnce_>
struct Shape {
  static constexpr int kDim = kDim_, kPitch = Tile<kDim>::kPitch;
  static constexpr int kBlocks = kBlocks_;
  static constexpr int kAtOnce = kAtOnce_;  // blocks of a multiprocessor
  static constexpr int kOthers = kDim <= 128 ? 32 : 16;
  static constexpr int kRows = kThreads / 32 * kBlocks * 16;
  // Where things lie in shared memory: the second matrix of the rows, the stages of the others,
  // and in a stage its second matrix and the statistics.
  static constexpr int kRows2 = kRows * kPitch, kStages = 2 * kRows2;
  static constexpr int kOthers2 = kOthers * kPitch, kStatistics = 2 * kOthers2;
  static constexpr int kStage = kStatistics + kOthers * int(sizeof(float2));
  static constexpr int kBytes = kStages + 2 * kStage;
};

template <class S>
__global__ void __launch_bounds__(kThreads, S::kAtOnce)
    attention_bwd_q(Rows q, Rows k, Rows v, Rows dout, Rows dq, Statistics statistics,
                    AttentionDims d) {
  extern __shared__ __align__(128) unsigned char memory[];
  constexpr int kDim = S::kDim, kBlocks = S::kBlocks, kKeys = S::kOthers;
  const uint32_t base = shared_address(memory);
  const int64_t tiles = (d.queries + S::kRows - 1) / S::kRows, head = blockIdx.x / tiles;
  const int first = int(blockIdx.x % tiles) * S::kRows, head_dim = int(d.head_dim);
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int row = first + warp * kBlocks * 16;  // the warp's first
  const float scale = float(d.scale) * kLog2E;
  const int count = int(d.keys), end = d.causal ? min(count, first + S::kRows) : count;

  RowCopies<S::kRows, kDim, kThreads>(Head(q, head, d), first, 0, head_dim).fetch(base);
  RowCopies<S::kRows, kDim, kThreads>(Head(dout, head, d), first, 0, head_dim)
      .template fetch<S::kRows2>(base);
  RowCopies<kKeys, kDim, kThreads> keys(Head(k, head, d), 0, 0, head_dim);
  RowCopies<kKeys, kDim, kThreads> values(Head(v, head, d), 0, 0, head_dim);
  uint32_t stage = S::kStages, other = S::kStages + S::kStage;
  const auto fetch = [&](uint32_t to) {
    keys.fetch(base + to);
    values.template fetch<S::kOthers2>(base + to);
    commit_copies();
  };
  fetch(stage);
  const Reader<kDim> read_rows(base + uint32_t(warp * kBlocks * 16 * S::kPitch), Second::below);
  const Reader<kDim> right(base, Second::right), below(base, Second::below);

  float2 of_row[kBlocks][2];
#pragma unroll
  for (int m = 0; m < kBlocks; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half)
      of_row[m][half] = statistics.at[head * statistics.room +
                                      min(row + m * 16 + half * 8 + lane / 4, int(d.queries) - 1)];

  Sums<kBlocks, kDim> sums = {};
  for (int key = 0; key < end; key += kKeys) {
    wait_for_copies<0>();
    __syncthreads();  // this stage is there, the other is done with
    if (key + kKeys < end) fetch(other);
    const Reader<kDim> read = right.moved(stage);
    Sums<kBlocks, kKeys> p = {}, ds = {};
    multiply_rows<kDim, 0, 0>(p, read_rows, read);
    multiply_rows<kDim, S::kRows2, S::kOthers2>(ds, read_rows, read);
#pragma unroll
    for (int m = 0; m < kBlocks; ++m)
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const float2 s = of_row[m][e / 2];
          ds[m][n][e] = exp2_fast(fmaf(p[m][n][e], scale, -s.x)) * (ds[m][n][e] - s.y);
        }
    hide_unseen<kBlocks, kKeys>(ds, 0.f, row, key, count, d.causal);
    Factor<kBlocks, kKeys> factor;
    round_to_factor(ds, factor);
    multiply_columns<0>(sums, factor, below.moved(stage));
    const uint32_t done = stage;
    stage = other, other = done;
  }
#pragma unroll
  for (int m = 0; m < kBlocks; ++m)
    write_rows(Head(dq, head, d), row + m * 16, 0, head_dim, sums[m], float(d.scale),
               float(d.scale));
}

/// Rows are keys here, and scores are transposed: P^T = exp(k q^T), dS^T.
template <class S>
__global__ void __launch_bounds__(kThreads, S::kAtOnce)
    attention_bwd_kv(Rows q, Rows k, Rows v, Rows dout, Rows dk, Rows dv, Statistics statistics,
                     AttentionDims d) {
  extern __shared__ __align__(128) unsigned char memory[];
  constexpr int kDim = S::kDim, kBlocks = S::kBlocks, kQueries = S::kOthers;
  const uint32_t base = shared_address(memory);
  const int64_t tiles = (d.keys + S::kRows - 1) / S::kRows, head = blockIdx.x / tiles;
  const int first = int(blockIdx.x % tiles) * S::kRows, head_dim = int(d.head_dim);
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int row = first + warp * kBlocks * 16;  // the warp's first
  const float scale = float(d.scale) * kLog2E;
  const int begin = d.causal ? first : 0, end = int(d.queries);

  RowCopies<S::kRows, kDim, kThreads>(Head(k, head, d), first, 0, head_dim).fetch(base);
  RowCopies<S::kRows, kDim, kThreads>(Head(v, head, d), first, 0, head_dim)
      .template fetch<S::kRows2>(base);
  RowCopies<kQueries, kDim, kThreads> queries(Head(q, head, d), begin, 0, head_dim);
  RowCopies<kQueries, kDim, kThreads> grads(Head(dout, head, d), begin, 0, head_dim);
  const float2* of_query = statistics.at + head * statistics.room + begin + threadIdx.x * 2;
  uint32_t stage = S::kStages, other = S::kStages + S::kStage;
  const auto fetch = [&](uint32_t to) {
    queries.fetch(base + to);
    grads.template fetch<S::kOthers2>(base + to);
    if (threadIdx.x < kQueries / 2)
      copy16_async<S::kStatistics, 0>(base + to + threadIdx.x * 16, of_query, 16);
    of_query += kQueries;
    commit_copies();
  };
  if (begin < end) fetch(stage);
  const Reader<kDim> read_rows(base + uint32_t(warp * kBlocks * 16 * S::kPitch), Second::below);
  const Reader<kDim> right(base, Second::right), below(base, Second::below);

  Sums<kBlocks, kDim> sums_k = {}, sums_v = {};
  for (int query = begin; query < end; query += kQueries) {
    wait_for_copies<0>();
    __syncthreads();  // this stage is there, the other is done with
    if (query + kQueries < end) fetch(other);
    const Reader<kDim> read = right.moved(stage), read_columns = below.moved(stage);
    const float4* of_columns =
        reinterpret_cast<const float4*>(memory + stage + S::kStatistics) + lane % 4;
    Sums<kBlocks, kQueries> p = {}, ds = {};
    Factor<kBlocks, kQueries> factor;
    multiply_rows<kDim, 0, 0>(p, read_rows, read);
#pragma unroll
    for (int n = 0; n < kQueries / 8; ++n) {
      const float4 s = of_columns[n * 4];
#pragma unroll
      for (int m = 0; m < kBlocks; ++m)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          p[m][n][e] = exp2_fast(fmaf(p[m][n][e], scale, -(e % 2 == 0 ? s.x : s.z)));
    }
    if (d.causal && query < row + kBlocks * 16)
#pragma unroll
      for (int m = 0; m < kBlocks; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int unseen = row + m * 16 + half * 8 + lane / 4 - query - lane % 4 * 2;
#pragma unroll
          for (int n = 0; n < kQueries / 8; ++n) {
            if (n * 8 < unseen) p[m][n][half * 2] = 0;
            if (n * 8 + 1 < unseen) p[m][n][half * 2 + 1] = 0;
          }
        }
    round_to_factor(p, factor);
    multiply_columns<S::kOthers2>(sums_v, factor, read_columns);
    multiply_rows<kDim, S::kRows2, S::kOthers2>(ds, read_rows, read);
#pragma unroll
    for (int n = 0; n < kQueries / 8; ++n) {
      const float4 s = of_columns[n * 4];
#pragma unroll
      for (int m = 0; m < kBlocks; ++m)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          ds[m][n][e] = p[m][n][e] * (ds[m][n][e] - (e % 2 == 0 ? s.y : s.w));
    }
    round_to_factor(ds, factor);
    multiply_columns<0>(sums_k, factor, read_columns);
    const uint32_t done = stage;
    stage = other, other = done;
  }
#pragma unroll
  for (int m = 0; m < kBlocks; ++m) {
    write_rows(Head(dk, head, d), row + m * 16, 0, head_dim, sums_k[m], float(d.scale),
               float(d.scale));
    write_rows(Head(dv, head, d), row + m * 16, 0, head_dim, sums_v[m], 1.f, 1.f);
  }
}

/// The matrices that both kernels read, by their names in kernels/attention.h.
struct Inputs {
  Rows q, k, v, dout;
};

template <int kDim>
void run(const Inputs& in, const Statistics& s, bfloat16* dq, bfloat16* dk, bfloat16* dv,
         const AttentionDims& d) {
  using ForQ = Shape<kDim, kDim <= 64 ? 2 : 1, kDim == 48 || kDim == 64 ? 2 : 3>;
  using ForKV = Shape<kDim, 1, kDim <= 48 ? 3 : 2>;
  const int64_t heads = d.batch * d.heads;
  launch("attention_backward_q", attention_bwd_q<ForQ>,
         dim3(unsigned(heads * ceil_div(d.queries, ForQ::kRows))), kThreads, ForQ::kBytes, in.q,
         in.k, in.v, in.dout, Rows{dq, d.queries, d.q_stride}, s, d);
  launch("attention_backward_kv", attention_bwd_kv<ForKV>,
         dim3(unsigned(heads * ceil_div(d.keys, ForKV::kRows))), kThreads, ForKV::kBytes, in.q,
         in.k, in.v, in.dout, Rows{dk, d.keys, d.k_stride}, Rows{dv, d.keys, d.v_stride}, s, d);
}

}  // namespace

void backward(const bfloat16* q, const bfloat16* k, const bfloat16* v, const bfloat16* o,
              const float* lse, const bfloat16* dout, bfloat16* dq, bfloat16* dk, bfloat16* dv,
              const AttentionDims& d) {
  const int64_t heads = d.batch * d.heads,
                room = ceil_div(d.queries, kStatisticsRoom) * kStatisticsRoom;
  Scratch scratch;
  float2* const s = scratch.take<float2>(heads * room);
  launch("attention_statistics", statistics, dim3(unsigned(ceil_div(heads * room * 8, 256))), 256,
         0, Rows{o, d.queries, d.o_stride}, Rows{dout, d.queries, d.o_stride}, lse, s, room, d);
  if (d.head_dim > kNarrow) return backward_wide(q, k, v, dout, {s, room}, dq, dk, dv, d);
  const Inputs in{{q, d.queries, d.q_stride},
                  {k, d.keys, d.k_stride},
                  {v, d.keys, d.v_stride},
                  {dout, d.queries, d.o_stride}};
  with_width(d.head_dim, [&](auto width) { run<width>(in, {s, room}, dq, dk, dv, d); });
}

}  // namespace noisette::cuda::fused
