// Elementary functions without branches or tables, so that the compiler turns a loop over them into
// vector code. f32: within 2 ulp of the exact value (tests/kernels/vector_math_test.cpp measures
// it); f64: the C library. The polynomials are minimax fits made for this file; each comment names
// what was fitted and where.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/bfloat16.h"
#include "kernels/device.h"

namespace noisette::cpu {

/// to = T(value). The compiler vectorises a store to the member; it does not vectorise a copy of
/// the struct.
template <class T, class V>
inline void store(T& to, V value) {
  to = T(value);
}
template <class V>
inline void store(bfloat16& to, V value) {
  to.bits = bfloat16(static_cast<float>(value)).bits;
}

namespace detail {

/// x rounded to the nearest integer, as a float and as an int, for |x| < 2^21: adding 1.5 * 2^23
/// rounds.
struct Rounded {
  float value;
  int32_t integer;
};
NOISETTE_BOTH inline Rounded round_to_int(float x) {
  constexpr float kMagic = 12582912.0f;
  const float shifted = x + kMagic;
  return {shifted - kMagic, std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kMagic)};
}

/// 2^n for n in [-126, 127].
inline float pow2(int32_t n) { return std::bit_cast<float>(static_cast<uint32_t>(n + 127) << 23); }

/// exp(r) for |r| <= ln(2) / 2: 1 + r + r^2 * q(r), q fitted to (exp(r) - 1 - r) / r^2.
inline float exp_reduced(float r) {
  float q = 0.001392625083f;
  q = q * r + 0.008363232884f;
  q = q * r + 0.04166655421f;
  q = q * r + 0.1666657667f;
  q = q * r + 0.5f;
  return (q * r * r + r) + 1.0f;
}

/// x - n * ln(2), with ln(2) in two parts so that the product is exact in the first.
inline float subtract_ln2(float x, float n) { return (x - n * 0.693359375f) + n * 2.12194440e-4f; }

/// exp(x) for x in [-87, 88]; outside, the value at the nearer end. NaN stays NaN.
inline float exp_clamped(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  const Rounded n = round_to_int(x * 1.44269504f);
  return exp_reduced(subtract_ln2(x, n.value)) * pow2(n.integer);
}

}  // namespace detail

/// e^x over the whole range: 0 below -104, infinity above 88.8, denormals between.
inline float vexp(float x) {
  x = x < -105.0f ? -105.0f : x;
  x = x > 89.0f ? 89.0f : x;
  const detail::Rounded n = detail::round_to_int(x * 1.44269504f);
  const int32_t half =
      n.integer >> 1;  // two factors: 2^n itself may be below or above what a float holds
  return detail::exp_reduced(detail::subtract_ln2(x, n.value)) * detail::pow2(half) *
         detail::pow2(n.integer - half);
}
inline double vexp(double x) { return std::exp(x); }

/// ln(x) for normal x > 0.
NOISETTE_BOTH inline float vlog(float x) {
  constexpr uint32_t kSqrtHalf = 0x3f3504f3u;  // the mantissa is taken in [sqrt(1/2), sqrt(2))
  const uint32_t bits = std::bit_cast<uint32_t>(x) - kSqrtHalf;
  const float e = float(int32_t(bits) >> 23);
  const float f = std::bit_cast<float>((bits & 0x007fffffu) + kSqrtHalf) - 1.0f;
  float p = -0.07902743772f;  // (ln(1 + f) - f + f^2 / 2) / f^3
  p = p * f + 0.1262231985f;
  p = p * f - 0.1299818376f;
  p = p * f + 0.1421449592f;
  p = p * f - 0.1664128146f;
  p = p * f + 0.2000104509f;
  p = p * f - 0.2500030642f;
  p = p * f + 0.3333333073f;
  const float f2 = f * f;
  return (f + (p * f * f2 - 0.5f * f2 - e * 2.12194440e-4f)) + e * 0.693359375f;
}
inline double vlog(double x) { return std::log(x); }

