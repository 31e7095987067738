// Vectors of f32, by the vector extensions of g++ and clang, and the loads and stores that turn f32
// and bf16 memory into them. A double is a vector of one, so that the same loop serves as the plain
// f64 reference.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__AVX__)
#include <immintrin.h>
#endif

#include "kernels/bfloat16.h"

namespace noisette::cpu::lanes {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
#elif defined(__AVX__)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t IntVec __attribute__((vector_size(kLanes * 4)));
typedef uint32_t WordVec __attribute__((vector_size(kLanes * 4)));
typedef uint16_t HalfVec __attribute__((vector_size(kLanes * 2)));

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

/// The larger, the smaller of two numbers; b where one is NaN.
inline Vec larger(Vec a, Vec b) {
#if defined(__AVX512F__)
  // The forms with a mask, because g++ 12 warns about its own header in the forms without.
  return _mm512_maskz_max_ps(0xffff, a, b);
#elif defined(__AVX__)
  return _mm256_max_ps(a, b);
#else
  return a > b ? a : b;
#endif
}
inline Vec smaller(Vec a, Vec b) {
#if defined(__AVX512F__)
  return _mm512_maskz_min_ps(0xffff, a, b);
#elif defined(__AVX__)
  return _mm256_min_ps(a, b);
#else
  return a < b ? a : b;
#endif
}

/// Rounds to nearest, ties to even. The instruction takes denormals as zero and bfloat16(float)
/// does not; they agree on everything else.
inline HalfVec to_bf16(Vec x) {
#if defined(__AVX512BF16__)
  return HalfVec(_mm512_cvtneps_pbh(__m512(x)));
#else
  const WordVec u = WordVec(x), upper = u >> 16;
  const WordVec rounded = (u + 0x7fffu + (upper & 1u)) >> 16;
  const IntVec nan = x != x;
  return __builtin_convertvector((WordVec(nan) & (upper | 0x40u)) | (~WordVec(nan) & rounded),
                                 HalfVec);
#endif
}

/// How many elements of T one vector holds.
template <class T>
inline constexpr int64_t kWidth = std::is_same_v<T, double> ? 1 : kLanes;

/// Numbers of bf16 in f32.
inline Vec widen(HalfVec v) { return Vec(__builtin_convertvector(v, WordVec) << 16); }

inline Vec read(const float* p) { return load<Vec>(p); }
inline double read(const double* p) { return *p; }
inline Vec read(const bfloat16* p) {
  HalfVec v;
  std::memcpy(&v, p, sizeof(v));
  return widen(v);
}
inline void write(float* p, Vec v) { store(p, v); }
inline void write(double* p, double v) { *p = v; }
inline void write(bfloat16* p, Vec v) {
  const HalfVec bits = to_bf16(v);
  std::memcpy(static_cast<void*>(p), &bits, sizeof(bits));
}

/// The first n elements; the others are read as zero and not written.
template <class T>
inline auto read(const T* p, int64_t n) {
  if (n >= kWidth<T>) return read(p);
#if defined(__AVX512BW__)
  const uint32_t mask = (1u << n) - 1;
  if constexpr (std::is_same_v<T, float>)
    return Vec(_mm512_maskz_loadu_ps(__mmask16(mask), p));
  else if constexpr (std::is_same_v<T, bfloat16>)
    return widen(HalfVec(_mm256_maskz_loadu_epi16(__mmask16(mask), p)));
#endif
  T part[kWidth<T>] = {};
  std::copy_n(p, n, part);
  return read(part);
}
template <class T, class V>
inline void write(T* p, V v, int64_t n) {
  if (n >= kWidth<T>) return write(p, v);
#if defined(__AVX512BW__)
  const uint32_t mask = (1u << n) - 1;
  if constexpr (std::is_same_v<T, float>)
    return _mm512_mask_storeu_ps(p, __mmask16(mask), __m512(v));
  else if constexpr (std::is_same_v<T, bfloat16>)
    return _mm256_mask_storeu_epi16(p, __mmask16(mask), __m256i(to_bf16(v)));
#endif
  T part[kWidth<T>];
  write(part, v);
  std::copy_n(part, n, p);
}

/// Whether a vector is a whole line of the cache, which can be written past it.
inline constexpr bool kLineWrites = kLanes * sizeof(float) == 64;

/// Writes a line of memory, p a multiple of 64 bytes, past the caches: for results larger than
/// these, whose old lines need not be read first. end_line_writes() comes before another thread
/// reads them.
inline void write_line(float* p, Vec v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(p, __m512(v));
#else
  write(p, v);
#endif
}
inline void end_line_writes() {
#if defined(__AVX512F__)
  _mm_sfence();
#endif
}

namespace detail {
/// The lanes of a, those whose number has the bit Step taken from the lane Step below it in b.
template <int Step, int... L>
inline Vec lower_halves(Vec a, Vec b, std::integer_sequence<int, L...>) {
  return __builtin_shufflevector(a, b, ((L & Step) == 0 ? L : kLanes + L - Step)...);
}
/// The lanes of b, those whose number lacks the bit Step taken from the lane Step above it in a.
template <int Step, int... L>
inline Vec upper_halves(Vec a, Vec b, std::integer_sequence<int, L...>) {
  return __builtin_shufflevector(a, b, ((L & Step) == 0 ? L + Step : kLanes + L)...);
}
}  // namespace detail

/// m[i][j] becomes m[j][i].
template <int Step = 1>
inline void transpose(Vec (&m)[kLanes]) {
  if constexpr (Step < kLanes) {
    constexpr auto kAll = std::make_integer_sequence<int, kLanes>{};
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      if ((i & Step) != 0) continue;
      const Vec a = m[i], b = m[i + Step];
      m[i] = detail::lower_halves<Step>(a, b, kAll);
      m[i + Step] = detail::upper_halves<Step>(a, b, kAll);
    }
    transpose<2 * Step>(m);
  }
}

