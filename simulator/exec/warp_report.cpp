// What a warp says of itself: where it stands, for faults, races and notes.
#include <bit>
#include <sstream>
#include <string>

#include "simulator/code/code.h"
#include "simulator/exec/async.h"
#include "simulator/exec/warp.h"
#include "simulator/ptx/places.h"
#include "simulator/run/block.h"

namespace sim {
namespace {

/// What lanes asked of mbarriers last and did not get.
std::string asked_of_mbarriers(Block& block, uint32_t warp, uint32_t lanes) {
  std::string text;
  const uint8_t* before = nullptr;
  for (; lanes; lanes &= lanes - 1) {
    const auto& asked = block.async().asked(warp * kLanes + uint32_t(std::countr_zero(lanes)));
    const bool ended = asked.function && mbarrier_at(asked.barrier).phase != asked.phase;
    if (!asked.function || ended || asked.barrier == before) continue;
    before = asked.barrier;
    text += text.empty() ? "; asked in vain for the end of " : " and of ";
    text += describe_mbarrier(block, asked.barrier);
  }
  return text;
}

}  // namespace

std::string Warp::state() const {
  std::ostringstream out;
  for (const Group& g : groups_) {
    const ptx::Instruction& at =
        g.frame->code->function->code
            [g.frame->code->insts[g.wait == Wait::barrier && !g.again ? g.pc - 1 : g.pc].source];
    if (g.mask == kAllLanes)
      out << "all lanes: ";
    else
      out << "lanes 0x" << std::hex << g.mask << std::dec << ": ";
    switch (g.wait) {
      case Wait::none:
        out << "at ";
        break;
      case Wait::lanes:
        out << "waits for lanes 0x" << std::hex << (g.wait_mask & alive_ & ~g.mask) << std::dec
            << " at ";
        break;
      case Wait::barrier:
        out << "waits at barrier " << g.barrier << ", ";
        break;
    }
    out << at.text() << ", " << ptx::brief_place_of(block_.module(), at);
    if (g.wait == Wait::none) out << asked_of_mbarriers(block_, number_, g.mask);
    out << "\n";
  }
  return out.str();
}

std::string Warp::place_of(uint32_t ptx_line) const {
  const ptx::Module& module = block_.module();
  for (const ptx::Function& f : module.functions)
    for (const ptx::Instruction& inst : f.code)
      if (inst.line == ptx_line) return " at " + ptx::brief_place_of(module, inst);
  return "";
}

Fault Warp::at(Fault fault, int lane) const {
  const Code& code = *group_->frame->code;
  const ptx::Instruction& text = code.function->code[code.insts[pc - 1].source];
  fault.block = block_.index();
  fault.thread = block_.thread_at(number_ * kLanes + uint32_t(lane));
  fault.ptx_line = text.line;
  fault.ptx_text = text.text();
  fault.source_line = text.where.line;
  const ptx::Module& module = block_.module();
  if (const auto file = module.files.find(text.where.file); file != module.files.end())
    fault.source_file = file->second;
  fault.calls = ptx::calls_of(module, text.where);
  for (const Frame* f = group_->frame; f->caller; f = f->caller) {
    const ptx::Instruction& call = f->caller->code->function->code[f->call->source];
    const std::string place = ptx::place_of(module, call.where);
    fault.calls.push_back(place.empty() ? "PTX line " + std::to_string(call.line) : place);
    for (std::string& outer : ptx::calls_of(module, call.where))
      fault.calls.push_back(std::move(outer));
  }
  return fault;
}

}  // namespace sim
