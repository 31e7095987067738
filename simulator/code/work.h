// What an instruction counts as: its class, its arithmetic, and a guess at the machine instructions
// that ptxas makes of it.
#pragma once
#include <cstdint>
#include <string_view>

#include "simulator/code/code.h"

namespace sim {

/// The class, from that of the opcode's family: memory by space, reals by width and unit.
Class class_of(const ptx::Instruction& inst, Class family);
std::string_view name_of(Class kind);
inline constexpr int kClasses = int(Class::other) + 1;

/// Whose peak rate arithmetic is held against.
enum class Unit : uint8_t { none, f32, f64, f16, tensor_f16, tensor_tf32, tensor_f64, tensor_int8 };
std::string_view name_of(Unit unit);
inline constexpr int kUnits = int(Unit::tensor_int8) + 1;

struct Work {
  Unit unit = Unit::none;
  uint32_t each = 0;     // operations: of a lane, or of the warp where it is a tensor core's
  uint32_t slots = 1;    // machine instructions
  bool past_l1 = false;  // an access that L1 does not keep: .cg, volatile, ordered, a store
};
/// fma is two operations, as is each product and sum of a matrix; special functions are none.
Work work_of(const ptx::Instruction& inst, Class kind);

}  // namespace sim
