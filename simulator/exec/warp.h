// A warp of 32 lanes and the block it belongs to.
//
// Lanes that are at the same instruction of the same call form a group. The group that runs is the
// one deepest in calls, then lowest in the code, so that lanes which took different ways meet again
// where these join. A group that only loops while others wait lets them go first: every lane makes
// progress.
#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "simulator/code/code.h"
#include "simulator/exec/undefined_bits.h"
#include "simulator/memory/memory.h"
#include "simulator/report/fault.h"

namespace sim {

class Block;
struct Counter;
class Undefined;
struct Image;

/// One call of a function: its registers, predicates, and memory of each lane.
struct Frame {
  const Code* code = nullptr;
  Frame* caller = nullptr;
  uint32_t return_pc = 0;
  uint32_t depth = 0;
  uint32_t mask = 0;              // lanes that have not returned
  const Inst* call = nullptr;     // of the caller: where results go
  uint64_t local_base = 0;        // of this call's .local variables, in every lane
  std::vector<uint64_t> dynamic;  // bytes that alloca took beyond these, by lane; empty: none
  std::byte* registers = nullptr;
  std::vector<std::byte> storage;
  std::vector<uint32_t> predicates;
  UndefinedRegisters undefined;
  uint32_t carry = 0;           // of add.cc and its like, a bit a lane
  std::vector<uint8_t> params;  // lane * code->param_bytes
  Counter* counters = nullptr;  // of the code's instructions, where they are counted
  uint8_t* param(int lane) { return params.data() + size_t(lane) * code->param_bytes; }
};

enum class Wait : uint8_t { none, lanes, barrier };

struct Group {
  Frame* frame = nullptr;
  uint32_t pc = 0;
  uint32_t mask = 0;
  uint32_t turn = 0;  // groups of a lower turn go first
  Wait wait = Wait::none;
  uint32_t wait_mask = 0;  // of Wait::lanes: lanes that the instruction names
  uint32_t barrier = 0;    // of Wait::barrier
  bool again = false;      // executes its instruction the second time
  bool meets = false;      // of Wait::lanes: the others may wait at another place
};

/// An instruction that lanes execute together at several places of the code: first each group
/// brings its operands, then each takes its results.
struct Meeting {
  uint32_t lanes = 0;  // of all groups
  bool brings = true;  // the groups' operands; else they take their results
  uint32_t yes = 0;    // predicates that are operands
  alignas(64) std::byte operands[3][kLanes * 8] = {};
};

enum class Ran : uint8_t { done, yielded, blocked };

class Warp {
 public:
  Warp(Block& block, uint32_t number);
  ~Warp();

  /// Its block begins.
  void start();
  /// Runs until all lanes have exited, all wait for other warps, or it has had its share: so many
  /// backward branches.
  Ran run(uint32_t share);

  template <class R = uint32_t>
  R* row(Row r) {
    return reinterpret_cast<R*>(base_[r.bank()] + r.byte());
  }
  uint32_t& predicate(uint16_t p) { return group_->frame->predicates[p]; }
  /// The same of a register of the function.
  uint32_t predicate_of(uint32_t reg) const {
    return group_->frame->predicates[group_->frame->code->predicate_of[reg]];
  }
  UndefinedRegisters& undefined_registers() const { return group_->frame->undefined; }
  /// The load at hand reads in `lane` bytes with such a shadow, some of which nobody wrote: a fault
  /// later or never. False: it is one now.
  bool load_undefined(const Fault& fault, int lane, const uint8_t* shadow);

  Block& block() { return block_; }
  Frame& frame() { return *group_->frame; }
  const Code& code() const { return *group_->frame->code; }
  uint32_t number() const { return number_; }
  uint32_t alive() const { return alive_; }
  bool done() const { return alive_ == 0; }
  /// Lanes at this instruction, those included that its guard leaves out.
  uint32_t active() const { return group_->mask; }

