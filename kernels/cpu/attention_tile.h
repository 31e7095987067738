// What the fused attention kernels are built from: vectors, packed tiles, a register-tiled matrix
// product.
//
// A product C += A * B runs on 32-bit words. A word is one f32, or with bf16 dot-product
// instructions a pair of bf16 that are neighbours along the summed axis; only Dot::fma and the
// packing know which. A is read one word at a time (broadcast) through two strides, so a tile
// serves transposed as well. B is stored in panels of kLanes columns, [columns /
// kLanes][depth][kLanes], so that every stream is sequential.
#pragma once
#include <omp.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/bfloat16.h"
#include "kernels/cpu/lanes.h"

namespace noisette::cpu::tile {

using lanes::exp2;
using lanes::IntVec;
using lanes::kLanes;
using lanes::load;
using lanes::splat;
using lanes::store;
using lanes::Vec;
using lanes::WordVec;

#if defined(__AVX512F__)
inline constexpr int kRows = 8;  // 8 x 3 accumulators of the 32 registers
#else
inline constexpr int kRows = 4;  // 4 x 3 of 16
#endif
inline constexpr int kMaxVectors = 3;

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
/// Row stride of a tile of `columns` words: an odd number of cache lines, so that columns do not
/// share a set.
constexpr int64_t padded_stride(int64_t columns) { return (round_up(columns, 16) | 16); }

/// The lanes of `a`, and past its end those of `b`, by number. Clang has no __builtin_shuffle; it
/// makes the same instruction of the loop.
template <class V, class Lanes>
inline V shuffled(V a, V b, Lanes lanes) {
#if defined(__clang__)
  constexpr int kCount = int(sizeof(V) / sizeof(a[0]));
  V out;
  for (int i = 0; i < kCount; ++i) out[i] = lanes[i] < kCount ? a[lanes[i]] : b[lanes[i] - kCount];
  return out;
#else
  return __builtin_shuffle(a, b, lanes);
#endif
}
template <class V, class Lanes>
inline V shuffled(V a, Lanes lanes) {
  return shuffled(a, a, lanes);
}

/// Combines the lanes pairwise: half of them with the other half, and so on.
template <class F>
inline float reduce(Vec v, F combine) {
  for (int half = kLanes / 2; half > 0; half /= 2) {
    IntVec other;
    for (int i = 0; i < kLanes; ++i) other[i] = (i + half) % kLanes;
    v = combine(v, shuffled(v, other));
  }
  return v[0];
}
inline float reduce_max(Vec v) {
  return reduce(v, [](Vec a, Vec b) { return a > b ? a : b; });
}
inline float reduce_sum(Vec v) {
  return reduce(v, [](Vec a, Vec b) { return a + b; });
}
/// v where the lane number is below `count`, `other` elsewhere.
inline Vec keep_first(Vec v, int64_t count, float other) {
  IntVec lane;
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  return lane < int32_t(std::clamp<int64_t>(count, 0, kLanes)) ? v : splat(other);
}

/// Words are f32 values. A Dot also writes f32 vectors into a row of words: store_along when the
/// summed axis runs along the row (`column` counts values), store_across when it runs over the
/// kPack rows that x holds.
struct F32Dot {
  using Word = float;
  static constexpr int kPack = 1;
  static Vec fma(Vec acc, Word a, const Word* b) { return acc + a * load<Vec>(b); }
  static void store_along(Word* row, int64_t column, Vec x) { store(row + column, x); }
  static void store_across(Word* row, int64_t column, const Vec (&x)[kPack]) {
    store(row + column, x[0]);
  }
};

#if defined(__AVX512BF16__)
/// Words are pairs of bf16; twice the rate of F32Dot where it was measured.
struct Bf16Dot {
  using Word = uint32_t;
  static constexpr int kPack = 2;
  static Vec fma(Vec acc, Word a, const Word* b) {
    return Vec(_mm512_dpbf16_ps(__m512(acc), __m512bh(_mm512_set1_epi32(int(a))),
                                __m512bh(_mm512_loadu_si512(b))));
  }
  static WordVec to_bf16(Vec x) { return __builtin_convertvector(lanes::to_bf16(x), WordVec); }
  static void store_along(Word* row, int64_t column, Vec x) {
    const lanes::HalfVec bits = lanes::to_bf16(x);
    std::memcpy(row + column / 2, &bits, sizeof(bits));
  }
  static void store_across(Word* row, int64_t column, const Vec (&x)[kPack]) {
    typedef uint16_t Halves __attribute__((vector_size(kLanes * 4)));
    Halves pairs;  // x[0] and x[1] in turn, out of x[0] followed by x[1]
    for (int i = 0; i < 2 * kLanes; ++i) pairs[i] = uint16_t(i / 2 + i % 2 * kLanes);
    const Halves bits = Halves(_mm512_cvtne2ps_pbh(__m512(x[1]), __m512(x[0])));
    store(row + column, WordVec(shuffled(bits, pairs)));
  }
};
#endif

/// What T is multiplied with on this machine.
#if defined(__AVX512BF16__)
template <class T>
using DotOf = std::conditional_t<std::is_same_v<T, bfloat16>, Bf16Dot, F32Dot>;
#else
template <class T>
using DotOf = F32Dot;
#endif

/// An m x k operand that is read word by word; strides in words.
template <class Word>
struct Left {
  const Word* data;
  int64_t row_stride, depth_stride;
};

/// A k x n operand in panels of kLanes columns; `panel` is the number of words of a panel.
template <class Word>
struct Right {
  const Word* data;
  int64_t panel;
};

template <class Dot, int NV>
inline void micro_kernel(Left<typename Dot::Word> a, Right<typename Dot::Word> b, int64_t depth,
                         float* c, int64_t c_stride, bool accumulate) {
  Vec acc[kRows][NV];
  for (int r = 0; r < kRows; ++r)
    for (int n = 0; n < NV; ++n)
      acc[r][n] = accumulate ? load<Vec>(c + r * c_stride + n * kLanes) : Vec{};
  for (int64_t k = 0; k < depth; ++k) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const typename Dot::Word word = a.data[r * a.row_stride];
#pragma GCC unroll 3
      for (int n = 0; n < NV; ++n)
        acc[r][n] = Dot::fma(acc[r][n], word, b.data + n * b.panel + k * kLanes);
    }
    a.data += a.depth_stride;
  }
  for (int r = 0; r < kRows; ++r)
    for (int n = 0; n < NV; ++n) store(c + r * c_stride + n * kLanes, acc[r][n]);
}

