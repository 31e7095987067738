#include "simulator/exec/undefined.h"

#include <algorithm>
#include <bit>
#include <span>

#include "simulator/exec/access.h"
#include "simulator/exec/lanes.h"
#include "simulator/exec/shuffle.h"
#include "simulator/memory/memory.h"
#include "simulator/memory/origins.h"
#include "simulator/ptx/places.h"
#include "simulator/run/block.h"
#include "simulator/run/state.h"

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

/// Of these the values say which undefined bits are taken.
bool takes_by_value(const std::string& opcode) {
  return is_one_of(opcode,
                   {"and", "or", "xor", "not", "lop3", "shl", "shr", "shf", "bfe", "bfi", "prmt"});
}

bool has_no_result(const std::string& opcode) {
  return is_one_of(opcode, {"bra", "ret", "exit", "membar", "fence", "nanosleep", "prefetch"});
}

/// Lanes in which an operand has undefined bits.
uint32_t lanes_of(const Warp& w, const Operand& o) {
  const auto& known = w.undefined_registers();
  uint32_t lanes = 0;
  if (o.kind == Operand::Kind::reg || (o.kind == Operand::Kind::address && o.base_is_reg))
    lanes = known.lanes(uint32_t(o.value));
  for (const Operand& part : o.parts) lanes |= lanes_of(w, part);
  return lanes;
}

uint64_t bits_of(const Warp& w, const Operand& o, int lane) {
  if (o.kind == Operand::Kind::reg) return w.undefined_registers().of(uint32_t(o.value), lane);
  return lanes_of(w, o) >> lane & 1 ? ~uint64_t(0) : 0;
}

/// What a result, or each part of one, has in a lane: as many bits as it is wide.
void set(Warp& w, const Operand& o, int lane, uint64_t bits) {
  for (const Operand& part : o.parts) set(w, part, lane, bits);
  if (o.kind != Operand::Kind::reg) return;
  const ptx::Type type = w.code().function->registers[o.value].type;
  const uint64_t width = type == ptx::Type::pred ? 1 : uint64_t(ptx::size_of(type)) * 8;
  w.undefined_registers().set(uint32_t(o.value), lane, bits & low_bits(width));
}

void define(Warp& w, const Operand& o, uint32_t mask) {
  each_lane(mask & lanes_of(w, o), [&](int l) { set(w, o, l, 0); });
}

ptx::Type type_of(const ptx::Instruction& text) {
  ptx::Type type = ptx::Type::none;
  for (const std::string& m : text.modifiers)
    if (const auto t = ptx::type_named(m)) type = *t;
  return type;
}

bool is_signed(ptx::Type t) {
  return t == ptx::Type::s8 || t == ptx::Type::s16 || t == ptx::Type::s32;
}

/// Operand k of an instruction that takes_by_value. Amounts and positions have 32 bits.
uint64_t value_of(Warp& w, const ptx::Instruction& text, const Inst& inst, size_t k, int lane) {
  const Operand& o = text.operands[k];
  if (o.kind == Operand::Kind::integer) return o.value;
  if (text.has("pred")) {
    const bool bit = w.predicate_of(uint32_t(o.value)) >> lane & 1;
    return bit != o.negated;
  }
  const Row row = k == 1 ? inst.a : k == 2 ? inst.b : k == 3 ? inst.c : inst.rows[0];
  const bool whole = k == 1 || (k == 2 && !is_one_of(text.opcode, {"shl", "shr", "bfe"}));
  if (whole && ptx::size_of(type_of(text)) == 8) return w.row<uint64_t>(row)[lane];
  return w.row(row)[lane];
}

/// The operands of a vector, or the one.
std::span<const Operand> parts_of(const Operand& o) {
  if (o.kind == Operand::Kind::vector) return o.parts;
  return {&o, 1};
}

/// Of an argument or a result.
uint32_t bytes_of_param(const ptx::Function& f, const std::string& name) {
  for (const auto* list : {&f.locals, &f.results})
    for (const ptx::Variable& v : *list)
      if (v.name == name) return uint32_t(v.bytes);
  return 0;
}

}  // namespace

bool Undefined::load(Warp& w, const ptx::Instruction& text, int lane, const uint8_t* shadow,
                     const Fault& fault) {
  if (text.opcode != "ld") return false;
  faults_[lane] = std::make_shared<const Fault>(fault);
  const ptx::Type type = type_of(text);
  const auto size = size_t(ptx::size_of(type));
  for (const Operand& to : parts_of(text.operands[0])) {
    uint64_t bits = 0;
    for (size_t byte = 0; byte < size && byte < 8; ++byte)
      if (!(*shadow++ & kWritten)) bits |= uint64_t(0xff) << 8 * byte;
    if (is_signed(type) && (bits >> (8 * size - 1) & 1)) bits |= ~low_bits(8 * size);
    set(w, to, lane, bits);
  }
  return true;
}

