#include "framework/core/dtype.h"

#include <array>

#include "framework/core/check.h"

namespace noisette {
namespace {
struct Row {
  DType dtype;
  std::string_view name;
  std::size_t size;
};
constexpr std::array<Row, 7> kRows{{{DType::f32, "f32", 4},
                                    {DType::bf16, "bf16", 2},
                                    {DType::f64, "f64", 8},
                                    {DType::f16, "f16", 2},
                                    {DType::i32, "i32", 4},
                                    {DType::i64, "i64", 8},
                                    {DType::u8, "u8", 1}}};
}  // namespace

std::size_t size_of(DType dtype) { return kRows[std::size_t(dtype)].size; }
std::string_view name_of(DType dtype) { return kRows[std::size_t(dtype)].name; }

DType dtype_from_name(std::string_view name) {
  for (const Row& row : kRows)
    if (row.name == name) return row.dtype;
  fail("[dtype] unknown type '{}'; known: f32, bf16, f64, f16, i32, i64, u8", name);
}

}  // namespace noisette
