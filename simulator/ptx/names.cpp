// Words of PTX and what they stand for.
#include <algorithm>
#include <iterator>

#include "simulator/ptx/module.h"

namespace sim::ptx {
namespace {

struct TypeRow {
  std::string_view name;
  int size;
};

// In the order of Type.
constexpr TypeRow kTypes[] = {
    {"none", 0},   {"pred", 1}, {"b8", 1},  {"b16", 2}, {"b32", 4},   {"b64", 8},
    {"b128", 16},  {"u8", 1},   {"u16", 2}, {"u32", 4}, {"u64", 8},   {"s8", 1},
    {"s16", 2},    {"s32", 4},  {"s64", 8}, {"f16", 2}, {"f16x2", 4}, {"bf16", 2},
    {"bf16x2", 4}, {"tf32", 4}, {"f32", 4}, {"f64", 8},
};
static_assert(std::size(kTypes) == size_t(Type::f64) + 1);

}  // namespace

int size_of(Type type) { return kTypes[size_t(type)].size; }

std::string_view name_of(Type type) { return kTypes[size_t(type)].name; }

std::optional<Type> type_named(std::string_view name) {
  const auto* row = std::find_if(std::begin(kTypes) + 1, std::end(kTypes),
                                 [&](const TypeRow& type) { return type.name == name; });
  if (row == std::end(kTypes)) return std::nullopt;
  return Type(row - std::begin(kTypes));
}

std::string Instruction::text() const {
  std::string text = opcode;
  for (const std::string& modifier : modifiers) text.append(".").append(modifier);
  return text;
}

bool Instruction::has(std::string_view modifier) const {
  return std::find(modifiers.begin(), modifiers.end(), modifier) != modifiers.end();
}

}  // namespace sim::ptx