Fault Undefined::fault_of(const ptx::Instruction& text, uint32_t lanes,
                          const std::string& did) const {
  Fault fault = *faults_[std::countr_zero(lanes)];
  fault.details += "; its value " + did + text.text();
  return fault;
}

void Undefined::report(const ptx::Instruction& text, uint32_t lanes) const {
  Fault fault = fault_of(text, lanes, "decides what ");
  fault.details += " does at " + ptx::brief_place_of(module_, text);
  throw fault;
}

/// Of the operands from one on.
void Undefined::expect_defined(const Warp& w, const ptx::Instruction& text, size_t from,
                               uint32_t mask) const {
  for (size_t k = from; k < text.operands.size(); ++k)
    if (const uint32_t lanes = lanes_of(w, text.operands[k]) & mask) report(text, lanes);
}

bool Undefined::before(Warp& w, const Inst& inst, uint32_t mask) {
  if (w.undefined_registers().empty()) return false;
  const ptx::Instruction& text = w.code().function->code[inst.source];
  if (text.guard >= 0)
    if (const uint32_t lanes = w.undefined_registers().lanes(uint32_t(text.guard)) & w.active())
      report(text, lanes);
  if (!mask || text.operands.empty()) return false;
  const Operand& to = text.operands[0];
  if (text.opcode == "st") return store(w, text, inst, mask);
  if (decides(text.opcode)) {
    const bool has_result = to.kind != Operand::Kind::address && text.opcode != "brx";
    expect_defined(w, text, has_result, mask);
    if (has_result) define(w, to, mask);
  } else if (text.opcode == "ld") {
    expect_defined(w, text, 1, mask);
    define(w, to, mask);
  } else if (text.opcode == "shfl") {
    shuffle(w, text, inst, mask);
  } else if (!has_no_result(text.opcode)) {
    uint32_t lanes = 0;
    for (size_t k = 1; k < text.operands.size(); ++k) lanes |= lanes_of(w, text.operands[k]);
    define(w, to, mask & ~lanes);
    if (mask & lanes) compute(w, text, inst, mask & lanes);
  }
  return false;
}

/// In lanes with an undefined operand. A value that a defined one overrules does not count.
void Undefined::compute(Warp& w, const ptx::Instruction& text, const Inst& inst, uint32_t mask) {
  const auto& o = text.operands;
  if (o[0].kind == Operand::Kind::vector || o[1].kind == Operand::Kind::vector)
    return move(w, text, mask);
  const bool by_value = takes_by_value(text.opcode);
  each_lane(mask, [&](int l) {
    Partly in[8];
    const size_t n = std::min(o.size() - 1, std::size(in));
    for (size_t k = 0; k < n; ++k) {
      in[k].undefined = bits_of(w, o[k + 1], l);
      if (by_value) in[k].value = value_of(w, text, inst, k + 1, l);
    }
    if (text.opcode == "selp" && n == 3 && !in[2].undefined) {
      const bool first = (w.predicate(inst.p) >> l & 1) != inst.p_negated;
      return set(w, o[0], l, in[first ? 0 : 1].undefined);
    }
    set(w, o[0], l, undefined_result(text, {in, n}));
  });
}

/// mov that packs registers into one, or takes one apart.
void Undefined::move(Warp& w, const ptx::Instruction& text, uint32_t mask) {
  const Operand &to = text.operands[0], &from = text.operands[1];
  const bool packs = from.kind == Operand::Kind::vector;
  const auto parts = parts_of(packs ? from : to);
  const uint64_t width = uint64_t(ptx::size_of(type_of(text))) * 8 / parts.size();
  each_lane(mask, [&](int l) {
    uint64_t whole = 0, at = 0;
    for (const Operand& part : parts) {
      if (packs)
        whole |= bits_of(w, part, l) << at % 64;
      else
        set(w, part, l, bits_of(w, from, l) >> at % 64 & low_bits(width));
      at += width;
    }
    if (packs) set(w, to, l, whole);
  });
}

void Undefined::shuffle(Warp& w, const ptx::Instruction& text, const Inst& inst, uint32_t mask) {
  const auto* members = w.row(inst.rows[0]);
  const uint32_t named = members[std::countr_zero(mask)];
  each_lane(mask, [&](int l) {
    if (members[l] != named) mask &= ~(1u << l);
  });
  expect_defined(w, text, 2, mask);
  if (named & w.alive() & ~mask) return;  // it waits for these
  bring(w, inst, mask), take(w, inst, mask);
}

