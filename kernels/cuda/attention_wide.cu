// Attention of bf16 on tensor cores for heads of 168 to 512 columns, forward and backward.
// Contract: kernels/attention.h. Sums of so many columns don't fit into one warp's registers, so
// the eight warps of a block share 64 rows of the result: each computes 32 x 16 scores, all rounded
// weights meet in shared memory, and each multiplies 32 rows of them with a quarter of the columns.
// One form for all: o = P v, dq = dS k, dv = P^T dout, dk = dS^T q; dv and dk compute P^T apart,
// since one of 512 columns fills the registers. Factors come 64 columns (of a score), or 16 or 32
// rows (of the other product) at a time through three stages of cp.async, so that 57.5 KB of shared
// memory do for every width.
//
// Counted on the software GPU as an H100 (test_kernels *CudaAttention*q256_k256*), simulated, not
// yet run on a card: no bank conflicts, nothing spilled; other instructions of PTX in the loop over
// tiles for each mma
//   head                      256                    512
//                       o   dq   dv   dk       o   dq   dv   dk
//   others/mma        4.8  4.4  3.7  4.6     3.8  3.9  3.3  4.2
//   registers         170  194  166  186     234  245  230  247
// By these figures reading shared memory bounds them: tensor cores are busy 32 to 37 % of that
// time. Tried and dropped: finding every slice's address from its position (5.4 to 6.8 others for
// each mma at 256).
#include "kernels/cuda/attention_fused.h"
#include "kernels/cuda/attention_tiles.cuh"
#include "kernels/cuda/launch.cuh"

namespace noisette::cuda::fused {
namespace {

constexpr int kThreads = 256;
constexpr int kTile = 64;   // rows of the result, and of the other side, of a block at a time
constexpr int kSlice = 64;  // columns of the factors of a score
constexpr int kStages = 3;

enum class Result { o, dq, dv, dk };

/// result = f(x y^T, x2 y2^T) z.
struct Work {
  Rows x, y, x2, y2, z, result;
  Statistics statistics;
  float* lse;
  AttentionDims d;
};

/// Where things lie in shared memory: the stages, weights, maxima of a warp's columns and the
/// statistics of a tile's queries.
constexpr int kSliceBytes = kTile * Tile<kSlice>::kPitch, kStage = 2 * kSliceBytes;
constexpr int kWeights = kStages * kStage, kMaxima = kWeights + kTile * Tile<kTile>::kPitch;
constexpr int kStatistics = kMaxima + 4 * kTile * int(sizeof(float));
constexpr int kBytes = kStatistics + kTile * int(sizeof(float2));

/// Fetches what a block multiplies, a stage at a time: for every tile of the other side slices of
/// x and y, of x2 and y2, then rows of z. Keeps where its thread is in each, for addresses cost.
template <Result kResult, int kDim>
class Feed {
  static constexpr bool kTwo = kResult == Result::dq || kResult == Result::dk;
  static constexpr bool kOfQueries = kResult == Result::dv || kResult == Result::dk;
  static constexpr int kLanes = Tile<kSlice>::kChunks, kPass = kThreads / kLanes;  // of slices

 public:
  static constexpr int kTerms = kStage / Tile<kDim>::kPitch;  // rows of z in a stage

  __device__ Feed(const Work& w, int64_t head, int row, int begin, int end, uint32_t base)
      : w_(w),
        x_(start(w.x, head, row)),
        y_(start(w.y, head, begin)),
        x2_(kTwo ? start(w.x2, head, row) : nullptr),
        y2_(kTwo ? start(w.y2, head, begin) : nullptr),
        z_(Head(w.z, head, w.d), begin, 0, int(w.d.head_dim)),
        of_query_(w.statistics.at + head * w.statistics.room + begin + threadIdx.x * 2),
        left_x_(int(w.x.count) - row - int(threadIdx.x) / kLanes),
        left_y_(int(w.y.count) - begin - int(threadIdx.x) / kLanes),
        tiles_((end - begin + kTile - 1) / kTile),
        to_(base + Tile<kSlice>::offset(int(threadIdx.x) / kLanes, int(threadIdx.x) % kLanes)),
        base_(base) {}

