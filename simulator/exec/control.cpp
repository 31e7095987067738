// Control flow: PTX ISA, section 9.7.12.
#include <cstring>

#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"
#include "simulator/run/block.h"
#include "simulator/run/state.h"

namespace sim {
namespace {

using ptx::Operand;
using ptx::Type;

void decode_bra(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 1, 1);
  if (inst.operands[0].kind != Operand::Kind::label)
    d.unsupported(inst, "its target is not a label");
  i.target = uint32_t(inst.operands[0].value);
  i.run = [](Warp& w, const Inst& i, uint32_t mask) { w.branch(mask, i.target); };
}

/// Lanes branch to as many places as their indices name, the highest place last.
void indirect_branch(Warp& w, const Inst& i, uint32_t mask) {
  const auto& table = *static_cast<const std::vector<uint32_t>*>(i.extra);
  const auto* index = w.row(i.a);
  each_lane(mask, [&](int l) {
    if (index[l] >= table.size())
      throw w.at({"branch to nowhere", "index " + std::to_string(index[l]) + " of a table of " +
                                           std::to_string(table.size())},
                 l);
  });
  w.branch_each(mask, [&](int l) { return table[index[l]]; });
}

void decode_brx(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 2, 2);
  if (!inst.has("idx")) d.unsupported(inst, "it is .idx");
  i.a = d.source(inst.operands[0], Type::u32);
  for (const auto& t : d.function().targets)
    if (t.name == inst.operands[1].name) i.extra = &t.code;
  if (!i.extra) d.unsupported(inst, "its table is not known");
  i.run = indirect_branch;
}

/// Where a call's arguments and results lie in the caller's parameters.
struct CallShape {
  const Code* callee = nullptr;
  std::vector<uint32_t> results, params;  // offsets in the caller
};

/// Byte of each formal within the callee's parameters, and its size: as Decoder lays them out.
template <class F>
void each_formal(const ptx::Function& f, F&& visit) {
  uint64_t at = 0;
  const auto walk = [&](const std::vector<ptx::Variable>& list, bool result) {
    for (size_t k = 0; k < list.size(); ++k) {
      const uint64_t align = std::max<uint32_t>(list[k].align, 1);
      at = (at + align - 1) / align * align;
      visit(result, k, at, list[k].bytes);
      at += list[k].bytes;
    }
  };
  walk(f.params, false);
  walk(f.results, true);
}

void enter(Warp& w, const Inst& i, const Code& callee, uint32_t mask) {
  const auto& shape = *static_cast<const CallShape*>(i.extra);
  const ptx::Function& f = *callee.function;
  if (f.params.size() != shape.params.size() || f.results.size() != shape.results.size())
    throw w.at({"call of a function of another shape", f.name}, std::countr_zero(mask));
  Frame& caller = w.frame();
  w.call(i, callee, mask);
  Frame& frame = w.frame();
  each_formal(f, [&](bool result, size_t k, uint64_t at, uint64_t bytes) {
    if (!result)
      each_lane(mask, [&](int l) {
        std::memcpy(frame.param(l) + at, caller.param(l) + shape.params[k], bytes);
      });
  });
}

void call_direct(Warp& w, const Inst& i, uint32_t mask) {
  enter(w, i, *static_cast<const CallShape*>(i.extra)->callee, mask);
}

/// Lanes that call the same function go together; the others come back to this instruction.
void call_indirect(Warp& w, const Inst& i, uint32_t mask) {
  const auto* address = w.row<uint64_t>(i.a);
  const int first = std::countr_zero(mask);
  const auto& known = w.block().launch().image->by_address;
  const auto it = known.find(address[first]);
  if (it == known.end())
    throw w.at({"call of what is no function", "address " + std::to_string(address[first])}, first);
  const uint32_t same = mask & lanes_where([&](int l) { return address[l] == address[first]; });
  if (same != mask) w.stay(mask & ~same);
  enter(w, i, *it->second, same);
}

void leave(Warp& w, const Inst&, uint32_t mask) {
  Frame& frame = w.frame();
  if (frame.caller && frame.call) {
    const auto& shape = *static_cast<const CallShape*>(frame.call->extra);
    Frame& caller = *frame.caller;
    each_formal(*frame.code->function, [&](bool result, size_t k, uint64_t at, uint64_t bytes) {
      if (result)
        each_lane(mask, [&](int l) {
          std::memcpy(caller.param(l) + shape.results[k], frame.param(l) + at, bytes);
        });
    });
  }
  w.ret(mask);
}

void decode_call(Decoder& d, const Instruction& inst, Inst& i) {
  auto shape = std::make_shared<CallShape>();
  const Operand* target = nullptr;
  bool before = true;  // lists before the target are results
  for (size_t k = 0; k < inst.operands.size(); ++k) {
    const Operand& o = inst.operands[k];
    if (o.kind == Operand::Kind::list) {
      for (const Operand& part : o.parts)
        (before ? shape->results : shape->params).push_back(d.param_offset(part.name));
    } else if (!target && (o.kind == Operand::Kind::symbol || o.kind == Operand::Kind::reg)) {
      target = &o;
      before = false;
    }
  }
  if (!target) d.unsupported(inst, "it calls nothing");
  if (target->kind == Operand::Kind::reg) {
    i.a = d.source(*target, Type::u64);
    i.run = call_indirect;
  } else if (decode_builtin(d, inst, target->name, shape->params, shape->results, i)) {
    return;
  } else {
    const auto it = d.symbols().functions.find(target->name);
    if (it == d.symbols().functions.end() || it->second->external)
      d.unsupported(inst, "the function " + target->name + " is not in the module");
    auto& code = d.image().codes[it->second];
    if (!code) code = std::make_unique<Code>();
    shape->callee = code.get();
    i.run = call_direct;
  }
  i.extra = shape.get();
  d.code().extras.push_back(std::move(shape));
}

void decode_ret(Decoder&, const Instruction&, Inst& i) { i.run = leave; }
void decode_exit(Decoder&, const Instruction&, Inst& i) {
  i.run = [](Warp& w, const Inst&, uint32_t mask) { w.exit(mask); };
}

constexpr Entry kTable[] = {
    {"bra", decode_bra, Class::control, "direct, guarded, .uni"},
    {"brx", decode_brx, Class::control, ".idx with .branchtargets"},
    {"call", decode_call, Class::control,
     "direct and indirect, recursion, parameters and results of any size"},
    {"ret", decode_ret, Class::control, ""},
    {"exit", decode_exit, Class::control, ""},
};

}  // namespace

std::span<const Entry> control_table() { return kTable; }

}  // namespace sim
