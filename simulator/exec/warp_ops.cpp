// Instructions between the lanes of a warp: PTX ISA, section 9.7.9.3 (shfl), 9.7.13.8 (vote), .9
// (match), .10 (activemask), .11 (redux). Lanes that the mask names and that have not come yet are
// waited for; they may come to another place of the code, with the same form and the same mask.
#include <algorithm>
#include <bit>
#include <cstring>

#include "simulator/exec/lanes.h"
#include "simulator/exec/shuffle.h"
#include "simulator/exec/types.h"

namespace sim {
namespace {

using ptx::Operand;
using ptx::Type;

/// Every lane names itself, and all named lanes are here. False: not here yet. Lanes that name
/// others, as the tiles of a warp do, leave the mask and execute the instruction after these.
bool gather(Warp& w, Row members, uint32_t& mask) {
  if (w.meeting()) return true;
  const auto* m = w.row(members);
  const uint32_t named = m[std::countr_zero(mask)];
  uint32_t others = 0;
  each_lane(mask, [&](int l) {
    if (!(m[l] >> l & 1))
      throw w.at({"lanes missing", "a thread executes an instruction whose mask does not name it"},
                 l);
    others |= uint32_t(m[l] != named) << l;
  });
  if (others) w.stay(others), mask &= ~others;
  return w.wait_for_lanes(named, mask, true) && w.reads_done();
}

/// An operand in all lanes that take part; `which` of the instruction's operands it is.
template <class C = uint32_t>
const C* operand(Warp& w, int which, Row row, uint32_t mask) {
  const C* own = w.row<C>(row);
  Meeting* m = w.meeting();
  if (!m) return own;
  auto* all = reinterpret_cast<C*>(m->operands[which]);
  if (m->brings) each_lane(mask, [&](int l) { all[l] = own[l]; });
  return all;
}
uint32_t operand_predicate(Warp& w, const Inst& i, uint32_t mask) {
  const uint32_t own = (w.predicate(i.q) ^ (i.p_negated ? ~0u : 0u)) & mask;
  Meeting* m = w.meeting();
  if (!m) return own;
  if (m->brings) m->yes |= own;
  return m->yes;
}
/// After the operands: all lanes that take part, of which those of `mask` are at this place. 0:
/// others have yet to bring theirs.
uint32_t taking_part(Warp& w, uint32_t mask) {
  const Meeting* m = w.meeting();
  return !m ? mask : m->brings ? 0 : m->lanes;
}

template <Shuffle S>
void shfl(Warp& w, const Inst& i, uint32_t mask) {
  if (!gather(w, i.rows[0], mask)) return;
  const auto *a = operand(w, 0, i.a, mask), *b = operand(w, 1, i.b, mask),
             *c = operand(w, 2, i.c, mask);
  const uint32_t all = taking_part(w, mask);
  if (!all) return;
  uint32_t result[kLanes], inside = 0;
  for (uint32_t l = 0; l < kLanes; ++l) {
    const ShuffleSource from = shuffle_source(S, l, b[l], c[l]);
    if ((mask >> l & 1) && !(all >> from.lane & 1)) {
      const bool there = w.alive() >> from.lane & 1;
      throw w.at(
          {"lanes missing", "shfl reads lane " + std::to_string(from.lane) +
                                (there ? ", which the mask does not name"
                                       : ", which has ended, or the block has no such thread")},
          int(l));
    }
    result[l] = a[from.lane];
    inside |= uint32_t(from.inside) << l;
  }
  write_lanes<uint32_t>(w.row(i.d), mask, [&](int l) { return result[l]; });
  if (i.p != kNoPredicate) write_predicate(w.predicate(i.p), mask, inside);
}

void decode_shfl(Decoder& d, const Instruction& inst, Inst& i) {
  if (!inst.has("sync")) d.unsupported(inst, "cards from sm_70 on have it only with .sync");
  expect_operands(d, inst, 5, 5);
  const Operand& to = inst.operands[0];
  if (to.kind == Operand::Kind::pair) {
    i.d = d.target(to.parts.at(0), Type::b32);
    i.p = d.predicate(to.parts.at(1));
  } else {
    i.d = d.target(to, Type::b32);
  }
  i.a = d.source(inst.operands[1], Type::b32);
  i.b = d.source(inst.operands[2], Type::b32);
  i.c = d.source(inst.operands[3], Type::b32);
  i.rows = d.keep({d.source(inst.operands[4], Type::b32)});
  d.type(inst, {Type::b32});
  i.run = inst.has("up")     ? Handler(shfl<Shuffle::up>)
          : inst.has("down") ? Handler(shfl<Shuffle::down>)
          : inst.has("bfly") ? Handler(shfl<Shuffle::bfly>)
          : inst.has("idx")  ? Handler(shfl<Shuffle::idx>)
                             : nullptr;
  if (!i.run) d.unsupported(inst, "it is .up, .down, .bfly or .idx");
}

enum class Vote { all, any, uni, ballot };

template <Vote V>
void vote(Warp& w, const Inst& i, uint32_t mask) {
  if (!gather(w, i.a, mask)) return;
  const uint32_t p = operand_predicate(w, i, mask), all = taking_part(w, mask);
  if (!all) return;
  if (V == Vote::ballot) {
    write_lanes<uint32_t>(w.row(i.d), mask, [&](int) { return p; });
    return;
  }
  const bool yes = V == Vote::all ? p == all : V == Vote::any ? p != 0 : p == 0 || p == all;
  write_predicate(w.predicate(i.p), mask, yes ? ~0u : 0u);
}

void decode_vote(Decoder& d, const Instruction& inst, Inst& i) {
  if (!inst.has("sync")) d.unsupported(inst, "cards from sm_70 on have it only with .sync");
  expect_operands(d, inst, 3, 3);
  const bool ballot = inst.has("ballot");
  d.type(inst, {ballot ? Type::b32 : Type::pred});
  if (ballot)
    i.d = d.target(inst.operands[0], Type::b32);
  else
    i.p = d.predicate(inst.operands[0]);
  i.q = d.predicate(inst.operands[1]);
  i.p_negated = inst.operands[1].negated;
  i.a = d.source(inst.operands[2], Type::b32);
  i.run = ballot            ? Handler(vote<Vote::ballot>)
          : inst.has("all") ? Handler(vote<Vote::all>)
          : inst.has("any") ? Handler(vote<Vote::any>)
          : inst.has("uni") ? Handler(vote<Vote::uni>)
                            : nullptr;
  if (!i.run) d.unsupported(inst, "it is .all, .any, .uni or .ballot");
}

template <class T>
void match_any(Warp& w, const Inst& i, uint32_t mask) {
  if (!gather(w, i.b, mask)) return;
  const auto* a = operand<Cell<T>>(w, 0, i.a, mask);
  const uint32_t all = taking_part(w, mask);
  if (!all) return;
  uint32_t result[kLanes] = {};
  each_lane(mask, [&](int l) {
    result[l] = all & lanes_where([&](int k) { return T(a[k]) == T(a[l]); });
  });
  write_lanes<uint32_t>(w.row(i.d), mask, [&](int l) { return result[l]; });
}

template <class T>
void match_all(Warp& w, const Inst& i, uint32_t mask) {
  if (!gather(w, i.b, mask)) return;
  const auto* a = operand<Cell<T>>(w, 0, i.a, mask);
  const uint32_t all = taking_part(w, mask);
  if (!all) return;
  const T first = T(a[std::countr_zero(all)]);
  const bool same = (all & ~lanes_where([&](int l) { return T(a[l]) == first; })) == 0;
  write_lanes<uint32_t>(w.row(i.d), mask, [&](int) { return same ? all : 0u; });
  if (i.p != kNoPredicate) write_predicate(w.predicate(i.p), mask, same ? ~0u : 0u);
}

void decode_match(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 3, 3);
  const Operand& to = inst.operands[0];
  if (to.kind == Operand::Kind::pair) i.p = d.predicate(to.parts.at(1));
  i.d = d.target(to.kind == Operand::Kind::pair ? to.parts.at(0) : to, Type::b32);
  const Type t = d.type(inst, {Type::b32, Type::b64});
  i.a = d.source(inst.operands[1], t);
  i.b = d.source(inst.operands[2], Type::b32);
  const bool wide = ptx::size_of(t) == 8, any = inst.has("any");
  if (!any && !inst.has("all")) d.unsupported(inst, "it is .any or .all");
  if (any)
    i.run = wide ? Handler(match_any<uint64_t>) : Handler(match_any<uint32_t>);
  else
    i.run = wide ? Handler(match_all<uint64_t>) : Handler(match_all<uint32_t>);
}

template <class T, class F>
void redux(Warp& w, const Inst& i, uint32_t mask, F&& combine) {
  if (!gather(w, i.b, mask)) return;
  const auto* a = operand(w, 0, i.a, mask);
  const uint32_t all = taking_part(w, mask);
  if (!all) return;
  T sum = get<T>(a[std::countr_zero(all)]);
  each_lane(all & (all - 1), [&](int l) { sum = combine(sum, get<T>(a[l])); });
  write_lanes<T>(w.row(i.d), mask, [&](int) { return sum; });
}

void decode_redux(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 3, 3);
  i.d = d.target(inst.operands[0], Type::b32);
  i.a = d.source(inst.operands[1], Type::b32);
  i.b = d.source(inst.operands[2], Type::b32);
  const bool is_signed = d.type(inst, {Type::u32, Type::s32, Type::b32}) == Type::s32;
  using U = uint32_t;
  using S = int32_t;
  if (inst.has("add"))
    i.run = [](Warp& w, const Inst& i, uint32_t m) {
      redux<U>(w, i, m, [](U a, U b) { return a + b; });
    };
  if (inst.has("and"))
    i.run = [](Warp& w, const Inst& i, uint32_t m) {
      redux<U>(w, i, m, [](U a, U b) { return a & b; });
    };
  if (inst.has("or"))
    i.run = [](Warp& w, const Inst& i, uint32_t m) {
      redux<U>(w, i, m, [](U a, U b) { return a | b; });
    };
  if (inst.has("xor"))
    i.run = [](Warp& w, const Inst& i, uint32_t m) {
      redux<U>(w, i, m, [](U a, U b) { return a ^ b; });
    };
  if (inst.has("min"))
    i.run = is_signed ? Handler([](Warp& w, const Inst& i, uint32_t m) {
      redux<S>(w, i, m, [](S a, S b) { return std::min(a, b); });
    })
                      : Handler([](Warp& w, const Inst& i, uint32_t m) {
                          redux<U>(w, i, m, [](U a, U b) { return std::min(a, b); });
                        });
  if (inst.has("max"))
    i.run = is_signed ? Handler([](Warp& w, const Inst& i, uint32_t m) {
      redux<S>(w, i, m, [](S a, S b) { return std::max(a, b); });
    })
                      : Handler([](Warp& w, const Inst& i, uint32_t m) {
                          redux<U>(w, i, m, [](U a, U b) { return std::max(a, b); });
                        });
  if (!i.run) d.unsupported(inst, "this form is not simulated");
}

