// Integer arithmetic: PTX ISA, section 9.7.1. Overflow wraps except where .sat says otherwise.
#include <algorithm>
#include <limits>

#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"

namespace sim {
namespace {

/// Arithmetic that wraps, also for signed types.
template <class T>
using U = std::conditional_t<sizeof(T) < 4, uint32_t, std::make_unsigned_t<T>>;

template <class T>
struct Add {
  static T of(T a, T b) { return T(U<T>(a) + U<T>(b)); }
};
template <class T>
struct Sub {
  static T of(T a, T b) { return T(U<T>(a) - U<T>(b)); }
};
template <class T>
struct MulLo {
  static T of(T a, T b) { return T(U<T>(a) * U<T>(b)); }
};
template <class T>
struct Min {
  static T of(T a, T b) { return a < b ? a : b; }
};
template <class T>
struct Max {
  static T of(T a, T b) { return a < b ? b : a; }
};
/// .relu, of s32 alone.
template <class Op>
struct NotNegative {
  static int32_t of(int32_t a, int32_t b) { return std::max(Op::of(a, b), 0); }
};
template <class T>
struct Neg {
  static T of(T a) { return T(U<T>(0) - U<T>(a)); }
};
template <class T>
struct Abs {
  static T of(T a) { return a < T(0) ? Neg<T>::of(a) : a; }
};

template <class T>
struct AddSat {
  static T of(T a, T b) {
    const int64_t s = int64_t(a) + int64_t(b);
    return T(std::clamp<int64_t>(s, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
  }
};
template <class T>
struct SubSat {
  static T of(T a, T b) {
    const int64_t s = int64_t(a) - int64_t(b);
    return T(std::clamp<int64_t>(s, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
  }
};

template <class T>
struct Twice;
template <>
struct Twice<uint16_t> {
  using Type = uint32_t;
};
template <>
struct Twice<int16_t> {
  using Type = int32_t;
};
template <>
struct Twice<uint32_t> {
  using Type = uint64_t;
};
template <>
struct Twice<int32_t> {
  using Type = int64_t;
};
template <>
struct Twice<uint64_t> {
  using Type = unsigned __int128;
};
template <>
struct Twice<int64_t> {
  using Type = __int128;
};

template <class T>
struct MulWide {
  using W = typename Twice<T>::Type;
  static W of(T a, T b) { return W(W(a) * W(b)); }
};
template <class T>
struct MulHi {
  using W = typename Twice<T>::Type;
  static T of(T a, T b) { return T(W(W(a) * W(b)) >> (8 * sizeof(T))); }
};
template <class T>
struct MadLo {
  static T of(T a, T b, T c) { return Add<T>::of(MulLo<T>::of(a, b), c); }
};
template <class T>
struct MadHi {
  static T of(T a, T b, T c) { return Add<T>::of(MulHi<T>::of(a, b), c); }
};
template <class T>
struct MadWide {
  using W = typename Twice<T>::Type;
  static W of(T a, T b, W c) { return Add<W>::of(MulWide<T>::of(a, b), c); }
};

// PTX leaves division by zero open; cards give all ones, and the dividend as the remainder.
template <class T>
struct Div {
  static T of(T a, T b) {
    if (b == 0) return T(-1);
    if constexpr (std::is_signed_v<T>)
      if (b == T(-1)) return Neg<T>::of(a);
    return T(a / b);
  }
};
template <class T>
struct Rem {
  static T of(T a, T b) {
    if (b == 0) return a;
    if constexpr (std::is_signed_v<T>)
      if (b == T(-1)) return 0;
    return T(a % b);
  }
};
template <class T>
struct Sad {
  static T of(T a, T b, T c) { return Add<T>::of(c, a < b ? Sub<T>::of(b, a) : Sub<T>::of(a, b)); }
};
struct MadHiSat {
  static int32_t of(int32_t a, int32_t b, int32_t c) {
    return AddSat<int32_t>::of(MulHi<int32_t>::of(a, b), c);
  }
};
/// Bits 0 to 31 of a product of 24-bit numbers, or with Hi its bits 16 to 47.
template <class T, bool Hi>
struct Mul24 {
  static int64_t low24(T x) {
    return std::is_signed_v<T> ? int64_t(int32_t(uint32_t(x) << 8) >> 8)
                               : int64_t(uint32_t(x) & 0xffffff);
  }
  static T of(T a, T b) { return T(uint32_t(low24(a) * low24(b) >> (Hi ? 16 : 0))); }
};
template <class T, bool Hi>
struct Mad24 {
  static T of(T a, T b, T c) { return Add<T>::of(Mul24<T, Hi>::of(a, b), c); }
};
struct Mad24HiSat {
  static int32_t of(int32_t a, int32_t b, int32_t c) {
    return AddSat<int32_t>::of(Mul24<int32_t, true>::of(a, b), c);
  }
};

void two_sources(Decoder& d, const Instruction& inst, Inst& i, ptx::Type type, ptx::Type to) {
  expect_operands(d, inst, 3, 3);
  i.d = d.target(inst.operands[0], to);
  i.a = d.source(inst.operands[1], type);
  i.b = d.source(inst.operands[2], type);
}

ptx::Type twice(ptx::Type t) { return ptx::size_of(t) == 2 ? ptx::Type::u32 : ptx::Type::u64; }

/// The third source is as wide as the result.
void three_sources(Decoder& d, const Instruction& inst, Inst& i, ptx::Type type, ptx::Type last) {
  expect_operands(d, inst, 4, 4);
  i.d = d.target(inst.operands[0], last);
  i.a = d.source(inst.operands[1], type);
  i.b = d.source(inst.operands[2], type);
  i.c = d.source(inst.operands[3], last);
}

template <template <class> class Op>
Handler pick2(Decoder& d, const Instruction& inst) {
  return for_integer(d, inst, d.type(inst),
                     []<class T>() -> Handler { return map2<T, T, T, Op<T>>; });
}
template <template <class> class Op>
Handler pick2_scalar(Decoder& d, const Instruction& inst) {
  return for_integer(d, inst, d.type(inst),
                     []<class T>() -> Handler { return map2_scalar<T, T, T, Op<T>>; });
}

/// Instances for the types that have one of twice the size.
template <class F>
Handler for_wide(Decoder& d, const Instruction& inst, F&& f) {
  using ptx::Type;
  switch (d.type(inst)) {
    case Type::u16:
      return f.template operator()<uint16_t>();
    case Type::s16:
      return f.template operator()<int16_t>();
    case Type::u32:
      return f.template operator()<uint32_t>();
    case Type::s32:
      return f.template operator()<int32_t>();
    case Type::u64:
      return f.template operator()<uint64_t>();
    case Type::s64:
      return f.template operator()<int64_t>();
    default:
      d.unsupported(inst, "its type is not an integer of 16, 32 or 64 bits");
  }
}

bool wide_enough(ptx::Type t) { return ptx::size_of(t) < 8; }

// add, sub, mul, min, ... are shared with the real numbers, which decode them first (real.cpp).
}  // namespace

void decode_carry(Decoder& d, const Instruction& inst, Inst& i);

bool decode_integer_arithmetic(Decoder& d, const Instruction& inst, Inst& i) {
  if (inst.has("cc")) return decode_carry(d, inst, i), true;
  using ptx::Type;
  const Type t = d.type(inst);
  const std::string& op = inst.opcode;
  if (op == "add" || op == "sub") {
    two_sources(d, inst, i, t, t);
    if (t == Type::s32 && inst.has("sat"))
      i.run = op == "add" ? Handler(map2<int32_t, int32_t, int32_t, AddSat<int32_t>>)
                          : Handler(map2<int32_t, int32_t, int32_t, SubSat<int32_t>>);
    else
      i.run = op == "add" ? pick2<Add>(d, inst) : pick2<Sub>(d, inst);
  } else if (op == "mul") {
    two_sources(d, inst, i, t, inst.has("wide") ? twice(t) : t);
    if (inst.has("wide")) {
      if (!wide_enough(t)) d.unsupported(inst, "there is no wider type");
      i.run = for_wide(d, inst, []<class T>() -> Handler {
        if constexpr (sizeof(T) < 8)
          return map2<typename Twice<T>::Type, T, T, MulWide<T>>;
        else
          return nullptr;
      });
    } else if (inst.has("hi")) {
      i.run = for_wide(d, inst, []<class T>() -> Handler { return map2<T, T, T, MulHi<T>>; });
    } else if (inst.has("lo")) {
      i.run = pick2<MulLo>(d, inst);
    }
  } else if (op == "mad") {
    const bool wide = inst.has("wide");
    three_sources(d, inst, i, t, wide ? twice(t) : t);
    const bool hi = inst.has("hi");
    if (hi && t == Type::s32 && inst.has("sat"))
      i.run = map3<int32_t, int32_t, int32_t, int32_t, MadHiSat>;
    else if (wide)
      i.run = for_wide(d, inst, []<class T>() -> Handler {
        if constexpr (sizeof(T) < 8)
          return map3<typename Twice<T>::Type, T, T, typename Twice<T>::Type, MadWide<T>>;
        else
          return nullptr;
      });
    else if (hi)
      i.run = for_wide(d, inst, []<class T>() -> Handler { return map3<T, T, T, T, MadHi<T>>; });
    else if (inst.has("lo"))
      i.run =
          for_integer(d, inst, t, []<class T>() -> Handler { return map3<T, T, T, T, MadLo<T>>; });
  } else if (op == "min" || op == "max") {
    two_sources(d, inst, i, t, t);
    using S = int32_t;
    if (t == Type::s32 && inst.has("relu"))
      i.run = op == "min" ? Handler(map2<S, S, S, NotNegative<Min<S>>>)
                          : Handler(map2<S, S, S, NotNegative<Max<S>>>);
    else
      i.run = op == "min" ? pick2<Min>(d, inst) : pick2<Max>(d, inst);
  } else if (op == "div" || op == "rem") {
    two_sources(d, inst, i, t, t);
    i.run = op == "div" ? pick2_scalar<Div>(d, inst) : pick2_scalar<Rem>(d, inst);
  } else if (op == "neg" || op == "abs") {
    expect_operands(d, inst, 2, 2);
    i.d = d.target(inst.operands[0], t);
    i.a = d.source(inst.operands[1], t);
    i.run = op == "neg"
                ? for_integer(d, inst, t, []<class T>() -> Handler { return map1<T, T, Neg<T>>; })
                : for_integer(d, inst, t, []<class T>() -> Handler { return map1<T, T, Abs<T>>; });
  } else {
    return false;
  }
  return i.run != nullptr;
}

namespace {

template <class T>
void pick_24(const Instruction& inst, bool hi, Inst& i) {
  if (inst.opcode == "mul24")
    i.run = hi ? Handler(map2<T, T, T, Mul24<T, true>>) : Handler(map2<T, T, T, Mul24<T, false>>);
  else if (hi && std::is_signed_v<T> && inst.has("sat"))
    i.run = map3<int32_t, int32_t, int32_t, int32_t, Mad24HiSat>;
  else
    i.run =
        hi ? Handler(map3<T, T, T, T, Mad24<T, true>>) : Handler(map3<T, T, T, T, Mad24<T, false>>);
}
void decode_24(Decoder& d, const Instruction& inst, Inst& i) {
  const ptx::Type t = d.type(inst, {ptx::Type::u32, ptx::Type::s32});
  const bool hi = inst.has("hi");
  if (!hi && !inst.has("lo")) d.unsupported(inst, "it is .lo or .hi");
  if (inst.opcode == "mul24")
    two_sources(d, inst, i, t, t);
  else
    three_sources(d, inst, i, t, t);
  if (t == ptx::Type::s32)
    pick_24<int32_t>(inst, hi, i);
  else
    pick_24<uint32_t>(inst, hi, i);
}

void decode_sad(Decoder& d, const Instruction& inst, Inst& i) {
  three_sources(d, inst, i, d.type(inst), d.type(inst));
  i.run = for_integer(d, inst, d.type(inst),
                      []<class T>() -> Handler { return map3<T, T, T, T, Sad<T>>; });
}

template <class A, class B>
struct Dp4a {
  static int32_t of(uint32_t a, uint32_t b, int32_t c) {
    uint32_t sum = uint32_t(c);
    for (int k = 0; k < 4; ++k) sum += uint32_t(int32_t(A(a >> 8 * k)) * int32_t(B(b >> 8 * k)));
    return int32_t(sum);
  }
};

/// Two halves of a with the lower or upper two bytes of b.
template <class A, class B, int Shift>
struct Dp2a {
  static int32_t of(uint32_t a, uint32_t b, int32_t c) {
    uint32_t sum = uint32_t(c);
    for (int k = 0; k < 2; ++k)
      sum += uint32_t(int32_t(A(a >> 16 * k)) * int32_t(B(b >> (Shift + 8 * k))));
    return int32_t(sum);
  }
};
template <class A, class B>
using Dp2aLo = Dp2a<A, B, 0>;
template <class A, class B>
using Dp2aHi = Dp2a<A, B, 16>;

/// By the signs of both sources; a's parts have 8 or 16 bits.
template <template <class, class> class Op, class SignedA, class UnsignedA>
Handler pick_dot(bool signed_a, bool signed_b) {
  using R = uint32_t;
  using S = int32_t;
  if (signed_a)
    return signed_b ? Handler(map3<S, R, R, S, Op<SignedA, int8_t>>)
                    : Handler(map3<S, R, R, S, Op<SignedA, uint8_t>>);
  return signed_b ? Handler(map3<S, R, R, S, Op<UnsignedA, int8_t>>)
                  : Handler(map3<S, R, R, S, Op<UnsignedA, uint8_t>>);
}

void decode_dot(Decoder& d, const Instruction& inst, Inst& i) {
  using ptx::Type;
  three_sources(d, inst, i, Type::b32, Type::b32);
  const bool sa = d.type(inst, {Type::u32, Type::s32}, 0) == Type::s32,
             sb = d.type(inst, {Type::u32, Type::s32}, 1) == Type::s32;
  if (inst.opcode == "dp4a")
    i.run = pick_dot<Dp4a, int8_t, uint8_t>(sa, sb);
  else if (inst.has("hi"))
    i.run = pick_dot<Dp2aHi, int16_t, uint16_t>(sa, sb);
  else if (inst.has("lo"))
    i.run = pick_dot<Dp2aLo, int16_t, uint16_t>(sa, sb);
  else
    d.unsupported(inst, "it is .lo or .hi");
}

constexpr Entry kTable[] = {
    {"mul24", decode_24, Class::integer, ".lo .hi u32 s32"},
    {"mad24", decode_24, Class::integer, ".lo .hi (.sat) u32 s32"},
    {"sad", decode_sad, Class::integer, "u16 u32 u64 s16 s32 s64"},
    {"dp4a", decode_dot, Class::integer, "u32 s32"},
    {"dp2a", decode_dot, Class::integer, ".lo .hi u32 s32"},
};

}  // namespace

std::span<const Entry> integer_table() { return kTable; }

}  // namespace sim
