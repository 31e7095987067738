// Attention of bf16 on tensor cores, forward, for heads of up to 160 columns. Contract:
// kernels/attention.h. Dao 2023, "FlashAttention-2", section 3.1, arXiv:2307.08691.
//
// A block has 64 or 128 queries, of which a warp has 16 or 32 to itself, and takes 64 keys at a
// time: S = q k^T in f32 sums of mma.m16n8k16, softmax over what a row has shown so far, and P,
// rounded to bf16, is the left factor of P v as its registers lie. Values are copied (cp.async)
// during q k^T, the next keys during P v. Heads are padded with zeros to the next width of
// with_width. Nothing but o and lse is written.
//
// Counted on the software GPU as an H100 (test_kernels *CudaAttention*q256_k256*), simulated, not
// yet run on a card: no bank conflicts, nothing spilled; other instructions of PTX in the main loop
// for each mma
//   head            40   64   80  128  160
//   others/mma    5.1  4.0  3.9  2.8  2.4
//   registers     206  238  168  166  207
// By these figures heads of up to 64 are bound by issue slots and wider ones by reading shared
// memory; tensor cores are busy 52, 62, 38, 38 and 38 % of that time. A warp with two blocks of 16
// queries reads 0.31 ldmatrix for each mma, with one, for which alone wider heads leave registers,
// 0.56.
#include "kernels/cuda/attention_fused.h"
#include "kernels/cuda/attention_tiles.cuh"
#include "kernels/cuda/launch.cuh"

namespace noisette::cuda::fused {
namespace {

constexpr int kThreads = 128;

/// The tiles of a head of up to kDim: a warp has kBlocks times 16 queries, and takes kKeys keys at
/// a time.
template <int kDim_>
struct Shape {
  static constexpr int kDim = kDim_;
  static constexpr int kBlocks = kDim <= 64 ? 2 : 1;
  static constexpr int kKeys = 64;
  static constexpr int kAtOnce =
      kDim == 32 || kDim == 80 || kDim == 128 ? 3 : 2;  // blocks of an SM
  static constexpr int kQueries = kThreads / 32 * kBlocks * 16;
  // Where the tiles of q, k and v begin in shared memory.
  static constexpr int kK = kQueries * Tile<kDim>::kPitch, kV = kK + kKeys * Tile<kDim>::kPitch;
  static constexpr int kBytes = kV + kKeys * Tile<kDim>::kPitch;
};

/// Rows of P in a warp's registers: their sums, and the score that stands for 1.
template <int kBlocks>
struct Softmax {
  float top[kBlocks][2], sum[kBlocks][2];