/// C[rows, vectors * kLanes] = (accumulate ? C : 0) + A * B. `rows` is a multiple of kRows, `depth`
/// in words.
template <class Dot>
void product(Left<typename Dot::Word> a, Right<typename Dot::Word> b, int64_t rows, int64_t vectors,
             int64_t depth, float* c, int64_t c_stride, bool accumulate) {
  for (int64_t n = 0; n < vectors;) {
    const int64_t left = vectors - n;
    const int64_t width =
        left == 4 ? 2 : std::min<int64_t>(left, kMaxVectors);  // 4 = 2 + 2, not 3 + 1
    const Right<typename Dot::Word> strip{b.data + n * b.panel, b.panel};
    for (int64_t r = 0; r < rows; r += kRows) {
      const Left<typename Dot::Word> block{a.data + r * a.row_stride, a.row_stride, a.depth_stride};
      float* out = c + r * c_stride + n * kLanes;
      if (width == 3) micro_kernel<Dot, 3>(block, strip, depth, out, c_stride, accumulate);
      if (width == 2) micro_kernel<Dot, 2>(block, strip, depth, out, c_stride, accumulate);
      if (width == 1) micro_kernel<Dot, 1>(block, strip, depth, out, c_stride, accumulate);
    }
    n += width;
  }
}

/// Threads for `units` pieces of work with `products` multiplications in all: one when waking
/// others would take longer than the work.
inline int threads_for(int64_t units, int64_t products) {
  constexpr int64_t kSmall = int64_t(1) << 20;  // about 20 us of one core
  return products < kSmall ? 1 : int(std::min<int64_t>(units, omp_get_max_threads()));
}

/// Cuts memory into pieces of `count` elements, each starting on a cache line. With a null base it
/// only counts.
class Cutter {
 public:
  explicit Cutter(std::byte* base) : base_(base) {}
  template <class E>
  E* take(int64_t count) {
    E* piece = base_ ? reinterpret_cast<E*>(base_ + bytes_) : nullptr;
    bytes_ += round_up(count * int64_t(sizeof(E)), 64);
    return piece;
  }
  int64_t bytes() const { return bytes_; }

 private:
  std::byte* base_;
  int64_t bytes_ = 0;
};

}  // namespace noisette::cpu::tile
