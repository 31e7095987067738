// What the fused attention kernels are made of: tiles of a head's rows in shared memory, and the
// products of 16-row blocks that a warp holds in registers. One product's results, rounded to bf16,
// are the left factor of the next as they lie, so that scores never leave the registers.
#pragma once
#include <cmath>
#include <type_traits>
#include <utility>

#include "kernels/attention.h"
#include "kernels/cuda/gemm.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/reduce.cuh"

namespace noisette::cuda::fused {

/// f<0>() .. f<kCount - 1>(), in order: offsets that depend on the number cost no instruction.
template <int kCount, class F>
__device__ inline void unrolled(const F& f) {
  [&f]<int... I>(std::integer_sequence<int, I...>) { (f.template operator()<I>(), ...); }
  (std::make_integer_sequence<int, kCount>{});
}

/// q, k, v, o or a gradient: `count` rows of every batch element, of all heads.
struct Rows {
  const bfloat16* at;
  int64_t count, stride;
};

/// Its columns of one head.
struct Head {
  const bfloat16* at;
  int64_t stride;
  int count;
  __device__ Head(const Rows& x, int64_t head, const AttentionDims& d)
      : at(x.at + head / d.heads * x.count * x.stride + head % d.heads * d.head_dim),
        stride(x.stride),
        count(int(x.count)) {}
};

/// Rows of kCols elements in shared memory. Chunks of sixteen bytes are exchanged within groups, so
/// that those of one column in eight neighbouring rows lie in different banks.
template <int kCols>
struct Tile {
  static_assert(kCols % 16 == 0);
  static constexpr int kChunks = kCols / 8;
  static constexpr int kGroup = kChunks % 8 == 0 ? 8 : kChunks % 4 == 0 ? 4 : 2;
  static constexpr int kPitch = kCols * int(sizeof(bfloat16));

  __device__ static uint32_t offset(int row, int chunk) {
    return uint32_t(row * kPitch + (chunk ^ (row / (8 / kGroup) % kGroup)) * 16);
  }
};

/// Copies tiles of kRows rows, one below the other. Rows and columns that the head doesn't have
/// become zero. A row is copied by kLanes neighbouring threads.
template <int kRows, int kCols, int kThreads, int kLanes = Tile<kCols>::kGroup>
class RowCopies {
  using T = Tile<kCols>;
  static constexpr int kAtOnce = kThreads / kLanes;
  static constexpr int kPasses = (kRows + kAtOnce - 1) / kAtOnce, kEach = T::kChunks / kLanes;
  static_assert(kLanes % T::kGroup == 0 && T::kChunks % kLanes == 0 && kAtOnce % 8 == 0);
  static_assert(kRows < kAtOnce || kRows % kAtOnce == 0);

 public:
  /// From row `first` and column `column` on.
  __device__ RowCopies(const Head& head, int first, int column, int head_dim) {
    const int row = int(threadIdx.x) / kLanes, chunk = int(threadIdx.x) % kLanes;
    from_ = head.at + (first + row) * head.stride + column + chunk * 8;
    pass_ = kAtOnce * head.stride;
    left_ = row < kRows ? head.count - first - row : 0;
    to_ = T::offset(row, chunk);
#pragma unroll
    for (int i = 0; i < kEach; ++i)
      bytes_[i] = column + (chunk + i * kLanes) * 8 < head_dim ? 16 : 0;
  }
  /// The next tile, to an address in shared memory. What is read ahead of the last row is nothing.
  template <int kTile = 0>
  __device__ void fetch(uint32_t memory) {
    if (kRows >= kAtOnce || int(threadIdx.x) / kLanes < kRows) {
      unrolled<kPasses>([&]<int pass>() {
        const bool inside = pass * kAtOnce < left_;
        unrolled<kEach>([&]<int i>() {
          constexpr int kTo = kTile + pass * kAtOnce * T::kPitch + i * kLanes * 16;
          copy16_async<kTo, i * kLanes * 16>(memory + to_, from_, inside ? bytes_[i] : 0);
        });
        from_ += kRows < kAtOnce ? kRows * (pass_ / kAtOnce) : pass_;
      });
      left_ -= kRows;
    }
  }