/// 2^x for x <= 127, within 2^-22 of the value; 0 below -150 and for -inf, NaN for NaN.
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
  constexpr __mmask16 kAll = 0xffff;
  const Vec bounded = larger(splat(-200.0f), x);
  const Vec n = _mm512_maskz_roundscale_ps(kAll, bounded, 0);
  return _mm512_maskz_scalef_ps(kAll, poly(bounded - n), n);
#else
  x = larger(splat(-127.0f), x);
  const Vec shifted = x + 12582912.0f;  // 1.5 * 2^23: rounds to an integer, kept in the low bits
  const Vec n = shifted - 12582912.0f;
  const IntVec exponent = (IntVec(shifted) - 0x4B400000 + 127) << 23;  // -127 becomes 0.0
  return poly(x - n) * Vec(exponent);
#endif
}

/// 1 / (1 + e^-x), as accurate as values of T can show. For f32 the error is what rounding x would
/// make: 2^-23 (2 + |x|) of the value; below -87 it stays at 2^-126. For bf16, whose own rounding
/// is 2^-9, it is 2^-14.
template <class T>
inline Vec sigmoid(Vec x) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, bfloat16>) {
    constexpr __mmask16 kAll = 0xffff;
    const Vec t = x * -1.44269504f;
    const Vec n = _mm512_maskz_roundscale_ps(kAll, t, 0);
    const Vec f = t - n;
    Vec p = splat(9.656710e-3f);  // 2^f on [-1/2, 1/2], relative error 7e-6
    p = p * f + 5.5838283e-2f;
    p = p * f + 2.40225301e-1f;
    p = p * f + 6.93136734e-1f;
    p = p * f + 1.0f;
    return _mm512_maskz_rcp14_ps(kAll, Vec(_mm512_maskz_scalef_ps(kAll, p, n)) + 1.0f);
  }
#endif
  const Vec t = x * -1.44269504f;
  return 1.0f / (1.0f + exp2(smaller(splat(126.0f), t)));
}
template <class T>
inline double sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

/// 1 / (1 + e^-x) of a value of T for sums that stay in f32 (gradients of parameters): within 2^-19
/// of the value for |x| <= 16; below -69 it stays at 2^-100.
template <class T>
inline Vec sigmoid_for_sums(Vec x) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, bfloat16>) {
    constexpr __mmask16 kAll = 0xffff;
    const Vec t = smaller(splat(100.0f), x * -1.44269504f);
    const Vec d = exp2(t) + 1.0f;
    const Vec r = _mm512_maskz_rcp14_ps(kAll, d);
    return r * (2.0f - d * r);  // one step of Newton's method
  }
#endif
  return sigmoid<T>(x);
}
template <class T>
inline double sigmoid_for_sums(double x) {
  return sigmoid<T>(x);
}

}  // namespace noisette::cpu::lanes
