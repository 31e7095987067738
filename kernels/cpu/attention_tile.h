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

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "kernels/bfloat16.h"

namespace noisette::cpu::tile {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16, kRows = 8;  // 8 x 3 accumulators of the 32 registers
#elif defined(__AVX__)
inline constexpr int kLanes = 8, kRows = 4;  // 4 x 3 of 16
#else
inline constexpr int kLanes = 4, kRows = 4;
#endif
inline constexpr int kMaxVectors = 3;

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t IntVec __attribute__((vector_size(kLanes * 4)));
typedef uint32_t WordVec __attribute__((vector_size(kLanes * 4)));

template <class V, class E>
inline V load(const E* p) {
  static_assert(sizeof(E) == 4);
  V v;
  std::memcpy(&v, p, sizeof(V));
  return v;
}
template <class V, class E>
inline void store(E* p, V v) {
  static_assert(sizeof(E) == 4);
  std::memcpy(p, &v, sizeof(V));
}
inline Vec splat(float x) { return x - Vec{}; }

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
/// Row stride of a tile of `columns` words: an odd number of cache lines, so that columns do not
/// share a set.
constexpr int64_t padded_stride(int64_t columns) { return (round_up(columns, 16) | 16); }

/// 2^x for x <= 64, within 2^-22 of the value; 0 below -150 and for -inf, NaN for NaN.
inline Vec exp2(Vec x) {
  // Minimax fit of 2^f on [-1/2, 1/2], relative error 7.5e-8.
  const auto poly = [](Vec f) {
    Vec p = splat(1.327646863e-3f);
    p = p * f + 9.675541354e-3f;
    p = p * f + 5.550713289e-2f;
    p = p * f + 2.402211973e-1f;
    p = p * f + 6.931469670e-1f;
    return p * f + 1.000000072f;
  };
#if defined(__AVX512F__)
  // The forms with a mask, because g++ 12 warns about its own header in the forms without.
  constexpr __mmask16 kAll = 0xffff;
  const Vec bounded = _mm512_maskz_max_ps(kAll, splat(-200.0f), x);  // keeps the second when NaN
  const Vec n = _mm512_maskz_roundscale_ps(kAll, bounded, 0);
  return _mm512_maskz_scalef_ps(kAll, poly(bounded - n), n);
#else
  x = x < -126.5f ? splat(-127.0f) : x;
  const Vec shifted = x + 12582912.0f;  // 1.5 * 2^23: rounds to an integer, kept in the low bits
  const Vec n = shifted - 12582912.0f;
  const IntVec exponent = (IntVec(shifted) - 0x4B400000 + 127) << 23;  // -127 becomes 0.0
  return poly(x - n) * Vec(exponent);
#endif
}

/// Combines the lanes pairwise: half of them with the other half, and so on.
template <class F>
inline float reduce(Vec v, F combine) {
  float part[kLanes];
  store(part, v);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) part[i] = combine(part[i], part[i + half]);
  return part[0];
}
inline float reduce_max(Vec v) {
  return reduce(v, [](float a, float b) { return a > b ? a : b; });
}
inline float reduce_sum(Vec v) {
  return reduce(v, [](float a, float b) { return a + b; });
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
  static WordVec to_bf16(Vec x) {
    typedef uint16_t Halves __attribute__((vector_size(kLanes * 2)));
    return __builtin_convertvector(Halves(_mm512_cvtneps_pbh(__m512(x))), WordVec);
  }
  static void store_along(Word* row, int64_t column, Vec x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + column / 2),
                        __m256i(_mm512_cvtneps_pbh(__m512(x))));
  }
  static void store_across(Word* row, int64_t column, const Vec (&x)[kPack]) {
    store(row + column, to_bf16(x[0]) | to_bf16(x[1]) << 16);
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
