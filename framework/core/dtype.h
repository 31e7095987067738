#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/bfloat16.h"

namespace noisette {

/// Element types. f16 exists for files only: no op computes in it.
enum class DType : uint8_t { f32, bf16, f64, f16, i32, i64, u8 };

std::size_t size_of(DType dtype);       // bytes of one element
std::string_view name_of(DType dtype);  // "f32"
DType dtype_from_name(std::string_view name);
constexpr bool is_floating(DType d) {
  return d == DType::f32 || d == DType::bf16 || d == DType::f64 || d == DType::f16;
}

/// The dtype of statistics, sums and 1-D parameters that go with activations of `dtype`.
constexpr DType accumulator_of(DType dtype) {
  return dtype == DType::f64 ? DType::f64 : DType::f32;
}

template <class T>
inline constexpr DType dtype_of = [] {
  static_assert(sizeof(T) == 0, "no DType for this C++ type");
  return DType::f32;
}();
template <>
inline constexpr DType dtype_of<float> = DType::f32;
template <>
inline constexpr DType dtype_of<bfloat16> = DType::bf16;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<int32_t> = DType::i32;
template <>
inline constexpr DType dtype_of<int64_t> = DType::i64;
template <>
inline constexpr DType dtype_of<uint8_t> = DType::u8;

}  // namespace noisette

#include <fmt/format.h>
template <>
struct fmt::formatter<noisette::DType> : fmt::formatter<std::string_view> {
  template <class C>
  auto format(noisette::DType d, C& ctx) const {
    return fmt::formatter<std::string_view>::format(noisette::name_of(d), ctx);
  }
};
