// Which bits of a warp's registers nobody defined, and which bits of a result they leave undefined.
// Bits, for padding of structs and fields of bits are loaded, moved and stored with their
// neighbours, and never looked at.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>

#include "simulator/code/code.h"

namespace sim {

/// The registers of a call that have such bits.
class UndefinedRegisters {
 public:
  bool empty() const { return bits_.empty(); }
  void clear() { bits_.clear(); }
  uint64_t of(uint32_t reg, int lane) const;
  /// Lanes in which there is any.
  uint32_t lanes(uint32_t reg) const;
  void set(uint32_t reg, int lane, uint64_t bits);

 private:
  std::unordered_map<uint32_t, std::array<uint64_t, kLanes>> bits_;
};

/// An operand in one lane. The value matters where it says which bits of others are taken.
struct Partly {
  uint64_t value = 0, undefined = 0;
};

/// Undefined bits of the result, `in` being the operands behind it. Exact for moves, logic, shifts,
/// fields and bytes; sums are undefined from the lowest such bit upward; of all other instructions
/// the whole result is.
uint64_t undefined_result(const ptx::Instruction& text, std::span<const Partly> in);

/// The lowest bits.
constexpr uint64_t low_bits(uint64_t bits) {
  return bits >= 64 ? ~uint64_t(0) : (uint64_t(1) << bits) - 1;
}

}  // namespace sim
