// Lanes of a warp that wait for each other, at one place of the code or at several.
#include <bit>
#include <string>

#include "simulator/code/code.h"
#include "simulator/exec/counters.h"
#include "simulator/exec/undefined.h"
#include "simulator/exec/warp.h"
#include "simulator/ptx/places.h"
#include "simulator/run/block.h"
#include "simulator/run/races.h"

namespace sim {
namespace {

const ptx::Instruction& text_of(const Frame& frame, uint32_t pc) {
  return frame.code->function->code[frame.code->insts[pc].source];
}
/// Of the block: who is missing there, the block reports.
bool is_barrier(const ptx::Instruction& text) {
  return (text.opcode == "bar" || text.opcode == "barrier") && !text.has("warp");
}
bool same_form(const ptx::Instruction& a, const ptx::Instruction& b) {
  return a.opcode == b.opcode && a.modifiers == b.modifiers;
}

}  // namespace

/// PTX lets lanes wait until those that the mask names have executed the instruction too. Where
/// these wait for the first at another one, neither comes.
bool Warp::wait_for_lanes(uint32_t named, uint32_t mask, bool anywhere) {
  group_->meets = false;
  if ((named & alive_ & ~mask) == 0) return true;
  for (const Group& g : groups_) {
    const bool crossed = g.wait == Wait::lanes && (g.wait_mask & mask) && (named & g.mask);
    const bool here = g.frame == group_->frame && g.pc == pc - 1;
    if (&g == group_ || !crossed || here) continue;
    const ptx::Instruction &there = text_of(*g.frame, g.pc),
                           &this_one = text_of(*group_->frame, pc - 1);
    if (anywhere && g.meets && g.wait_mask == named && same_form(there, this_one)) continue;
    if (is_barrier(there) || is_barrier(this_one)) continue;
    throw at(
        {"lanes missing", "thread " + std::to_string(std::countr_zero(g.mask)) +
                              " of the warp waits for this one at another place, " + there.text() +
                              " at " + ptx::brief_place_of(block_.module(), there) +
                              "; threads that wait for each other execute instructions of the "
                              "same form with the same mask"},
        std::countr_zero(mask));
  }
  if (Counter* c = counter()) c->did_not(mask);
  if (mask != group_->mask) split(group_->mask & ~mask, pc);  // these do not take part
  group_->wait = Wait::lanes;
  group_->wait_mask = named;
  group_->meets = anywhere;
  may_meet_ |= anywhere;
  --pc;
  stop_ = 0;
  return false;
}

/// Lanes may wait for each other at several places. PTX ISA, shfl.sync and its like: "until all
/// non-exited threads corresponding to membermask have executed [it] with the same qualifiers and
/// same membermask value"; the programming guide, "Independent Thread Scheduling", calls a shuffle
/// in each side of a branch valid. .aligned instructions are at one place.
void Warp::meet() {
  may_meet_ = false;
  const auto together = [](const Group& a, const Group& b) {
    return b.wait == Wait::lanes && b.meets && b.wait_mask == a.wait_mask &&
           same_form(text_of(*a.frame, a.pc), text_of(*b.frame, b.pc));
  };
  for (const Group& g : groups_) {
    if (!together(g, g)) continue;
    uint32_t here = 0;
    for (const Group& other : groups_)
      if (together(g, other)) here |= other.mask;
    if ((g.wait_mask & alive_ & ~here) == 0) return execute_together(here, g.wait_mask);
  }
}

void Warp::execute_together(uint32_t lanes, uint32_t named) {
  const auto takes_part = [&](const Group& g) {
    return g.wait == Wait::lanes && g.meets && g.wait_mask == named && (g.mask & lanes);
  };
  Meeting meeting;
  meeting.lanes = lanes;
  meeting_ = &meeting;
  for (const bool brings : {true, false}) {
    meeting.brings = brings;
    for (Group& g : groups_) {
      if (!takes_part(g)) continue;
      enter(g);
      const Inst& inst = g.frame->code->insts[pc++];
      if (undefined_ && brings) undefined_->bring(*this, inst, g.mask);
      if (undefined_ && !brings) undefined_->take(*this, inst, g.mask);
      inst.run(*this, inst, g.mask);
    }
  }
  meeting_ = nullptr;
  reads_done();
  for (Group& g : groups_) {
    if (!takes_part(g)) continue;
    if (g.frame->counters) g.frame->counters[g.pc].ran(g.mask, g.mask);
    g.wait = Wait::none, g.meets = false;
    ++g.pc;
  }
}

void Warp::lanes_met(uint32_t lanes) {
  if (Races* races = block_.races_or_none())
    races->sync_lanes(number_, lanes, (alive_ & ~lanes) == 0);
}

bool Warp::reads_done() {
  if (Races* races = block_.races_or_none()) races->met(number_);
  return true;
}

}  // namespace sim
