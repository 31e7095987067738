// Moves: mov with packing and unpacking, addresses of variables, and conversions between address
// spaces. PTX ISA, sections 9.7.9.4 (mov), 9.7.9.20 (cvta) and 9.7.9.16 (isspacep).
#include "simulator/exec/access.h"
#include "simulator/exec/atomic_wide.h"
#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"
#include "simulator/memory/memory.h"

namespace sim {
namespace {

using ptx::Operand;
using ptx::Space;
using ptx::Type;

template <class T>
struct Same {
  static T of(T a) { return a; }
};

template <class P, class W>  // parts, whole
void pack(Warp& w, const Inst& i, uint32_t mask) {
  constexpr int kPart = 8 * sizeof(P);
  write_lanes<W>(w.row<Cell<W>>(i.d), mask, [&](int l) {
    W value = 0;
    for (int k = 0; k < i.count; ++k) value |= W(W(P(w.row<Cell<P>>(i.rows[k])[l])) << (k * kPart));
    return value;
  });
}

template <class P, class W>
void unpack(Warp& w, const Inst& i, uint32_t mask) {
  constexpr int kPart = 8 * sizeof(P);
  W whole[kLanes];
  const auto* a = w.row<Cell<W>>(i.a);
  for (int l = 0; l < kLanes; ++l) whole[l] = W(a[l]);
  for (int k = 0; k < i.count; ++k)
    write_lanes<P>(w.row<Cell<P>>(i.rows[k]), mask,
                   [&](int l) { return P(whole[l] >> (k * kPart)); });
}

Handler pick_pack(int part, int whole, bool packs) {
  if (part == 1 && whole == 2)
    return packs ? Handler(pack<uint8_t, uint16_t>) : Handler(unpack<uint8_t, uint16_t>);
  if (part == 1 && whole == 4)
    return packs ? Handler(pack<uint8_t, uint32_t>) : Handler(unpack<uint8_t, uint32_t>);
  if (part == 2 && whole == 4)
    return packs ? Handler(pack<uint16_t, uint32_t>) : Handler(unpack<uint16_t, uint32_t>);
  if (part == 2 && whole == 8)
    return packs ? Handler(pack<uint16_t, uint64_t>) : Handler(unpack<uint16_t, uint64_t>);
  if (part == 4 && whole == 8)
    return packs ? Handler(pack<uint32_t, uint64_t>) : Handler(unpack<uint32_t, uint64_t>);
  return nullptr;
}

void decode_vector_mov(Decoder& d, const Instruction& inst, Inst& i, Type t) {
  const bool packs = inst.operands[1].kind == Operand::Kind::vector;
  const Operand& parts = inst.operands[packs ? 1 : 0];
  const int whole = ptx::size_of(t), count = int(parts.parts.size());
  const int part = count > 0 && whole % count == 0 ? whole / count : 0;
  const Type part_type = part == 4 ? Type::b32 : part == 2 ? Type::b16 : Type::b8;
  if (part == 0) d.unsupported(inst, "this packing is not simulated");
  i.rows = d.rows(parts, part_type, !packs, i.count);
  if (packs)
    i.d = d.target(inst.operands[0], t);
  else
    i.a = d.source(inst.operands[1], t);
  i.run = pick_pack(part, whole, packs);
  if (!i.run) d.unsupported(inst, "this packing is not simulated");
}

/// The address of a local variable lies above what the callers have.
template <class T>
void local_address(Warp& w, const Inst& i, uint32_t mask) {
  const uint64_t at = w.frame().local_base + uint64_t(i.offset);
  write_lanes<T>(w.row<Cell<T>>(i.d), mask, [&](int) { return T(at); });
}

void decode_mov(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 2, 2);
  if (decode_wide_mov(d, inst, i)) return;
  const Type t = d.type(inst);
  const Operand &to = inst.operands[0], &from = inst.operands[1];
  if (t == Type::pred) {
    i.p = d.predicate(to);
    const bool explicit_cluster = from.kind == Operand::Kind::special;  // no launch has one
    i.q = explicit_cluster ? kFalsePredicate : d.predicate(from);
    i.run = [](Warp& w, const Inst& i, uint32_t mask) {
      write_predicate(w.predicate(i.p), mask, w.predicate(i.q));
    };
    return;
  }
  if (to.kind == Operand::Kind::vector || from.kind == Operand::Kind::vector)
    return decode_vector_mov(d, inst, i, t);
  i.d = d.target(to, t);
  const bool wide = ptx::size_of(t) == 8;
  if (from.kind == Operand::Kind::symbol) {
    if (d.param_variable(from.name)) {
      i.a = d.constant(uint64_t(d.param_offset(from.name)) + uint64_t(from.offset), t);
    } else {
      const auto place = d.place(from.name);
      if (!place) d.unsupported(inst, "nothing is called " + from.name);
      i.offset = int64_t(place->address) + from.offset;
      if (place->space == Space::local) {
        i.run = wide ? Handler(local_address<uint64_t>) : Handler(local_address<uint32_t>);
        return;
      }
      i.a = d.constant(uint64_t(i.offset), t);
    }
  } else if (from.kind == Operand::Kind::special && decode_special(d, from.name, wide, i)) {
    return;
  } else {
    i.a = d.source(from, t);
  }
  i.run = for_bits(d, inst, t, []<class T>() -> Handler { return map1<T, T, Same<T>>; });
}

// Generic addresses: a window for each space but global, whose addresses are generic as they are.
uint64_t base_of(const Decoder& d, const Instruction& inst) {
  if (inst.has("shared") || inst.has("shared::cta") || inst.has("shared::cluster"))
    return kSharedBase;
  if (inst.has("local")) return kLocalBase;
  if (inst.has("param") || inst.has("param::entry")) return kParamBase;
  // constants lie among global memory here, so nothing could tell them apart
  if (!inst.has("global") && (inst.opcode != "cvta" || !inst.has("const")))
    d.unsupported(inst, "it is of global, shared, local or param addresses");
  return 0;
}

void add_base(Warp& w, const Inst& i, uint32_t mask) {
  const auto* a = w.row<uint64_t>(i.a);
  write_lanes<uint64_t>(w.row<uint64_t>(i.d), mask,
                        [&](int l) { return a[l] + uint64_t(i.offset); });
}

void decode_cvta(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 2, 2);
  d.type(inst, {Type::u64});
  i.d = d.target(inst.operands[0], Type::u64);
  const uint64_t base = base_of(d, inst);
  i.offset = inst.has("to") ? -int64_t(base) : int64_t(base);
  if (inst.operands[1].kind == Operand::Kind::symbol) {
    const auto place = d.place(inst.operands[1].name);
    if (!place || place->space == Space::local)
      d.unsupported(inst, "this variable's address is not simulated");
    i.a = d.constant(place->address + uint64_t(inst.operands[1].offset), Type::u64);
  } else {
    i.a = d.source(inst.operands[1], Type::u64);
  }
  i.run = add_base;
}