  __device__ void fetch() {
    if (tiles_ > 0) {
      const int head_dim = int(w_.d.head_dim);
      if (column_ < head_dim) {
        const bool inside = column_ + int(threadIdx.x) % kLanes * 8 < head_dim;
        const bool second = kTwo && second_;
        copy<0>((second ? x2_ : x_) + column_, second ? w_.x2.stride : w_.x.stride,
                inside ? left_x_ : 0);
        copy<kSliceBytes>((second ? y2_ : y_) + column_, second ? w_.y2.stride : w_.y.stride,
                          inside ? left_y_ : 0);
        if (kOfQueries && column_ == 0 && !second && threadIdx.x < kTile / 2)
          copy16_async<kStatistics, 0>(base_ + threadIdx.x * 16, of_query_, 16);
        column_ += kSlice;
        if (kTwo && column_ >= head_dim && !second_) column_ = 0, second_ = true;
      } else {
        z_.fetch(base_ + stage_);
        terms_ += kTerms;
        if (terms_ == kTile) next_tile();
      }
      stage_ = stage_ == (kStages - 1) * kStage ? 0 : stage_ + kStage;
    }
    commit_copies();
  }

 private:
  __device__ const bfloat16* start(const Rows& rows, int64_t head, int row) {
    const Head h(rows, head, w_.d);
    return h.at + (row + int(threadIdx.x) / kLanes) * h.stride + int(threadIdx.x) % kLanes * 8;
  }
  template <int kTo>
  __device__ void copy(const bfloat16* from, int64_t stride, int left) {
    unrolled<kTile / kPass>([&]<int pass>() {
      copy16_async<kTo + pass * kPass * Tile<kSlice>::kPitch, 0>(
          to_ + stage_, from + pass * kPass * stride, pass * kPass < left ? 16 : 0);
    });
  }
  __device__ void next_tile() {
    column_ = terms_ = 0, second_ = false;
    y_ += kTile * w_.y.stride;
    if (kTwo) y2_ += kTile * w_.y2.stride;
    of_query_ += kTile;
    left_y_ -= kTile;
    --tiles_;
  }