void decode_activemask(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 1, 1);
  d.type(inst, {Type::b32});
  i.d = d.target(inst.operands[0], Type::b32);
  i.run = [](Warp& w, const Inst& i, uint32_t mask) {
    write_lanes<uint32_t>(w.row(i.d), mask, [&](int) { return mask; });
  };
}

/// The lowest lane of the mask is elected.
void decode_elect(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 2, 2);
  const Operand& to = inst.operands[0];
  if (to.kind != Operand::Kind::pair) d.unsupported(inst, "it has two results");
  i.d = d.target(to.parts.at(0), Type::b32);
  i.p = d.predicate(to.parts.at(1));
  i.a = d.source(inst.operands[1], Type::b32);
  i.run = [](Warp& w, const Inst& i, uint32_t mask) {
    if (!gather(w, i.a, mask)) return;
    const uint32_t all = taking_part(w, mask);
    if (!all) return;
    const auto first = uint32_t(std::countr_zero(all));
    write_lanes<uint32_t>(w.row(i.d), mask, [&](int) { return first; });
    write_predicate(w.predicate(i.p), mask, 1u << first);
  };
}

constexpr Entry kTable[] = {
    {"shfl", decode_shfl, Class::sync, ".sync .up .down .bfly .idx"},
    {"vote", decode_vote, Class::sync, ".sync .all .any .uni .ballot"},
    {"match", decode_match, Class::sync, ".any .all .sync, b32 b64"},
    {"redux", decode_redux, Class::sync, ".sync .add .min .max .and .or .xor, u32 s32 b32"},
    {"activemask", decode_activemask, Class::sync, ""},
    {"elect", decode_elect, Class::sync, ".sync"},
};

}  // namespace

std::span<const Entry> warp_table() { return kTable; }

}  // namespace sim