 private:
  const bfloat16* from_;
  int64_t pass_;  // elements from a pass to the next
  int left_;      // rows from this thread's first one on
  uint32_t to_;
  int bytes_[kEach];
};

/// Where a lane reads the matrices of tiles by ldmatrix: those of 16 rows and 16 columns at a time.
/// The second of its four matrices lies below the first (left factors, and right ones that are
/// handed out transposed), or to the right of it (right factors whose terms are neighbours).
enum class Second { below, right };
template <int kCols>
class Reader {
  using T = Tile<kCols>;
  static constexpr int kPairs = T::kGroup / 2;  // of chunks, whose places differ

 public:
  __device__ Reader(uint32_t tile, Second second) {
    const int matrix = int(threadIdx.x) % 32 / 8, other = matrix % 2, last = matrix / 2;
    const bool below = second == Second::below;
    const int row = int(threadIdx.x) % 8 + (below ? other : last) * 8;
#pragma unroll
    for (int i = 0; i < kPairs; ++i) at_[i] = tile + T::offset(row, i * 2 + (below ? last : other));
  }
  /// Of the tile that lies kTile bytes further: rows kRow and on, columns 16 * kColumn and on.
  template <bool kTransposed, int kTile, int kRow, int kColumn>
  __device__ void load(uint32_t (&r)[4]) const {
    constexpr int kOffset = kTile + kRow * T::kPitch + kColumn / kPairs * T::kGroup * 16;
    load_matrices<kTransposed, kOffset>(r, at_[kColumn % kPairs]);
  }
  __device__ Reader moved(uint32_t by) const {
    Reader r = *this;
#pragma unroll
    for (int i = 0; i < kPairs; ++i) r.at_[i] += by;
    return r;
  }

 private:
  uint32_t at_[kPairs];
};

/// kBlocks times 16 rows by kCols columns of sums, as mma hands them out.
template <int kBlocks, int kCols>
using Sums = float[kBlocks][kCols / 8][4];
/// The same, rounded, as mma takes them.
template <int kBlocks, int kCols>
using Factor = uint32_t[kBlocks][kCols / 16][4];

/// Sets what queries `row` and on, a warp's, do not see of the keys `key` and on.
template <int kBlocks, int kKeys>
__device__ inline void hide_unseen(Sums<kBlocks, kKeys>& s, float value, int row, int key,
                                   int count, bool causal) {
  if (key + kKeys <= (causal ? min(count, row + 1) : count)) return;
  const int lane = int(threadIdx.x) % 32;
#pragma unroll
  for (int m = 0; m < kBlocks; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int i = row + m * 16 + half * 8 + lane / 4;
      const int seen = (causal ? min(count, i + 1) : count) - key - lane % 4 * 2;
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n) {
        if (n * 8 >= seen) s[m][n][half * 2] = value;
        if (n * 8 + 1 >= seen) s[m][n][half * 2 + 1] = value;
      }
    }
}

/// s += x y^T over kTerms columns. The tile of y lies kY bytes behind that of its reader.
template <int kTerms, int kX, int kY, int kBlocks, int kN8, class X, class Y>
__device__ inline void multiply_rows(float (&s)[kBlocks][kN8][4], const X& x, const Y& y) {
  unrolled<kTerms / 16>([&]<int k>() {
    uint32_t a[kBlocks][4];
    unrolled<kBlocks>([&]<int m>() { x.template load<false, kX, m * 16, k>(a[m]); });
    unrolled<kN8 / 2>([&]<int n>() {
      uint32_t b[4];
      y.template load<false, kY, n * 16, k>(b);
#pragma unroll
      for (int m = 0; m < kBlocks; ++m) {
        multiply_add(s[m][2 * n], a[m], b[0], b[1]);
        multiply_add(s[m][2 * n + 1], a[m], b[2], b[3]);
      }
    });
  });
}

