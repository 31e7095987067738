// Comparisons and selections: PTX ISA, section 9.7.6.
#include <cmath>

#include "simulator/exec/formats.h"
#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"

namespace sim {
namespace {

using ptx::Type;

// For each comparison, whether it holds where an operand is NaN (the u forms), and where a is less
// than, equal to or greater than b.
struct Relation {
  const char* name;
  bool less, equal, greater, unordered;
};
constexpr Relation kRelations[] = {
    {"eq", false, true, false, false}, {"ne", true, false, true, false},
    {"lt", true, false, false, false}, {"le", true, true, false, false},
    {"gt", false, false, true, false}, {"ge", false, true, true, false},
    {"lo", true, false, false, false}, {"ls", true, true, false, false},
    {"hi", false, false, true, false}, {"hs", false, true, true, false},
    {"equ", false, true, false, true}, {"neu", true, false, true, true},
    {"ltu", true, false, false, true}, {"leu", true, true, false, true},
    {"gtu", false, false, true, true}, {"geu", false, true, true, true},
    {"num", true, true, true, false},  {"nan", false, false, false, true},
};

enum Option : uint8_t {
  kLess = 1,
  kEqual = 2,
  kGreater = 4,
  kUnordered = 8,
  kNegateP = 16,
  kFtz = 32
};
enum Combine : uint8_t { kPlain, kAnd, kOr, kXor };

/// f16 and bf16 are compared as the floats that they are.
struct Half {
  uint16_t bits;
};
struct Brain {
  uint16_t bits;
};

inline float number(Brain b) { return brain_to_float(b.bits); }
inline float number(Half h) { return half_to_float(h.bits); }
template <class T>
inline T number(T x) {
  return x;
}

/// .ftz, which f32 and f16 have.
template <class T>
float without_subnormal(float x) {
  const float normal = std::is_same_v<T, Half> ? 0x1p-14f : 0x1p-126f;
  return std::fabs(x) < normal ? std::copysign(0.0f, x) : x;
}

/// Shift 16: the upper numbers of pairs.
template <class T, int Shift = 0>
uint32_t compare(Warp& w, const Inst& i) {
  const auto* a = w.row<Cell<T>>(i.a);
  const auto* b = w.row<Cell<T>>(i.b);
  uint32_t less = 0, equal = 0, greater = 0;
  for (int l = 0; l < kLanes; ++l) {
    auto x = number(get<T>(a[l] >> Shift)), y = number(get<T>(b[l] >> Shift));
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, Half>)
      if (i.option & kFtz) x = without_subnormal<T>(x), y = without_subnormal<T>(y);
    less |= uint32_t(x < y) << l;
    equal |= uint32_t(x == y) << l;
    greater |= uint32_t(x > y) << l;
  }
  return (i.option & kLess ? less : 0) | (i.option & kEqual ? equal : 0) |
         (i.option & kGreater ? greater : 0) |
         (i.option & kUnordered ? ~(less | equal | greater) : 0);
}

/// i.offset: the predicate that is combined, i.count: how.
uint32_t combined(Warp& w, const Inst& i, uint32_t value) {
  if (i.count == kPlain) return value;
  uint32_t c = w.frame().predicates[size_t(i.offset)];
  if (i.option & kNegateP) c = ~c;
  return i.count == kAnd ? value & c : i.count == kOr ? value | c : value ^ c;
}

template <class T>
void setp(Warp& w, const Inst& i, uint32_t mask) {
  const uint32_t value = compare<T>(w, i);
  const uint32_t p = combined(w, i, value), q = combined(w, i, ~value);
  write_predicate(w.predicate(i.p), mask, p);
  if (i.q != kNoPredicate) write_predicate(w.predicate(i.q), mask, q);
}

/// The result is all ones, or 1.0, where it holds.
template <class T>
void set(Warp& w, const Inst& i, uint32_t mask) {
  const uint32_t value = combined(w, i, compare<T>(w, i));
  const uint32_t yes = i.target;
  write_lanes<uint32_t>(w.row(i.d), mask, [&](int l) { return value >> l & 1 ? yes : 0u; });
}

/// Pairs: p is of the lower numbers, q of the upper.
template <class T>
void setp_pair(Warp& w, const Inst& i, uint32_t mask) {
  const uint32_t low = combined(w, i, compare<T>(w, i)),
                 high = combined(w, i, compare<T, 16>(w, i));
  write_predicate(w.predicate(i.p), mask, low);
  write_predicate(w.predicate(i.q), mask, high);
}
template <class T>
void set_pair(Warp& w, const Inst& i, uint32_t mask) {
  const uint32_t low = combined(w, i, compare<T>(w, i)),
                 high = combined(w, i, compare<T, 16>(w, i));
  const uint32_t yes = i.target;
  write_lanes<uint32_t>(w.row(i.d), mask, [&](int l) {
    return (low >> l & 1 ? yes : 0u) | (high >> l & 1 ? yes << 16 : 0u);
  });
}

bool is_pair(Type t) { return t == Type::f16x2 || t == Type::bf16x2; }

template <class F>
Handler for_compared(Decoder& d, const Instruction& inst, Type t, F&& f) {
  switch (t) {
    case Type::f32:
      return f.template operator()<float>();
    case Type::f64:
      return f.template operator()<double>();
    case Type::f16:
      return f.template operator()<Half>();
    case Type::bf16:
      return f.template operator()<Brain>();
    default:
      return for_integer(d, inst, t, f);
  }
}

bool has_ftz(Type t) { return t == Type::f32 || t == Type::f16 || t == Type::f16x2; }

void read_relation(Decoder& d, const Instruction& inst, Type t, Inst& i) {
  const Relation* found = nullptr;
  for (const Relation& r : kRelations)
    if (inst.first() == r.name) found = &r;
  if (!found) d.unsupported(inst, "its comparison is not known");
  i.option = uint8_t((found->less ? kLess : 0) | (found->equal ? kEqual : 0) |
                     (found->greater ? kGreater : 0) | (found->unordered ? kUnordered : 0) |
                     (has_ftz(t) && inst.has("ftz") ? kFtz : 0));
  i.count = inst.has("and") ? kAnd : inst.has("or") ? kOr : inst.has("xor") ? kXor : kPlain;
}

void read_combined(Decoder& d, const Instruction& inst, Inst& i, size_t at) {
  if (i.count == kPlain) return;
  i.offset = d.predicate(inst.operands[at]);
  if (inst.operands[at].negated) i.option |= kNegateP;
}

void decode_setp(Decoder& d, const Instruction& inst, Inst& i) {
  const Type t = d.type(inst);
  read_relation(d, inst, t, i);
  expect_operands(d, inst, i.count == kPlain ? 3 : 4, i.count == kPlain ? 3 : 4);
  const ptx::Operand& to = inst.operands[0];
  if (to.kind == ptx::Operand::Kind::pair) {
    i.p = d.predicate(to.parts.at(0));
    i.q = d.predicate(to.parts.at(1));
  } else {
    i.p = d.predicate(to);
  }
  i.a = d.source(inst.operands[1], t);
  i.b = d.source(inst.operands[2], t);
  read_combined(d, inst, i, 3);
  if (is_pair(t)) {
    if (i.q == kNoPredicate) d.unsupported(inst, "pairs are compared into two predicates");
    i.run = t == Type::f16x2 ? Handler(setp_pair<Half>) : Handler(setp_pair<Brain>);
    return;
  }
  i.run = for_compared(d, inst, t, []<class T>() -> Handler { return setp<T>; });
}

/// What a set writes where its comparison holds, in each half of a pair.
uint32_t one_of(Type result, bool pair) {
  switch (result) {
    case Type::f32:
      return 0x3f800000;
    case Type::f16:
    case Type::f16x2:
      return 0x3c00;
    case Type::bf16:
    case Type::bf16x2:
      return 0x3f80;
    default:
      return pair || ptx::size_of(result) == 2 ? 0xffff : 0xffffffff;
  }
}

void decode_set(Decoder& d, const Instruction& inst, Inst& i) {
  const Type result = d.type(inst, 0), t = d.type(inst, 1);
  read_relation(d, inst, t, i);
  i.d = d.target(inst.operands[0], result);
  i.a = d.source(inst.operands[1], t);
  i.b = d.source(inst.operands[2], t);
  read_combined(d, inst, i, 3);
  i.target = one_of(result, is_pair(t));
  if (is_pair(t)) {
    i.run = t == Type::f16x2 ? Handler(set_pair<Half>) : Handler(set_pair<Brain>);
    return;
  }
  i.run = for_compared(d, inst, t, []<class T>() -> Handler { return set<T>; });
}

template <class T>
void selp(Warp& w, const Inst& i, uint32_t mask) {
  const uint32_t p = w.predicate(i.p) ^ (i.p_negated ? ~0u : 0u);
  const auto* a = w.row<Cell<T>>(i.a);
  const auto* b = w.row<Cell<T>>(i.b);
  write_lanes<T>(w.row<Cell<T>>(i.d), mask, [&](int l) { return T(p >> l & 1 ? a[l] : b[l]); });
}

void decode_selp(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 4, 4);
  const Type t = d.type(inst);
  i.d = d.target(inst.operands[0], t);
  i.a = d.source(inst.operands[1], t);
  i.b = d.source(inst.operands[2], t);
  i.p = d.predicate(inst.operands[3]);
  i.p_negated = inst.operands[3].negated;
  i.run = for_bits(d, inst, t, []<class T>() -> Handler { return selp<T>; });
}

