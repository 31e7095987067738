// The 16-bit brain float: the upper half of an IEEE f32. Storage only; arithmetic happens in f32.
#pragma once
#include <bit>
#include <cstdint>

#include "kernels/device.h"

namespace noisette {

struct bfloat16 {
  uint16_t bits = 0;

  bfloat16() = default;
  /// Rounds to nearest, ties to even; every NaN becomes the quiet NaN of the same sign.
  NOISETTE_BOTH explicit bfloat16(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value);
    const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    const uint32_t nan = (u >> 16) | 0x40u;
    bits = static_cast<uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
  }
  NOISETTE_BOTH explicit operator float() const {
    return std::bit_cast<float>(uint32_t(bits) << 16);
  }
};
static_assert(sizeof(bfloat16) == 2);

/// The type that sums, statistics and 1-D parameters of a tensor of T are kept in.
template <class T>
struct Accumulator {
  using type = float;
};
template <>
struct Accumulator<double> {
  using type = double;
};
template <class T>
using acc_t = typename Accumulator<T>::type;

}  // namespace noisette
