// Floating-point formats narrower than the host's, by rounding in software.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace sim {

enum class Rounding : uint8_t { nearest, zero, down, up, nearest_away };

struct Format {
  int mantissa;  // bits after the point
  int exponent_bits;
  uint32_t nan;  // what a card writes for a NaN
};
inline constexpr Format kHalf{10, 5, 0x7fff}, kBrain{7, 8, 0x7fff}, kSingle{23, 8, 0x7fffffff};

/// Bits of the number of a format nearest to `x`, in a direction. Overflow gives infinity, or the
/// largest number where the direction or `finite` says so.
inline uint32_t narrow(long double x, Format f, Rounding mode = Rounding::nearest,
                       bool finite = false) {
  if (std::isnan(x)) return f.nan;
  const int bias = (1 << (f.exponent_bits - 1)) - 1;
  const uint32_t sign = std::signbit(x) ? 1u << (f.mantissa + f.exponent_bits) : 0;
  const uint32_t infinity = ((1u << f.exponent_bits) - 1) << f.mantissa;
  long double m = std::fabs(x);
  if (m == 0) return sign;
  if (std::isinf(m)) return sign | (finite ? infinity - 1 : infinity);
  int e;
  std::frexp(m, &e);           // m = 0.1xx * 2^e
  const int least = 1 - bias;  // exponent of the smallest normal number
  const int unit = std::max(e - 1, least) - f.mantissa;
  const long double scaled = std::ldexp(m, -unit);
  long double whole = std::floor(scaled);
  const long double rest = scaled - whole;
  bool raise = false;
  switch (mode) {
    case Rounding::nearest:
      raise = rest > 0.5L || (rest == 0.5L && std::fmod(whole, 2.0L) != 0);
      break;
    case Rounding::nearest_away:
      raise = rest >= 0.5L;
      break;
    case Rounding::zero:
      break;
    case Rounding::down:
      raise = sign && rest > 0;
      break;
    case Rounding::up:
      raise = !sign && rest > 0;
      break;
  }
  if (raise) whole += 1;
  // `whole` units of 2^unit, as exponent and mantissa: adding them carries by itself.
  const auto units = uint64_t(whole);
  const int exponent = unit + f.mantissa - least;  // 0 for the smallest normal numbers
  uint64_t bits = units;
  if (exponent > 0) bits += uint64_t(exponent) << f.mantissa;
  if (bits >= infinity) {
    const bool to_infinity = mode == Rounding::nearest || mode == Rounding::nearest_away ||
                             (mode == Rounding::up && !sign) || (mode == Rounding::down && sign);
    return sign | (to_infinity && !finite ? infinity : infinity - 1);
  }
  return sign | uint32_t(bits);
}

// Without branches, so that loops over lanes vectorise.
inline float half_to_float(uint16_t bits) {
  const uint32_t m = uint32_t(bits & 0x7fff) << 13, sign = uint32_t(bits & 0x8000) << 16;
  const auto scaled = std::bit_cast<uint32_t>(std::bit_cast<float>(m) * 0x1p112f);
  return std::bit_cast<float>(sign | (m >= 0x0f800000 ? m | 0x7f800000 : scaled));
}
inline float brain_to_float(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }
inline uint16_t float_to_half(float x) {
  const auto all = std::bit_cast<uint32_t>(x);
  const uint32_t u = all & 0x7fffffff;
  const uint32_t normal = (u - 0x38000000 + 0xfff + (u >> 13 & 1)) >> 13;
  // added to 0.5, whose last bit is the unit of subnormal numbers
  const uint32_t small = std::bit_cast<uint32_t>(std::bit_cast<float>(u) + 0.5f) - 0x3f000000;
  const uint32_t h = u < 0x38800000 ? small : u >= 0x477ff000 ? 0x7c00 : normal;
  return uint16_t(u > 0x7f800000 ? 0x7fff : h | (all >> 16 & 0x8000));
}
inline uint16_t float_to_brain(float x) {
  const auto u = std::bit_cast<uint32_t>(x);
  const uint32_t nan = 0u - uint32_t((u & 0x7fffffff) > 0x7f800000);
  return uint16_t((((u + 0x7fff + (u >> 16 & 1)) >> 16) & ~nan) | (0x7fff & nan));
}
/// Every NaN that arithmetic gives is this one in f32.
inline float canonical(float x) {
  const auto u = std::bit_cast<uint32_t>(x);
  const uint32_t nan = 0u - uint32_t((u & 0x7fffffff) > 0x7f800000);
  return std::bit_cast<float>((u & ~nan) | (0x7fffffff & nan));
}

}  // namespace sim