void Undefined::bring(Warp& w, const Inst& inst, uint32_t mask) {
  const ptx::Instruction& text = w.code().function->code[inst.source];
  const bool shuffles = text.opcode == "shfl";
  expect_defined(w, text, shuffles ? 2 : 1, mask);
  if (!shuffles) return;
  each_lane(mask, [&](int l) {
    brought_[size_t(l)] = bits_of(w, text.operands[1], l), origins_[l] = faults_[l];
  });
}

/// Each lane has what the lane that it reads from had, and its fault.
void Undefined::take(Warp& w, const Inst& inst, uint32_t mask) {
  const ptx::Instruction& text = w.code().function->code[inst.source];
  const Operand& to = text.operands[0];
  define(w, to, mask);
  if (text.opcode != "shfl") return;
  const Shuffle kind = text.has("up")     ? Shuffle::up
                       : text.has("down") ? Shuffle::down
                       : text.has("bfly") ? Shuffle::bfly
                                          : Shuffle::idx;
  const auto *b = w.row(inst.b), *c = w.row(inst.c);
  each_lane(mask, [&](int l) {
    const auto from = shuffle_source(kind, uint32_t(l), b[l], c[l]).lane;
    if (!brought_[from]) return;
    set(w, to.kind == Operand::Kind::pair ? to.parts.at(0) : to, l, brought_[from]);
    faults_[l] = origins_[from];
  });
}

/// True where bytes of it are undefined, which memory notes. A parameter may be undefined only as
/// part of a larger one, as the padding of a struct is.
bool Undefined::store(Warp& w, const ptx::Instruction& text, const Inst& inst, uint32_t mask) {
  if (const uint32_t lanes = lanes_of(w, text.operands[0]) & mask) report(text, lanes);
  const Operand& value = text.operands[1];
  const auto size = uint32_t(ptx::size_of(type_of(text)));
  stored_ = lanes_of(w, value) & mask;
  bytes_ = size * uint32_t(parts_of(value).size());
  each_lane(stored_, [&](int l) {
    uint32_t at = 0;
    undefined_bytes_[size_t(l)] = 0;
    for (const Operand& part : parts_of(value)) {
      const uint64_t bits = bits_of(w, part, l);
      for (uint32_t byte = 0; byte < size; ++byte, ++at)
        if ((bits >> 8 * byte & 0xff) == 0xff) undefined_bytes_[size_t(l)] |= uint64_t(1) << at;
    }
    if (undefined_bytes_[size_t(l)] == 0) stored_ &= ~(1u << l);
  });
  if (!stored_) return false;
  if (text.has("global")) expect_some_defined(text, size);
  if (text.has("param")) {
    const uint32_t whole = bytes_of_param(*w.code().function, text.operands[0].name);
    if (whole == bytes_) report(text, stored_);
    return false;
  }
  Addresses at;
  addresses_of(w, inst, at);
  std::copy(at.begin(), at.end(), at_.begin());
  return true;
}

/// What other threads and the host see may be undefined beside what is not; and in single bytes, as
/// which the compiler copies padding.
void Undefined::expect_some_defined(const ptx::Instruction& text, uint32_t size) const {
  each_lane(stored_, [&](int l) {
    if (size > 1 && undefined_bytes_[size_t(l)] == low_bits(bytes_)) report(text, 1u << l);
  });
}

void Undefined::after(Warp& w, const Inst& inst) {
  const ptx::Instruction& text = w.code().function->code[inst.source];
  each_lane(stored_, [&](int l) {
    const uint64_t at = at_[size_t(l)];
    const bool shared =
        text.has("shared") || text.has("shared::cta") || at - kSharedBase < kSpaceWindow;
    const bool local = text.has("local") || at - kLocalBase < kSpaceWindow;
    std::shared_ptr<const Fault> origin;
    if (!shared && !local) {
      expect_some_defined(text, uint32_t(ptx::size_of(type_of(text))));
      Fault fault = fault_of(text, 1u << l, "is stored by ");
      fault.details += " at " + ptx::brief_place_of(module_, text);
      fault.kernel = w.block().launch().launch->kernel;
      origin = std::make_shared<const Fault>(std::move(fault));
    }
    uint8_t* marks = nullptr;
    if (shared) marks = w.block().shared_shadow().data() + at % kSpaceWindow;
    if (local) marks = w.local_shadow(l, at % kSpaceWindow);
    for (uint32_t byte = 0; byte < bytes_; ++byte) {
      if (!(undefined_bytes_[size_t(l)] >> byte & 1)) continue;
      if (marks)
        marks[byte] = kAddressable;
      else
        mark(at + byte, 1, kAddressable), remember_origin(at + byte, origin);
    }
  });
}

}  // namespace sim