template <int Which>
void is_in_space(Warp& w, const Inst& i, uint32_t mask) {
  const auto* a = w.row<uint64_t>(i.a);
  const uint32_t yes = lanes_where([&](int l) {
    const uint64_t x = a[l];
    const bool shared = x - kSharedBase < kSpaceWindow, local = x - kLocalBase < kSpaceWindow,
               param = x - kParamBase < kSpaceWindow;
    return Which == 0   ? shared
           : Which == 1 ? local
           : Which == 2 ? param
                        : !shared && !local && !param;
  });
  write_predicate(w.predicate(i.p), mask, yes);
}

void decode_isspacep(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 2, 2);
  i.p = d.predicate(inst.operands[0]);
  i.a = d.source(inst.operands[1], Type::u64);
  const uint64_t base = base_of(d, inst);
  i.run = base == kSharedBase  ? Handler(is_in_space<0>)
          : base == kLocalBase ? Handler(is_in_space<1>)
          : base == kParamBase ? Handler(is_in_space<2>)
                               : Handler(is_in_space<3>);
}

/// One cluster of one block: another block's shared memory is this one's.
void decode_mapa(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 3, 3);
  const Type t = d.type(inst, {Type::u32, Type::u64});
  inst.has("shared::cluster");  // or a generic address
  i.d = d.target(inst.operands[0], t);
  if (inst.operands[1].kind == Operand::Kind::symbol) {
    const auto place = d.place(inst.operands[1].name);
    if (!place) d.unsupported(inst, "nothing is called " + inst.operands[1].name);
    i.a = d.constant(place->address + uint64_t(inst.operands[1].offset), t);
  } else {
    i.a = d.source(inst.operands[1], t);
  }
  i.run = for_bits(d, inst, t, []<class T>() -> Handler { return map1<T, T, Same<T>>; });
}

void decode_getctarank(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 2, 2);
  d.type(inst, {Type::u32, Type::u64});
  inst.has("shared::cluster");  // or a generic address
  i.d = d.target(inst.operands[0], Type::u32);
  i.a = d.constant(0, Type::u32);
  i.run = map1<uint32_t, uint32_t, Same<uint32_t>>;
}

constexpr Entry kTable[] = {
    {"mov", decode_mov, Class::move,
     "all sizes, packing and unpacking, special registers, addresses"},
    {"cvta", decode_cvta, Class::move, ".global .shared .local .const .param, .to"},
    {"isspacep", decode_isspacep, Class::move, ".global .shared .local .param"},
    {"mapa", decode_mapa, Class::move, "clusters of one block"},
    {"getctarank", decode_getctarank, Class::move, "clusters of one block"},
};

}  // namespace

std::span<const Entry> move_table() { return kTable; }

}  // namespace sim
