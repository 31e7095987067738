// Decoded code: what a warp executes. A register is a row of 32 lanes, so that a handler is one
// loop over the lanes that the host's compiler vectorises.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "simulator/ptx/module.h"

namespace sim {

class Warp;
struct Inst;

inline constexpr int kLanes = 32;
inline constexpr uint32_t kAllLanes = 0xffffffff;
inline constexpr uint32_t kRow = kLanes * sizeof(uint32_t);  // bytes of a row of 32-bit values

/// Executes one instruction for the lanes of `mask`, which are never none.
using Handler = void (*)(Warp&, const Inst&, uint32_t mask);

/// Where an operand's row begins: two bits of bank, then bytes. 8, 16 and 32 bit values take a row
/// of 32 uint32_t (upper bits zero), 64 bit values one of 32 uint64_t.
enum Bank : uint32_t { kRegisters = 0, kConstants = 1, kSpecials = 2 };
struct Row {
  uint32_t place = 0;
  static Row at(Bank bank, uint32_t byte) { return {uint32_t(bank) << 30 | byte}; }
  uint32_t bank() const { return place >> 30; }
  uint32_t byte() const { return place & 0x3fffffff; }
};

/// Rows of the warp's own special registers, each of 32-bit lanes.
enum Special : uint32_t {
  kTidX,
  kTidY,
  kTidZ,
  kNtidX,
  kNtidY,
  kNtidZ,
  kCtaidX,
  kCtaidY,
  kCtaidZ,
  kNctaidX,
  kNctaidY,
  kNctaidZ,
  kLaneId,
  kWarpId,
  kNwarpId,
  kLaneMaskEq,
  kLaneMaskLe,
  kLaneMaskLt,
  kLaneMaskGe,
  kLaneMaskGt,
  kSmId,
  kNsmId,
  kGridId,
  kDynamicShared,
  kTotalShared,
  kSpecials_
};

inline constexpr uint16_t kNoPredicate = 0xffff;
/// Predicates of every frame: one that nobody reads, and the two constants.
inline constexpr uint16_t kSinkPredicate = 0, kTruePredicate = 1, kFalsePredicate = 2;
inline constexpr uint16_t kFixedPredicates = 3;

/// Bytes of a frame that nobody reads, before its registers: wide enough for 64 bits.
inline constexpr uint32_t kSinkBytes = 2 * kRow;

/// What an instruction counts as in the profile.
// clang-format off
enum class Class : uint8_t {
  integer, real, real64, half, special,  // special: roots, quotients, exponentials, sines
  convert, move, control,
  global, shared, local, param, constant, memory,  // memory: of a generic address
  atomic, copy, sync, tensor, other,               // copy: cp.async
};
// clang-format on

struct Inst {
  Handler run = nullptr;
  Row d, a, b, c;
  uint16_t guard = kNoPredicate;  // predicate that must hold for a lane
  bool guard_negated = false;
  bool strong = false;  // of an access to memory: atomic, volatile, or with an order
  uint16_t p = kNoPredicate, q = kNoPredicate;  // predicates read or written: setp d|q, selp
  bool p_negated = false;
  Class kind = Class::other;
  ptx::Space space = ptx::Space::generic;  // of a load or store
  uint8_t count = 1;                       // elements of a vector access, of an mma fragment, ...
  uint8_t option = 0;                      // meaning is the handler's
  uint32_t target = 0;                     // of a branch
  int64_t offset = 0;                      // of an address; an immediate
  const Row* rows = nullptr;               // operands beyond four: vectors, call arguments
  const void* extra = nullptr;             // of the handler; lives as long as the code
  uint32_t source = 0;                     // index into Function::code
};

struct Code {
  const ptx::Function* function = nullptr;
  std::vector<Inst> insts;
  uint32_t register_bytes = 0;  // of a frame
  uint32_t predicates = 0;
  std::vector<uint16_t> predicate_of;  // by register of the function; kNoPredicate: it is none
  uint32_t param_bytes = 0;            // of a lane: its parameters, results and .param variables
  uint32_t local_bytes = 0;            // of a lane
  std::vector<uint32_t> constants;     // rows, 128 bytes each lane row of 32 bits
  std::vector<std::unique_ptr<Row[]>> row_lists;
  std::vector<std::shared_ptr<const void>> extras;
};

}  // namespace sim
