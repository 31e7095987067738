// Arithmetic with carry: PTX ISA, section 9.7.2. The carry of each lane is one bit of a mask that
// the warp's frame keeps.
#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"

namespace sim {
namespace {

using ptx::Type;

template <class T>
struct Sum {
  T value;
  bool carry;
};
template <class T>
Sum<T> plus(T a, T b, bool carry) {
  const auto wide = (unsigned __int128)a + b + carry;
  return {T(wide), (wide >> (8 * sizeof(T))) != 0};
}
/// a + ~b + carry, as cards do: a set carry means no borrow, which an addc after a sub.cc can see.
template <class T>
Sum<T> minus(T a, T b, bool carry) {
  return plus<T>(a, T(~b), carry);
}

enum Option : uint8_t { kIn = 1, kOut = 2, kMinus = 4, kHigh = 8, kSigned = 16 };

/// add.cc, addc, sub.cc, subc; with `Multiply` mad.cc and madc, whose product is added to c.
template <class T, bool Multiply>
void carry(Warp& w, const Inst& i, uint32_t mask) {
  const auto* a = w.row<Cell<T>>(i.a);
  const auto* b = w.row<Cell<T>>(i.b);
  const auto* c = w.row<Cell<T>>(i.c);
  auto* d = w.row<Cell<T>>(i.d);
  uint32_t& bits = w.frame().carry;
  each_lane(mask, [&](int l) {
    T x = T(a[l]), y = T(b[l]);
    if constexpr (Multiply) {
      using S = std::make_signed_t<T>;
      const auto product = i.option & kSigned ? (unsigned __int128)((__int128)S(a[l]) * S(b[l]))
                                              : (unsigned __int128)x * y;
      x = T(i.option & kHigh ? product >> (8 * sizeof(T)) : product);
      y = T(c[l]);
    }
    const bool in = i.option & kIn ? bits >> l & 1 : (i.option & kMinus) != 0;
    const Sum<T> s = i.option & kMinus ? minus(x, y, in) : plus(x, y, in);
    d[l] = s.value;
    if (i.option & kOut) bits = (bits & ~(1u << l)) | uint32_t(s.carry) << l;
  });
}

}  // namespace

void decode_carry(Decoder& d, const Instruction& inst, Inst& i) {
  const Type t = d.type(inst, {Type::u32, Type::s32, Type::u64, Type::s64});
  const bool multiply = inst.opcode.starts_with("mad");
  expect_operands(d, inst, multiply ? 4 : 3, multiply ? 4 : 3);
  i.d = d.target(inst.operands[0], t);
  i.a = d.source(inst.operands[1], t);
  i.b = d.source(inst.operands[2], t);
  i.c = multiply ? d.source(inst.operands[3], t) : i.a;
  const bool high = multiply && inst.has("hi");
  if (multiply && !high && !inst.has("lo")) d.unsupported(inst, "it is .lo or .hi");
  i.option = uint8_t((inst.opcode.ends_with("c") ? kIn : 0) | (inst.has("cc") ? kOut : 0) |
                     (inst.opcode.starts_with("sub") ? kMinus : 0) | (high ? kHigh : 0) |
                     (t == Type::s32 || t == Type::s64 ? kSigned : 0));
  i.kind = Class::integer;
  const bool wide = ptx::size_of(t) == 8;
  if (multiply)
    i.run = wide ? Handler(carry<uint64_t, true>) : Handler(carry<uint32_t, true>);
  else
    i.run = wide ? Handler(carry<uint64_t, false>) : Handler(carry<uint32_t, false>);
}

namespace {

constexpr Entry kTable[] = {
    {"addc", decode_carry, Class::integer, "32 and 64 bits, .cc"},
    {"subc", decode_carry, Class::integer, "32 and 64 bits, .cc"},
    {"madc", decode_carry, Class::integer, ".lo .hi, 32 and 64 bits, .cc"},
};

}  // namespace

std::span<const Entry> carry_table() { return kTable; }

}  // namespace sim
