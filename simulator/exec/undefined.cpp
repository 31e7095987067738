#include "simulator/exec/undefined.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "simulator/exec/access.h"
#include "simulator/exec/lanes.h"
#include "simulator/memory/memory.h"
#include "simulator/ptx/places.h"
#include "simulator/run/block.h"

namespace sim {
namespace {

using ptx::Operand;

bool is_one_of(const std::string& opcode, std::initializer_list<std::string_view> list) {
  return std::find(list.begin(), list.end(), opcode) != list.end();
}

/// Nothing of these can be undone or kept apart: other threads or the host see it.
bool decides(const std::string& opcode) {
  return is_one_of(
      opcode, {"atom", "red", "vote", "match", "redux", "elect", "bar", "barrier", "brx", "call",
               "mbarrier", "cp", "ldmatrix", "stmatrix", "wmma", "mma"});
}

bool has_no_result(const std::string& opcode) {
  return is_one_of(opcode, {"bra", "ret", "exit", "membar", "fence", "nanosleep", "prefetch"});
}

}  // namespace

uint32_t Undefined::lanes_of(const Warp& w, const Operand& o) const {
  const auto& known = w.undefined_registers();
  if (known.empty()) return 0;
  uint32_t lanes = 0;
  if (o.kind == Operand::Kind::reg || (o.kind == Operand::Kind::address && o.base_is_reg))
    lanes = known[o.value];
  for (const Operand& part : o.parts) lanes |= lanes_of(w, part);
  return lanes;
}

void Undefined::set(Warp& w, const Operand& o, uint32_t mask, uint32_t undefined) {
  for (const Operand& part : o.parts) set(w, part, mask, undefined);
  if (o.kind != Operand::Kind::reg) return;
  auto& known = w.undefined_registers();
  if (known.empty()) known.resize(w.code().function->registers.size());
  known[o.value] = (known[o.value] & ~mask) | (undefined & mask);
}

bool Undefined::load(Warp& w, const ptx::Instruction& text, int lane, const Fault& fault) {
  if (text.opcode != "ld") return false;
  faults_[lane] = latest_ = fault;
  set(w, text.operands.at(0), 1u << lane, 1u << lane);
  return true;
}

void Undefined::report(const ptx::Instruction& text, uint32_t lanes) const {
  const Fault& own = faults_[std::countr_zero(lanes)];
  Fault fault = own.kind.empty() ? latest_ : own;
  fault.details +=
      "; its value decides what " + text.text() + " does at " + ptx::brief_place_of(module_, text);
  throw fault;
}

/// Lanes in which the result is undefined. A value that a defined one overrules does not count.
uint32_t Undefined::result(Warp& w, const ptx::Instruction& text, const Inst& inst,
                           uint32_t mask) const {
  const auto& o = text.operands;
  const auto from = [&](size_t k) { return lanes_of(w, o[k]); };
  if (text.opcode == "selp" && o.size() == 4) {
    const uint32_t p = w.predicate(inst.p) ^ (inst.p_negated ? ~0u : 0u);
    return from(3) | (p & from(1)) | (~p & from(2));
  }
  const bool both = text.opcode == "and", either = text.opcode == "or";
  if ((both || either) && text.has("pred") && o.size() == 3) {
    const auto value = [&](size_t k) -> uint32_t {
      if (o[k].kind != Operand::Kind::reg) return o[k].value ? ~0u : 0u;
      const uint32_t bits = w.predicate_of(uint32_t(o[k].value));
      return o[k].negated ? ~bits : bits;
    };
    const uint32_t a = from(1), b = from(2), flip = either ? ~0u : 0u;
    return (a & b) | (a & (value(2) ^ flip)) | (b & (value(1) ^ flip));
  }
  uint32_t lanes = 0;
  for (size_t k = 1; k < o.size(); ++k) lanes |= from(k);
  // which lane's value it takes is not looked at
  if (text.opcode == "shfl" && (lanes & mask)) lanes = mask;
  return lanes;
}

bool Undefined::before(Warp& w, const Inst& inst, uint32_t mask) {
  const auto& known = w.undefined_registers();
  if (known.empty()) return false;
  const ptx::Instruction& text = w.code().function->code[inst.source];
  if (text.guard >= 0)
    if (const uint32_t lanes = known[size_t(text.guard)] & w.active()) report(text, lanes);
  if (!mask || text.operands.empty()) return false;
  if (text.opcode == "st") {
    if (const uint32_t lanes = lanes_of(w, text.operands[0]) & mask) report(text, lanes);
    stored_ = lanes_of(w, text.operands[1]) & mask;
    if (!stored_) return false;
    if (text.has("global") || text.has("param")) report(text, stored_);
    Addresses at;
    addresses_of(w, inst, at);
    std::copy(at.begin(), at.end(), at_);
    return true;
  }
  if (decides(text.opcode)) {
    const bool has_result = text.operands[0].kind != Operand::Kind::address && text.opcode != "brx";
    for (size_t k = has_result; k < text.operands.size(); ++k)
      if (const uint32_t lanes = lanes_of(w, text.operands[k]) & mask) report(text, lanes);
    if (has_result) set(w, text.operands[0], mask, 0);
  }
  if (has_no_result(text.opcode)) return false;
  if (text.opcode == "ld") {
    if (const uint32_t lanes = lanes_of(w, text.operands.at(1)) & mask) report(text, lanes);
    set(w, text.operands[0], mask, 0);
    return false;
  }
  if (!decides(text.opcode)) set(w, text.operands[0], mask, result(w, text, inst, mask));
  return false;
}

void Undefined::after(Warp& w, const Inst& inst) {
  const ptx::Instruction& text = w.code().function->code[inst.source];
  const ptx::Operand& value = text.operands[1];
  ptx::Type type = ptx::Type::none;
  for (const std::string& m : text.modifiers)
    if (const auto t = ptx::type_named(m)) type = *t;
  const uint64_t bytes = uint64_t(ptx::size_of(type)) * std::max<size_t>(1, value.parts.size());
  each_lane(stored_, [&](int l) {
    uint64_t at = at_[l];
    const bool shared =
        text.has("shared") || text.has("shared::cta") || at - kSharedBase < kSpaceWindow;
    const bool local = text.has("local") || at - kLocalBase < kSpaceWindow;
    if (!shared && !local) report(text, 1u << l);
    if (at - kSharedBase < kSpaceWindow) at -= kSharedBase;
    if (at - kLocalBase < kSpaceWindow) at -= kLocalBase;
    uint8_t* marks = shared ? w.block().shared_shadow().data() + at : w.local_shadow(l, at);
    std::memset(marks, kAddressable, bytes);
  });
}

}  // namespace sim