  // For the handlers of control flow; `pc` is the next instruction.
  void branch(uint32_t taken, uint32_t target);
  /// Each lane to a target of its own.
  template <class F>
  void branch_each(uint32_t mask, F&& target_of) {
    while (mask) {
      const uint32_t target = target_of(std::countr_zero(mask));
      uint32_t same = 0;
      for (uint32_t rest = mask; rest; rest &= rest - 1)
        if (target_of(std::countr_zero(rest)) == target) same |= rest & -rest;
      mask &= ~same;
      branch(same, target);
    }
  }
  /// These lanes come back to this instruction.
  void stay(uint32_t mask);
  void call(const Inst& inst, const Code& callee, uint32_t mask);
  void ret(uint32_t mask);
  void exit(uint32_t mask);
  /// Whether all of `named` that are alive are among `mask`, the lanes at this instruction. Where
  /// not, these come back to it, when the others have come. `anywhere`: or, when the others have
  /// come to instructions of the same form with the same mask, all execute it as a meeting.
  bool wait_for_lanes(uint32_t named, uint32_t mask, bool anywhere = false);
  /// nullptr where all lanes that take part are at this instruction.
  Meeting* meeting() { return meeting_; }
  /// The lanes of `mask` wait at a barrier of the block; `again`: then they execute this
  /// instruction a second time, else the next.
  void wait_at_barrier(uint32_t barrier, uint32_t mask, bool again = false);
  /// These lanes have all executed a bar.warp.sync: what each did before is ordered.
  void lanes_met(uint32_t lanes);
  /// The lanes execute an instruction together: what they read before they have read. True.
  bool reads_done();
  /// True once, for a group that executes an instruction the second time.
  bool second_time() { return std::exchange(group_->again, false); }
  /// Lanes that waited for it.
  uint32_t release_barrier(uint32_t barrier);
  /// Other warps and blocks go first, after this instruction.
  void yield() { share_ = 0, stop_ = 0; }

  uint8_t* local(int lane, uint64_t offset) { return local_[size_t(lane)].data() + offset; }
  uint8_t* local_shadow(int lane, uint64_t offset) {
    return local_shadow_[size_t(lane)].data() + offset;
  }
  /// More local memory for a lane, until its call returns; an offset as `local` takes it.
  uint64_t extend_local(int lane, uint64_t bytes, uint64_t align);
  bool checks() const { return checks_; }
  bool several_devices() const { return several_devices_; }
  int device() const { return device_; }
  /// Whether an address of device memory is another device's, which this one may not reach.
  bool out_of_reach(uint64_t at) const {
    return several_devices_ && !reaches(device_, owner_of(at));
  }
  uint64_t local_bytes(int lane) const { return local_[size_t(lane)].size(); }

  /// What each lane does, for reports of a block that cannot go on.
  std::string state() const;
  const std::vector<Group>& groups() const { return groups_; }
  /// Of the instruction that runs; nullptr: nothing is counted.
  Counter* counter() const;
  /// Adds the place to a fault: `lane` of the instruction that runs.
  Fault at(Fault fault, int lane) const;
  /// An instruction's line in the PTX, and what a sentence says of it: " at a.cu:12, PTX line 9".
  uint32_t line_of(const Inst& inst) const { return code().function->code[inst.source].line; }
  std::string place_of(uint32_t ptx_line) const;

  /// The instruction at hand reaches `at`; the next time it may go on by the same step, and the
  /// host begins to fetch what lies there.
  void expect_next(uint64_t at, uint64_t to_raw) {
    Seen& seen = seen_[pc % std::size(seen_)];
    const auto* next = reinterpret_cast<const std::byte*>(at + (at - seen.at) + to_raw);
    if (seen.pc == pc) __builtin_prefetch(next), __builtin_prefetch(next + 64);
    seen = {pc, at};
  }

  uint32_t pc = 0;              // of the next instruction
  Counter* counters = nullptr;  // of the call that runs; nullptr: nothing is counted
  uint64_t executed = 0;

 private:
  void run_group();
  void run_undefined();
  void choose();
  void meet();
  void execute_together(uint32_t lanes, uint32_t named);
  void merge();
  void enter(Group& group);
  void save() { group_->pc = pc; }
  Frame* push(const Code& code, Frame* caller, uint32_t mask);
  void drop(Frame* frame);
  Group& split(uint32_t mask, uint32_t at);

  Block& block_;
  uint32_t number_;
  uint32_t alive_ = 0;
  bool checks_ = true, several_devices_ = false;
  int device_ = 0;
  std::byte* base_[4] = {};
  std::vector<Group> groups_;
  Group* group_ = nullptr;
  uint32_t stop_ = 0;  // the group stops before an instruction at or past this
  uint32_t spins_ = 0, turns_ = 0;
  bool may_meet_ = false;  // a group began to wait where a meeting can come about
  Meeting* meeting_ = nullptr;
  int64_t share_ = 0;
  std::vector<std::unique_ptr<Frame>> frames_, spare_;
  std::array<std::vector<uint8_t>, kLanes> local_, local_shadow_;
  std::vector<uint32_t> specials_;
  struct Seen {
    uint32_t pc = 0;
    uint64_t at = 0;
  };
  Seen seen_[16];
  std::unique_ptr<Undefined> undefined_;  // while there are such values
};

}  // namespace sim
