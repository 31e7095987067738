// Values that a warp loaded from shared or local memory which nobody wrote. Such a load is no fault
// yet: code may read one element too far and not look at it, as CUB's merge sort does. It is one
// when the value decides something: a branch, an address, what other threads or the host see.
#pragma once
#include <cstdint>

#include "simulator/code/code.h"
#include "simulator/report/fault.h"

namespace sim {

class Undefined {
 public:
  /// Of a warp that runs code of the module.
  explicit Undefined(const ptx::Module& module) : module_(module) {}

  /// The instruction at hand, a load, reads bytes in `lane` that were not written; `fault` says so.
  /// False: it is none that may.
  bool load(Warp& w, const ptx::Instruction& text, int lane, const Fault& fault);

  /// Before each instruction while there are such values: what it computes from them is undefined
  /// too. Throws the fault of the load where they decide something. True: `after` wants to be
  /// called.
  bool before(Warp& w, const Inst& inst, uint32_t mask);
  /// Bytes that an undefined value was stored to count as not written.
  void after(Warp& w, const Inst& inst);

 private:
  uint32_t lanes_of(const Warp& w, const ptx::Operand& operand) const;
  void set(Warp& w, const ptx::Operand& operand, uint32_t mask, uint32_t undefined);
  uint32_t result(Warp& w, const ptx::Instruction& text, const Inst& inst, uint32_t mask) const;
  [[noreturn]] void report(const ptx::Instruction& text, uint32_t lanes) const;

  const ptx::Module& module_;
  Fault faults_[kLanes];  // of each lane's latest load; none: the value came from another lane
  Fault latest_;
  uint32_t stored_ = 0;  // lanes of the store at hand
  uint64_t at_[kLanes] = {};
};

}  // namespace sim