  const Work& w_;
  const bfloat16 *x_, *y_, *x2_, *y2_;
  RowCopies<kTerms, kDim, kThreads, kThreads / kTerms> z_;
  const float2* of_query_;
  int left_x_, left_y_, tiles_;  // rows from this thread's first one on; tiles to fetch
  int column_ = 0, terms_ = 0;   // of this tile, fetched
  bool second_ = false;          // whether x2 and y2 are being fetched
  uint32_t to_, base_, stage_ = 0;
};

/// A block has 64 rows of the result; its warps two times 32 rows, by four times 16 columns of
/// scores and a quarter of the result's columns. Weights go through shared memory.
template <Result kResult, int kDim>
__global__ void __launch_bounds__(kThreads, 1) attention_wide(Work w) {
  extern __shared__ __align__(128) unsigned char memory[];
  constexpr bool kTwo = kResult == Result::dq || kResult == Result::dk;
  constexpr bool kOfQueries = kResult == Result::dv || kResult == Result::dk;
  constexpr int kBlocks = 2, kColumns = kDim / 4, kTerms = Feed<kResult, kDim>::kTerms;
  const AttentionDims& d = w.d;
  const uint32_t base = shared_address(memory);
  const int64_t tiles = (w.result.count + kTile - 1) / kTile, head = blockIdx.x / tiles;
  const int first = int(blockIdx.x % tiles) * kTile;
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int across = warp % 4, row = warp / 4 * 32;  // the warp's first in the tile
  const int count = int(w.y.count);
  const int begin = kOfQueries && d.causal ? first : 0;
  const int end = !kOfQueries && d.causal ? min(count, first + kTile) : count;
  const float scale = float(d.scale) * kLog2E;
  const int slices = (int(d.head_dim) + kSlice - 1) / kSlice;

  Feed<kResult, kDim> feed(w, head, first, begin, end, base);
  feed.fetch();
  feed.fetch();
  uint32_t stage = 0;
  const auto next = [&] {  // waits for a stage, and has another one fetched
    wait_for_copies<1>();
    __syncthreads();
    feed.fetch();
    const uint32_t now = stage;
    stage = stage == (kStages - 1) * kStage ? 0 : stage + kStage;
    return now;
  };
  const Reader<kSlice> read_x(base + uint32_t(row * Tile<kSlice>::kPitch), Second::below);
  const Reader<kSlice> read_y(base + uint32_t(across * 16 * Tile<kSlice>::kPitch), Second::right);
  const Reader<kTile> read_p(base + kWeights + uint32_t(row * Tile<kTile>::kPitch), Second::below);
  const Reader<kDim> read_z(base + uint32_t(across * kColumns * int(sizeof(bfloat16))),
                            Second::below);
  const auto product = [&](auto& s) {
    for (int slice = 0; slice < slices; ++slice) {
      const uint32_t at = next();
      multiply_rows<kSlice, 0, kSliceBytes>(s, read_x.moved(at), read_y.moved(at));
    }
  };

  float2 of_row[kBlocks][2];  // statistics, or the score that stands for 1 and the sum of weights
#pragma unroll
  for (int m = 0; m < kBlocks; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half)
      of_row[m][half] =
          kResult == Result::dq
              ? w.statistics.at[head * w.statistics.room +
                                min(first + row + m * 16 + half * 8 + lane / 4, int(d.queries) - 1)]
              : float2{-INFINITY, 0};

  Sums<kBlocks, kColumns> sums = {};
  for (int other = begin; other < end; other += kTile) {
    Sums<kBlocks, 16> p = {};
    product(p);
    // Scores that don't exist: of keys behind the last one, or behind their query.
    const int column = other + across * 16 + lane % 4 * 2;
    if ((!kOfQueries && other + kTile > count) ||
        (d.causal && (kOfQueries ? other < first + kTile : other + kTile > first)))
#pragma unroll
      for (int m = 0; m < kBlocks; ++m)
#pragma unroll
        for (int n = 0; n < 2; ++n)
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const int i = first + row + m * 16 + e / 2 * 8 + lane / 4, j = column + n * 8 + e % 2;
            const bool unseen = d.causal && (kOfQueries ? j < i : j > i);
            if (unseen || (!kOfQueries && j >= count)) p[m][n][e] = -INFINITY;
          }
    if constexpr (kResult == Result::o) {
      float* const maxima = reinterpret_cast<float*>(memory + kMaxima);  // [row][across]
#pragma unroll
      for (int m = 0; m < kBlocks; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          float largest = -INFINITY;
#pragma unroll
          for (int n = 0; n < 2; ++n)
            largest = fmaxf(largest, fmaxf(p[m][n][half * 2], p[m][n][half * 2 + 1]));
          largest = over_row(largest, Larger{});
          if (lane % 4 == 0) maxima[(row + m * 16 + half * 8 + lane / 4) * 4 + across] = largest;
        }
      __syncthreads();
#pragma unroll
      for (int m = 0; m < kBlocks; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int i = row + m * 16 + half * 8 + lane / 4;
          const float4 of = reinterpret_cast<const float4*>(memory + kMaxima)[i];
          const float before = of_row[m][half].x;
          const float now = fmaxf(fmaxf(of.x, of.y), fmaxf(of.z, of.w));
          float top = before, sum = of_row[m][half].y;
          if (__any_sync(~0u, (now - before) * scale > kOutgrown)) {
            top = fmaxf(before, now);
            const float shrink = exp2_fast((before - top) * scale);
            sum *= shrink;
#pragma unroll
            for (int c = 0; c < kColumns / 8; ++c)
              sums[m][c][half * 2] *= shrink, sums[m][c][half * 2 + 1] *= shrink;
          }
#pragma unroll
          for (int n = 0; n < 2; ++n)
#pragma unroll
            for (int e = half * 2; e < half * 2 + 2; ++e) {
              p[m][n][e] = exp2_fast(fmaf(p[m][n][e], scale, -top * scale));
              sum += p[m][n][e];
            }
          of_row[m][half] = {top, sum};
        }
    } else {
      Sums<kBlocks, 16> ds = {};
      if constexpr (kTwo) product(ds);
      const float4* const of_columns =
          reinterpret_cast<const float4*>(memory + kStatistics) + across * 8 + lane % 4;
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        const float4 s = kOfQueries ? of_columns[n * 4] : float4{};
#pragma unroll
        for (int m = 0; m < kBlocks; ++m)
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const float2 of = !kOfQueries  ? of_row[m][e / 2]
                              : e % 2 == 0 ? float2{s.x, s.y}
                                           : float2{s.z, s.w};
            p[m][n][e] = exp2_fast(fmaf(p[m][n][e], scale, -of.x));
            if (kTwo) p[m][n][e] *= ds[m][n][e] - of.y;
          }
      }
    }
#pragma unroll
    for (int m = 0; m < kBlocks; ++m)
#pragma unroll
      for (int n = 0; n < 2; ++n)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const uint32_t at =
              Tile<kTile>::offset(row + m * 16 + half * 8 + lane / 4, across * 2 + n);
          *reinterpret_cast<uint32_t*>(memory + kWeights + at + lane % 4 * 4) =
              pack_bf16(p[m][n][half * 2], p[m][n][half * 2 + 1]);
        }
    unrolled<kTile / kTerms>([&]<int part>() {
      const Reader<kDim> z = read_z.moved(next());  // whose barrier shows the weights, too
      unrolled<kTerms / 16>([&]<int k>() {
        Factor<kBlocks, 16> factor;
        unrolled<kBlocks>([&]<int m>() {
          read_p.template load<false, 0, m * 16, part*(kTerms / 16) + k>(factor[m][0]);
        });
        multiply_columns<k * 16 * Tile<kDim>::kPitch>(sums, factor, z);
      });
    });
  }

  float factor[kBlocks][2];
  if constexpr (kResult == Result::o) {
    float* const totals = reinterpret_cast<float*>(memory + kMaxima);
    __syncthreads();
#pragma unroll
    for (int m = 0; m < kBlocks; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float sum = over_row(of_row[m][half].y, Add{});
        if (lane % 4 == 0) totals[(row + m * 16 + half * 8 + lane / 4) * 4 + across] = sum;
      }
    __syncthreads();
#pragma unroll
    for (int m = 0; m < kBlocks; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int i = row + m * 16 + half * 8 + lane / 4;
        const float4 of = reinterpret_cast<const float4*>(memory + kMaxima)[i];
        const float total = of.x + of.y + of.z + of.w;
        factor[m][half] = 1 / total;
        if (w.lse != nullptr && across == 0 && lane % 4 == 0 && first + i < d.queries)
          w.lse[head * d.queries + first + i] = of_row[m][half].x * float(d.scale) + logf(total);
      }
  } else {
    for (auto& f : factor) f[0] = f[1] = kTwo ? float(d.scale) : 1.f;
  }
