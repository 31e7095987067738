// What a warp says of itself: where it stands, for faults, races and notes.
#include <sstream>
#include <string>

#include "simulator/code/code.h"
#include "simulator/exec/warp.h"
#include "simulator/ptx/places.h"
#include "simulator/run/block.h"

namespace sim {

std::string Warp::state() const {
  std::ostringstream out;
  for (const Group& g : groups_) {
    const ptx::Instruction& at =
        g.frame->code->function->code
            [g.frame->code->insts[g.wait == Wait::barrier && !g.again ? g.pc - 1 : g.pc].source];
    out << "  warp " << number_ << ", lanes " << std::hex << "0x" << g.mask << std::dec << ": ";
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
    out << at.text() << ", " << ptx::brief_place_of(block_.module(), at) << "\n";
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