/// c >= 0 ? a : b; a NaN takes b, -0 takes a, and with .ftz all negative numbers that are
/// subnormal.
template <class T, class C, bool Ftz = false>
void slct(Warp& w, const Inst& i, uint32_t mask) {
  const auto* a = w.row<Cell<T>>(i.a);
  const auto* b = w.row<Cell<T>>(i.b);
  const auto* c = w.row<Cell<C>>(i.c);
  constexpr C kLeast = Ftz ? C(-0x1p-126) : C(0);
  write_lanes<T>(w.row<Cell<T>>(i.d), mask, [&](int l) {
    const C x = get<C>(c[l]);
    return T((Ftz ? x > kLeast : x >= kLeast) ? a[l] : b[l]);
  });
}

void decode_slct(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 4, 4);
  const Type t = d.type(inst, 0), c = d.type(inst, {Type::f32, Type::s32}, 1);
  i.d = d.target(inst.operands[0], t);
  i.a = d.source(inst.operands[1], t);
  i.b = d.source(inst.operands[2], t);
  i.c = d.source(inst.operands[3], c);
  i.run = for_bits(d, inst, t, [&]<class T>() -> Handler {
    if (c != Type::f32) return slct<T, int32_t>;
    return inst.has("ftz") ? Handler(slct<T, float, true>) : Handler(slct<T, float>);
  });
}

constexpr Entry kTable[] = {
    {"setp", decode_setp, Class::integer,
     "all relations; b u s, 16 32 64; f16 bf16 f16x2 bf16x2 f32 f64; .and .or .xor"},
    {"set", decode_set, Class::integer, "results of 16 and 32 bits; f16x2 bf16x2"},
    {"selp", decode_selp, Class::integer, "16 32 64 bits"},
    {"slct", decode_slct, Class::integer, "16 32 64 bits"},
};

}  // namespace

std::span<const Entry> compare_table() { return kTable; }

}  // namespace sim
