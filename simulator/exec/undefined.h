// Values that a warp loaded and that nobody wrote. Such a load is no fault yet: code may read one
// element too far and not look at it, as CUB's merge sort does. It is one when the value decides
// something: a branch, an address, what other threads or the host see.
#pragma once
#include <array>
#include <cstdint>
#include <memory>

#include "simulator/code/code.h"
#include "simulator/exec/undefined_bits.h"
#include "simulator/report/fault.h"

namespace sim {

class Undefined {
 public:
  /// Of a warp that runs code of the module.
  explicit Undefined(const ptx::Module& module) : module_(module) {}

  /// The instruction at hand, a load, reads bytes in `lane` some of which were not written, as
  /// their shadow says; `fault` says so. False: it is none that may.
  bool load(Warp& w, const ptx::Instruction& text, int lane, const uint8_t* shadow,
            const Fault& fault);

  /// Before each instruction while there are such values: what it computes from them is undefined
  /// too. Throws the fault of the load where they decide something. True: `after` wants to be
  /// called.
  bool before(Warp& w, const Inst& inst, uint32_t mask);
  /// Bytes that undefined ones were stored to count as not written.
  void after(Warp& w, const Inst& inst);

  /// Where lanes at several places exchange values (Meeting): each group brings its own, then each
  /// takes its results.
  void bring(Warp& w, const Inst& inst, uint32_t mask);
  void take(Warp& w, const Inst& inst, uint32_t mask);

 private:
  bool store(Warp& w, const ptx::Instruction& text, const Inst& inst, uint32_t mask);
  void move(Warp& w, const ptx::Instruction& text, uint32_t mask);
  void compute(Warp& w, const ptx::Instruction& text, const Inst& inst, uint32_t mask);
  void shuffle(Warp& w, const ptx::Instruction& text, const Inst& inst, uint32_t mask);
  void expect_defined(const Warp& w, const ptx::Instruction& text, size_t from,
                      uint32_t mask) const;
  void expect_some_defined(const ptx::Instruction& text, uint32_t size) const;
  /// The fault of the load, and behind it what was done with the value.
  Fault fault_of(const ptx::Instruction& text, uint32_t lanes, const std::string& did) const;
  [[noreturn]] void report(const ptx::Instruction& text, uint32_t lanes) const;

  const ptx::Module& module_;
  /// Of the load that each lane's latest undefined value came from.
  std::shared_ptr<const Fault> faults_[kLanes];
  // What lanes brought to the shuffle at hand, and the faults of that.
  std::array<uint64_t, kLanes> brought_ = {};
  std::shared_ptr<const Fault> origins_[kLanes];
  // The store at hand: its lanes, addresses, bytes, and a bit for each undefined byte.
  uint32_t stored_ = 0, bytes_ = 0;
  std::array<uint64_t, kLanes> at_ = {}, undefined_bytes_ = {};
};

}  // namespace sim