#pragma unroll
  for (int m = 0; m < kBlocks; ++m)
    write_rows(Head(w.result, head, d), first + row + m * 16, across * kColumns, int(d.head_dim),
               sums[m], factor[m][0], factor[m][1]);
}

template <Result kResult>
void run(const char* name, const Work& w) {
  const dim3 grid(unsigned(w.d.batch * w.d.heads * ceil_div(w.result.count, kTile)));
  if (w.d.head_dim <= 256)
    launch(name, attention_wide<kResult, 256>, grid, kThreads, kBytes, w);
  else
    launch(name, attention_wide<kResult, 512>, grid, kThreads, kBytes, w);
}

}  // namespace

void forward_wide(const bfloat16* q, const bfloat16* k, const bfloat16* v, bfloat16* o, float* lse,
                  const AttentionDims& d) {
  const Rows queries{q, d.queries, d.q_stride}, keys{k, d.keys, d.k_stride};
  const Rows values{v, d.keys, d.v_stride}, out{o, d.queries, d.o_stride};
  run<Result::o>("attention_forward", {queries, keys, {}, {}, values, out, {}, lse, d});
}

void backward_wide(const bfloat16* q, const bfloat16* k, const bfloat16* v, const bfloat16* dout,
                   const Statistics& s, bfloat16* dq, bfloat16* dk, bfloat16* dv,
                   const AttentionDims& d) {
  const Rows queries{q, d.queries, d.q_stride}, keys{k, d.keys, d.k_stride};
  const Rows values{v, d.keys, d.v_stride}, grads{dout, d.queries, d.o_stride};
  const auto like = [](Rows rows, bfloat16* at) {
    rows.at = at;
    return rows;
  };
  run<Result::dq>("attention_backward_q",
                  {queries, keys, grads, values, keys, like(queries, dq), s, nullptr, d});
  run<Result::dv>("attention_backward_v",
                  {keys, queries, {}, {}, grads, like(values, dv), s, nullptr, d});
  run<Result::dk>("attention_backward_k",
                  {keys, queries, values, grads, queries, like(keys, dk), s, nullptr, d});
}

}  // namespace noisette::cuda::fused