/// 1 / (1 + e^-x).
inline float vsigmoid(float x) { return 1.0f / (1.0f + detail::exp_clamped(-x)); }
inline double vsigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

inline float vtanh(float x) {
  const float a = std::fabs(x);
  const float t = x * x;
  float p = -0.006096714166f;  // (tanh(x) / x - 1) / x^2 for |x| < 0.625, in x^2
  p = p * t + 0.020997179f;
  p = p * t - 0.05385090958f;
  p = p * t + 0.1333276974f;
  p = p * t - 0.3333332894f;
  const float small = p * t * x + x;
  const float large = std::copysign(1.0f - 2.0f / (detail::exp_clamped(2.0f * a) + 1.0f), x);
  return a < 0.625f ? small : large;
}
inline double vtanh(double x) { return std::tanh(x); }

namespace detail {

/// erfc(z) for z >= 0: t * p(t) * exp(-z^2), t = 1 / (1 + 0.4 z), p fitted to erfc(z) exp(z^2) / t.
inline float erfc_positive(float z, float z_squared) {
  const float t = 1.0f / (1.0f + 0.4f * z);
  float p = 0.03871818425f;
  p = p * t - 0.1284883733f;
  p = p * t + 0.06065315736f;
  p = p * t + 0.1132798678f;
  p = p * t + 0.06328990484f;
  p = p * t + 0.199946715f;
  p = p * t + 0.2003337046f;
  p = p * t + 0.2266433795f;
  p = p * t + 0.2256234985f;
  return p * t * exp_clamped(-z_squared);
}

}  // namespace detail

inline float verf(float x) {
  const float a = std::fabs(x);
  const float t = x * x;
  float p = 7.875875063e-5f;  // erf(x) / x for |x| < 1, in x^2
  p = p * t - 0.0008016864287f;
  p = p * t + 0.005189087423f;
  p = p * t - 0.02685421201f;
  p = p * t + 0.1128359472f;
  p = p * t - 0.3761262667f;
  const float large = std::copysign(1.0f - detail::erfc_positive(a, t), x);
  return a < 1.0f ? (p * t + 0.128379167f) * x + x : large;
}
inline double verf(double x) { return std::erf(x); }

/// Distribution function of the standard normal, without cancellation in the lower tail.
inline float vnormal_cdf(float x) {
  const float tail = 0.5f * detail::erfc_positive(std::fabs(x) * 0.707106781f, 0.5f * x * x);
  return x < 0.0f ? tail : 1.0f - tail;
}
inline double vnormal_cdf(double x) { return 0.5 * std::erfc(-x * 0.70710678118654752440); }

/// Density of the standard normal.
inline float vnormal_pdf(float x) { return 0.398942280f * detail::exp_clamped(-0.5f * x * x); }
inline double vnormal_pdf(double x) { return 0.39894228040143267794 * std::exp(-0.5 * x * x); }

/// sin and cos of 2 pi u for u in [0, 1]: whole turns, so the reduction is exact.
NOISETTE_BOTH inline void vsincos_turns(float u, float& sine, float& cosine) {
  const detail::Rounded q = detail::round_to_int(4.0f * u);
  const float r = 4.0f * u - q.value;  // [-1/2, 1/2] quarter turns
  const float t = r * r;
  const float s =
      r * (((-0.004602149213f * t + 0.07968021765f) * t - 0.6459634777f) * t + 1.570796322f);
  const float c =
      (((0.0009067398984f * t - 0.02086152834f) * t + 0.2536694104f) * t - 1.233700549f) * t + 1.0f;
  const bool odd = (q.integer & 1) != 0;
  const float a = odd ? c : s;
  const float b = odd ? s : c;
  sine = (q.integer & 2) != 0 ? -a : a;
  cosine = ((q.integer + 1) & 2) != 0 ? -b : b;
}

}  // namespace noisette::cpu