  __device__ Softmax() {
    for (auto& m : top) m[0] = m[1] = -INFINITY;
    for (auto& m : sum) m[0] = m[1] = 0;
  }
  /// Scores become weights relative to `top` (kOutgrown).
  template <int kN8, int kC8>
  __device__ void operator()(float (&s)[kBlocks][kN8][4], float scale,
                             float (&o)[kBlocks][kC8][4]) {
    float now[kBlocks][2];
    bool outgrown = false;
#pragma unroll
    for (int m = 0; m < kBlocks; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float largest = fmaxf(s[m][0][half * 2], s[m][0][half * 2 + 1]);
#pragma unroll
        for (int n = 1; n < kN8; ++n)
          largest = fmaxf(largest, fmaxf(s[m][n][half * 2], s[m][n][half * 2 + 1]));
        now[m][half] = over_row(largest, Larger{});
        outgrown |= (now[m][half] - top[m][half]) * scale > kOutgrown;
      }
    if (__any_sync(~0u, outgrown))
#pragma unroll
      for (int m = 0; m < kBlocks; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const float next = fmaxf(top[m][half], now[m][half]);
          const float shrink = exp2_fast((top[m][half] - next) * scale);
          top[m][half] = next;
          sum[m][half] *= shrink;
#pragma unroll
          for (int c = 0; c < kC8; ++c)
            o[m][c][half * 2] *= shrink, o[m][c][half * 2 + 1] *= shrink;
        }
#pragma unroll
    for (int m = 0; m < kBlocks; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float shift = -top[m][half] * scale;
#pragma unroll
        for (int n = 0; n < kN8; ++n)
#pragma unroll
          for (int e = half * 2; e < half * 2 + 2; ++e) {
            s[m][n][e] = exp2_fast(fmaf(s[m][n][e], scale, shift));
            sum[m][half] += s[m][n][e];
          }
      }
  }
};

template <class S>
__global__ void __launch_bounds__(kThreads, S::kAtOnce)
    attention_fwd(Rows q, Rows k, Rows v, Rows o, float* lse, AttentionDims d) {
  extern __shared__ __align__(128) unsigned char memory[];
  constexpr int kDim = S::kDim, kBlocks = S::kBlocks, kKeys = S::kKeys;
  const uint32_t base = shared_address(memory);
  const int64_t tiles = (d.queries + S::kQueries - 1) / S::kQueries, head = blockIdx.x / tiles;
  const int first = int(blockIdx.x % tiles) * S::kQueries, head_dim = int(d.head_dim);
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int row = first + warp * kBlocks * 16;  // the warp's first
  const float scale = float(d.scale) * kLog2E;

  RowCopies<S::kQueries, kDim, kThreads>(Head(q, head, d), first, 0, head_dim).fetch(base);
  RowCopies<kKeys, kDim, kThreads> keys(Head(k, head, d), 0, 0, head_dim);
  RowCopies<kKeys, kDim, kThreads> values(Head(v, head, d), 0, 0, head_dim);
  keys.template fetch<S::kK>(base);
  commit_copies();
  const Reader<kDim> read_q(base + uint32_t(warp * kBlocks * 16 * Tile<kDim>::kPitch),
                            Second::below);
  const Reader<kDim> read_k(base, Second::right), read_v(base, Second::below);

  const int count = int(d.keys);
  const int end = d.causal ? min(count, first + S::kQueries) : count;
  Sums<kBlocks, kDim> sums = {};
  Softmax<kBlocks> softmax;
  for (int key = 0; key < end; key += kKeys) {
    wait_for_copies<0>();
    __syncthreads();  // keys are there, values are done with
    values.template fetch<S::kV>(base);
    commit_copies();
    Sums<kBlocks, kKeys> s = {};
    multiply_rows<kDim, 0, S::kK>(s, read_q, read_k);
    wait_for_copies<0>();
    __syncthreads();  // values are there, keys are done with
    if (key + kKeys < end) keys.template fetch<S::kK>(base);
    commit_copies();
    hide_unseen<kBlocks, kKeys>(s, -INFINITY, row, key, count, d.causal);
    softmax(s, scale, sums);
    Factor<kBlocks, kKeys> p;
    round_to_factor(s, p);
    multiply_columns<S::kV>(sums, p, read_v);
  }
#pragma unroll
  for (int m = 0; m < kBlocks; ++m) {
    const float upper = over_row(softmax.sum[m][0], Add{});
    const float lower = over_row(softmax.sum[m][1], Add{});
    write_rows(Head(o, head, d), row + m * 16, 0, head_dim, sums[m], 1 / upper, 1 / lower);
    if (lse == nullptr || lane % 4 != 0) continue;
#pragma unroll
    for (int half = 0; half < 2; ++half)
      if (const int i = row + m * 16 + half * 8 + lane / 4; i < d.queries)
        lse[head * d.queries + i] =
            softmax.top[m][half] * float(d.scale) + logf(half == 0 ? upper : lower);
  }
}

template <int kDim>
void run(const bfloat16* q, const bfloat16* k, const bfloat16* v, bfloat16* o, float* lse,
         const AttentionDims& d) {
  using S = Shape<kDim>;
  const int64_t blocks = d.batch * d.heads * ceil_div(d.queries, S::kQueries);
  launch("attention_forward", attention_fwd<S>, dim3(unsigned(blocks)), kThreads, S::kBytes,
         Rows{q, d.queries, d.q_stride}, Rows{k, d.keys, d.k_stride}, Rows{v, d.keys, d.v_stride},
         Rows{o, d.queries, d.o_stride}, lse, d);
}

}  // namespace

void forward(const bfloat16* q, const bfloat16* k, const bfloat16* v, bfloat16* o, float* lse,
             const AttentionDims& d) {
  with_width(d.head_dim, [&](auto width) { run<width>(q, k, v, o, lse, d); });
}

}  // namespace noisette::cuda::fused