/// sums += p z, where z has a row for each column of p.
template <int kZ, int kBlocks, int kK16, int kN8, class Z>
__device__ inline void multiply_columns(float (&sums)[kBlocks][kN8][4],
                                        const uint32_t (&p)[kBlocks][kK16][4], const Z& z) {
  unrolled<kK16>([&]<int k>() {
    unrolled<kN8 / 2>([&]<int n>() {
      uint32_t b[4];
      z.template load<true, kZ, k * 16, n>(b);
#pragma unroll
      for (int m = 0; m < kBlocks; ++m) {
        multiply_add(sums[m][2 * n], p[m][k], b[0], b[1]);
        multiply_add(sums[m][2 * n + 1], p[m][k], b[2], b[3]);
      }
    });
  });
}

template <int kBlocks, int kN8>
__device__ inline void round_to_factor(const float (&s)[kBlocks][kN8][4],
                                       uint32_t (&p)[kBlocks][kN8 / 2][4]) {
#pragma unroll
  for (int m = 0; m < kBlocks; ++m)
#pragma unroll
    for (int n = 0; n < kN8; ++n) {
      p[m][n / 2][n % 2 * 2] = pack_bf16(s[m][n][0], s[m][n][1]);
      p[m][n / 2][n % 2 * 2 + 1] = pack_bf16(s[m][n][2], s[m][n][3]);
    }
}

/// Writes 16 rows of a head from row `row` on: the sums times the factors of their rows, the
/// lane's upper and lower one. `column`: of the first sum.
template <int kN8>
__device__ inline void write_rows(const Head& to, int row, int column, int head_dim,
                                  const float (&sums)[kN8][4], float upper, float lower) {
  const int lane = int(threadIdx.x) % 32;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int i = row + half * 8 + lane / 4;
    const float factor = half == 0 ? upper : lower;
    bfloat16* const out = const_cast<bfloat16*>(to.at) + i * to.stride;
#pragma unroll
    for (int n = 0; n < kN8; n += 2) {
      const float4 four = gemm::neighbours(sums[n], sums[n + 1], half);
      const int c = column + n * 8 + lane % 4 * 4;
      if (i < to.count && c < head_dim)
        *reinterpret_cast<uint2*>(out + c) = {pack_bf16(four.x * factor, four.y * factor),
                                              pack_bf16(four.z * factor, four.w * factor)};
    }
  }
}

/// A softmax goes on with the score that stood for 1 until another one has outgrown it so many
/// times (a power of two). f32 has room for such weights, and their rounding is relative; what was
/// summed up before then rarely has to be made smaller.
inline constexpr float kOutgrown = 8;

/// 2^x, within two units of the last place.
__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
  return y;
}

/// Combines the four lanes that hold one row's columns.
template <class Combine>
__device__ inline float over_row(float x, const Combine& combine) {
  x = combine(x, __shfl_xor_sync(~0u, x, 1));
  return combine(x, __shfl_xor_sync(~0u, x, 2));
}

/// Calls f with the least width of those that kernels are compiled for, as an integral constant.
template <class F>
void with_width(int64_t head_dim, const F& f) {
  if (head_dim <= 32) return f(std::integral_constant<int, 32>{});
  if (head_dim <= 48) return f(std::integral_constant<int, 48>{});
  if (head_dim <= 64) return f(std::integral_constant<int, 64>{});
  if (head_dim <= 80) return f(std::integral_constant<int, 80>{});
  if (head_dim <= 128) return f(std::integral_constant<int, 128>{});
  return f(std::integral_constant<int, 160>{});
}

inline constexpr float kLog2E = 1.44269504088896340736f;

}  // namespace noisette::cuda::fused
