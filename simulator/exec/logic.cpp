// Bits: logic, shifts, fields and permutations. PTX ISA, sections 9.7.1 and 9.7.8.
#include <algorithm>
#include <array>
#include <bit>

#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"

namespace sim {
namespace {

using ptx::Type;

template <class T>
struct And {
  static T of(T a, T b) { return a & b; }
};
template <class T>
struct Or {
  static T of(T a, T b) { return a | b; }
};
template <class T>
struct Xor {
  static T of(T a, T b) { return a ^ b; }
};
template <class T>
struct Not {
  static T of(T a) { return T(~a); }
};
template <class T>
struct Cnot {
  static T of(T a) { return a == 0; }
};

/// Counts past the width give 0, or the sign.
template <class T>
struct Shl {
  static T of(T a, uint32_t n) {
    return n >= 8 * sizeof(T) ? T(0) : T(std::make_unsigned_t<T>(a) << n);
  }
};
template <class T>
struct Shr {
  static T of(T a, uint32_t n) {
    if (std::is_signed_v<T>) return T(a >> std::min<uint32_t>(n, 8 * sizeof(T) - 1));
    return n >= 8 * sizeof(T) ? T(0) : T(a >> n);
  }
};

template <class T>
struct Popc {
  static uint32_t of(T a) { return uint32_t(std::popcount(a)); }
};
template <class T>
struct Clz {
  static uint32_t of(T a) { return uint32_t(std::countl_zero(a)); }
};
template <class T>
struct Brev {
  static T of(T a) {
    T r = 0;
    for (size_t k = 0; k < 8 * sizeof(T); ++k) r = T(r << 1 | (a >> k & 1));
    return r;
  }
};
/// Position of the highest bit that differs from the sign; all ones where there is none.
template <class T, bool Shift>
struct Bfind {
  static uint32_t of(T a) {
    using U = std::make_unsigned_t<T>;
    const U u = std::is_signed_v<T> && a < 0 ? U(~a) : U(a);
    if (u == 0) return 0xffffffff;
    const auto n = uint32_t(std::countl_zero(u));
    return Shift ? n : uint32_t(8 * sizeof(T)) - 1 - n;
  }
};
template <class T>
struct Bfe {
  static T of(T a, uint32_t pos, uint32_t len) {
    using U = std::make_unsigned_t<T>;
    constexpr uint32_t kBits = 8 * sizeof(T);
    pos &= 0xff, len &= 0xff;
    const bool negative =
        std::is_signed_v<T> && len > 0 && (U(a) >> std::min(pos + len - 1, kBits - 1) & 1);
    const U field = pos >= kBits ? U(0) : U(U(a) >> pos);
    const U mask = len >= kBits ? U(~U(0)) : U((U(1) << len) - 1);
    U r = field & mask;
    if (negative) {  // bits past the end of `a` are copies of its sign
      const uint32_t known = pos >= kBits ? 0 : std::min(len, kBits - pos);
      r = known >= kBits ? r : U((r & ((U(1) << known) - 1)) | (~U(0) << known));
    }
    return T(r);
  }
};
struct FunnelLeft {
  static uint32_t of(uint32_t lo, uint32_t hi, uint32_t n) {
    return uint32_t((uint64_t(hi) << 32 | lo) << (n & 31) >> 32);
  }
};
struct FunnelRight {
  static uint32_t of(uint32_t lo, uint32_t hi, uint32_t n) {
    return uint32_t((uint64_t(hi) << 32 | lo) >> (n & 31));
  }
};
struct FunnelLeftClamp {
  static uint32_t of(uint32_t lo, uint32_t hi, uint32_t n) {
    return n >= 32 ? lo : FunnelLeft::of(lo, hi, n);
  }
};
struct FunnelRightClamp {
  static uint32_t of(uint32_t lo, uint32_t hi, uint32_t n) {
    return n >= 32 ? hi : FunnelRight::of(lo, hi, n);
  }
};

/// b bits from bit a on. .clamp: counts past 32 are 32; .wrap: modulo 32.
template <bool Clamp>
struct Bmsk {
  static uint32_t of(uint32_t a, uint32_t b) {
    if (!Clamp) a &= 31, b &= 31;
    if (a >= 32) return 0;
    const uint32_t field = b >= 32 ? ~0u : (1u << b) - 1;
    return field << a;
  }
};
/// The position of the n-th set bit of a from bit b on, upwards or for negative n downwards.
struct Fns {
  static uint32_t of(uint32_t a, uint32_t b, int32_t n) {
    int64_t left = n < 0 ? -int64_t(n) : n;
    if (left == 0) left = 1, a &= b < 32 ? 1u << b : 0;
    for (uint32_t at = b; at < 32; at += n < 0 ? ~0u : 1u)
      if ((a >> at & 1) && --left == 0) return at;
    return ~0u;
  }
};
/// The low b bits of a, extended by zero or sign.
template <class T, bool Clamp>
struct Szext {
  static T of(T a, uint32_t b) {
    if (!Clamp) b &= 31;
    if (b >= 32) return a;
    if (b == 0) return 0;
    using U = uint32_t;
    return std::is_signed_v<T> ? T(int32_t(U(a) << (32 - b)) >> (32 - b))
                               : T(U(a) & ((1u << b) - 1));
  }
};

template <class T>
void bfi(Warp& w, const Inst& i, uint32_t mask) {
  constexpr uint32_t kBits = 8 * sizeof(T);
  const auto* a = w.row<Cell<T>>(i.a);
  const auto* b = w.row<Cell<T>>(i.b);
  const auto* pos = w.row(i.c);
  const auto* len = w.row(i.rows[0]);
  write_lanes<T>(w.row<Cell<T>>(i.d), mask, [&](int l) -> T {
    const uint32_t p = pos[l] & 0xff, n = len[l] & 0xff;
    if (p >= kBits || n == 0) return T(b[l]);
    const T field = n >= kBits ? T(~T(0)) : T((T(1) << n) - 1);
    const T m = T(field << p);
    return T((T(b[l]) & ~m) | (T(T(a[l]) << p) & m));
  });
}

/// Any function of three bits: the table is indexed by (a, b, c).
void lop3(Warp& w, const Inst& i, uint32_t mask) {
  const auto *a = w.row(i.a), *b = w.row(i.b), *c = w.row(i.c);
  const auto table = uint32_t(i.offset);
  std::array<uint32_t, 8> on;
  for (uint32_t k = 0; k < 8; ++k) on[k] = table >> k & 1 ? ~0u : 0u;
  write_lanes<uint32_t>(w.row(i.d), mask, [&](int l) {
    const uint32_t x = a[l], y = b[l], z = c[l];
    return (~x & ~y & ~z & on[0]) | (~x & ~y & z & on[1]) | (~x & y & ~z & on[2]) |
           (~x & y & z & on[3]) | (x & ~y & ~z & on[4]) | (x & ~y & z & on[5]) |
           (x & y & ~z & on[6]) | (x & y & z & on[7]);
  });
}

/// prmt: each selector nibble picks a byte of b:a, bit 3 spreads that byte's sign. Option: the
/// mode.
struct Prmt {
  static uint32_t of(uint32_t a, uint32_t b, uint32_t selector) {
    const uint64_t bytes = uint64_t(b) << 32 | a;
    uint32_t r = 0;
    for (int k = 0; k < 4; ++k) {
      const uint32_t s = selector >> 4 * k & 15;
      uint32_t byte = uint32_t(bytes >> 8 * (s & 7)) & 0xff;
      if (s & 8) byte = byte & 0x80 ? 0xff : 0;
      r |= byte << 8 * k;
    }
    return r;
  }
};
/// The modes with a name: what the default form's selector would be.
uint32_t selector_of(int mode, uint32_t n) {
  n &= 3;
  static const uint16_t kTable[6][4] = {{0x3210, 0x4321, 0x5432, 0x6543},   // f4e
                                        {0x5670, 0x6701, 0x7012, 0x0123},   // b4e
                                        {0x0000, 0x1111, 0x2222, 0x3333},   // rc8
                                        {0x3210, 0x3211, 0x3222, 0x3333},   // ecl
                                        {0x0000, 0x1110, 0x2210, 0x3210},   // ecr
                                        {0x1010, 0x3232, 0x1010, 0x3232}};  // rc16
  return kTable[mode][n];
}
template <int Mode>
struct PrmtMode {
  static uint32_t of(uint32_t a, uint32_t b, uint32_t c) {
    return Prmt::of(a, b, selector_of(Mode, c));
  }
};

/// and, or, xor and not of predicates are whole masks.
template <template <class> class Op>
void predicate2(Warp& w, const Inst& i, uint32_t mask) {
  auto& frame = w.frame().predicates;
  const uint32_t a = frame[size_t(i.offset) & 0xffff], b = frame[size_t(i.offset) >> 16];
  write_predicate(w.predicate(i.p), mask, Op<uint32_t>::of(a, b));
}

template <template <class> class Op>
void decode_logic2(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 3, 3);
  const Type t = d.type(inst);
  if (t == Type::pred) {
    i.p = d.predicate(inst.operands[0]);
    i.offset = d.predicate(inst.operands[1]) | int64_t(d.predicate(inst.operands[2])) << 16;
    i.run = predicate2<Op>;
    return;
  }
  i.d = d.target(inst.operands[0], t);
  i.a = d.source(inst.operands[1], t);
  i.b = d.source(inst.operands[2], t);
  i.run = for_bits(d, inst, t, []<class T>() -> Handler { return map2<T, T, T, Op<T>>; });
}

void decode_not(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 2, 2);
  const Type t = d.type(inst);
  if (t == Type::pred) {
    i.p = d.predicate(inst.operands[0]);
    i.q = d.predicate(inst.operands[1]);
    i.run = [](Warp& w, const Inst& i, uint32_t mask) {
      write_predicate(w.predicate(i.p), mask, ~w.predicate(i.q));
    };
    return;
  }
  i.d = d.target(inst.operands[0], t);
  i.a = d.source(inst.operands[1], t);
  i.run = inst.opcode == "not"
              ? for_bits(d, inst, t, []<class T>() -> Handler { return map1<T, T, Not<T>>; })
              : for_bits(d, inst, t, []<class T>() -> Handler { return map1<T, T, Cnot<T>>; });
}

void decode_shift(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 3, 3);
  const Type t = d.type(inst);
  i.d = d.target(inst.operands[0], t);
  i.a = d.source(inst.operands[1], t);
  i.b = d.source(inst.operands[2], Type::u32);
  i.run =
      inst.opcode == "shl"
          ? for_bits(d, inst, t, []<class T>() -> Handler { return map2<T, T, uint32_t, Shl<T>>; })
          : for_integer(d, inst, t,
                        []<class T>() -> Handler { return map2<T, T, uint32_t, Shr<T>>; });
}

void decode_count(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 2, 2);
  const Type t = d.type(inst, {Type::b32, Type::b64});
  i.d = d.target(inst.operands[0], inst.opcode == "brev" ? t : Type::u32);
  i.a = d.source(inst.operands[1], t);
  const bool wide = ptx::size_of(t) == 8;
  using A = uint32_t;
  using B = uint64_t;
  if (inst.opcode == "popc")
    i.run = wide ? Handler(map1<A, B, Popc<B>>) : Handler(map1<A, A, Popc<A>>);
  if (inst.opcode == "clz")
    i.run = wide ? Handler(map1<A, B, Clz<B>>) : Handler(map1<A, A, Clz<A>>);
  if (inst.opcode == "brev")
    i.run = wide ? Handler(map1<B, B, Brev<B>>) : Handler(map1<A, A, Brev<A>>);
}

void decode_bfind(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 2, 2);
  i.d = d.target(inst.operands[0], Type::u32);
  i.a = d.source(inst.operands[1], d.type(inst));
  const bool shift = inst.has("shiftamt");
  i.run = for_integer(d, inst, d.type(inst), [&]<class T>() -> Handler {
    return shift ? Handler(map1<uint32_t, T, Bfind<T, true>>)
                 : Handler(map1<uint32_t, T, Bfind<T, false>>);
  });
}

void decode_bfe(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 4, 4);
  i.d = d.target(inst.operands[0], d.type(inst));
  i.a = d.source(inst.operands[1], d.type(inst));
  i.b = d.source(inst.operands[2], Type::u32);
  i.c = d.source(inst.operands[3], Type::u32);
  i.run = for_integer(d, inst, d.type(inst),
                      []<class T>() -> Handler { return map3<T, T, uint32_t, uint32_t, Bfe<T>>; });
}

void decode_bfi(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 5, 5);
  const Type t = d.type(inst, {Type::b32, Type::b64});
  i.d = d.target(inst.operands[0], t);
  i.a = d.source(inst.operands[1], t);
  i.b = d.source(inst.operands[2], t);
  i.c = d.source(inst.operands[3], Type::u32);
  i.rows = d.keep({d.source(inst.operands[4], Type::u32)});
  i.run = ptx::size_of(t) == 8 ? Handler(bfi<uint64_t>) : Handler(bfi<uint32_t>);
}

/// .clamp, or .wrap.
bool clamps(Decoder& d, const Instruction& inst) {
  const bool clamp = inst.has("clamp");
  if (!clamp && !inst.has("wrap")) d.unsupported(inst, "it is .clamp or .wrap");
  return clamp;
}

void decode_shf(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 4, 4);
  d.type(inst, {Type::b32});
  i.d = d.target(inst.operands[0], Type::b32);
  i.a = d.source(inst.operands[1], Type::b32);
  i.b = d.source(inst.operands[2], Type::b32);
  i.c = d.source(inst.operands[3], Type::u32);
  using U = uint32_t;
  const bool clamp = clamps(d, inst), left = inst.has("l");
  if (!left && !inst.has("r")) d.unsupported(inst, "it is .l or .r");
  if (left)
    i.run =
        clamp ? Handler(map3<U, U, U, U, FunnelLeftClamp>) : Handler(map3<U, U, U, U, FunnelLeft>);
  else
    i.run = clamp ? Handler(map3<U, U, U, U, FunnelRightClamp>)
                  : Handler(map3<U, U, U, U, FunnelRight>);
}

void decode_lop3(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 5, 5);
  if (inst.operands[4].kind != ptx::Operand::Kind::integer)
    d.unsupported(inst, "its table is not a number");
  d.type(inst, {Type::b32});
  i.d = d.target(inst.operands[0], Type::b32);
  i.a = d.source(inst.operands[1], Type::b32);
  i.b = d.source(inst.operands[2], Type::b32);
  i.c = d.source(inst.operands[3], Type::b32);
  i.offset = int64_t(inst.operands[4].value & 0xff);
  i.run = lop3;
}

void decode_prmt(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 4, 4);
  d.type(inst, {Type::b32});
  i.d = d.target(inst.operands[0], Type::b32);
  i.a = d.source(inst.operands[1], Type::b32);
  i.b = d.source(inst.operands[2], Type::b32);
  i.c = d.source(inst.operands[3], Type::b32);
  using U = uint32_t;
  i.run = map3<U, U, U, U, Prmt>;
  if (inst.has("f4e")) i.run = map3<U, U, U, U, PrmtMode<0>>;
  if (inst.has("b4e")) i.run = map3<U, U, U, U, PrmtMode<1>>;
  if (inst.has("rc8")) i.run = map3<U, U, U, U, PrmtMode<2>>;
  if (inst.has("ecl")) i.run = map3<U, U, U, U, PrmtMode<3>>;
  if (inst.has("ecr")) i.run = map3<U, U, U, U, PrmtMode<4>>;
  if (inst.has("rc16")) i.run = map3<U, U, U, U, PrmtMode<5>>;
}

void decode_bmsk(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 3, 3);
  i.d = d.target(inst.operands[0], Type::b32);
  i.a = d.source(inst.operands[1], Type::b32);
  i.b = d.source(inst.operands[2], Type::u32);
  using U = uint32_t;
  using S = int32_t;
  const bool clamp = clamps(d, inst);
  const Type t = d.type(inst, {Type::b32, Type::u32, Type::s32});
  if (inst.opcode == "bmsk")
    i.run = clamp ? Handler(map2<U, U, U, Bmsk<true>>) : Handler(map2<U, U, U, Bmsk<false>>);
  else if (t == Type::s32)
    i.run =
        clamp ? Handler(map2<S, S, U, Szext<S, true>>) : Handler(map2<S, S, U, Szext<S, false>>);
  else
    i.run =
        clamp ? Handler(map2<U, U, U, Szext<U, true>>) : Handler(map2<U, U, U, Szext<U, false>>);
}

void decode_fns(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 4, 4);
  d.type(inst, {Type::b32});
  i.d = d.target(inst.operands[0], Type::b32);
  i.a = d.source(inst.operands[1], Type::b32);
  i.b = d.source(inst.operands[2], Type::b32);
  i.c = d.source(inst.operands[3], Type::s32);
  i.run = map3_scalar<uint32_t, uint32_t, uint32_t, int32_t, Fns>;
}

constexpr Entry kTable[] = {
    {"fns", decode_fns, Class::integer, "b32"},
    {"bmsk", decode_bmsk, Class::integer, ".clamp .wrap"},
    {"szext", decode_bmsk, Class::integer, ".clamp .wrap, u32 s32"},
    {"and", decode_logic2<And>, Class::integer, "pred b16 b32 b64"},
    {"or", decode_logic2<Or>, Class::integer, "pred b16 b32 b64"},
    {"xor", decode_logic2<Xor>, Class::integer, "pred b16 b32 b64"},
    {"not", decode_not, Class::integer, "pred b16 b32 b64"},
    {"cnot", decode_not, Class::integer, "b16 b32 b64"},
    {"shl", decode_shift, Class::integer, "b16 b32 b64"},
    {"shr", decode_shift, Class::integer, "b u s, 16 32 64"},
    {"popc", decode_count, Class::integer, "b32 b64"},
    {"clz", decode_count, Class::integer, "b32 b64"},
    {"brev", decode_count, Class::integer, "b32 b64"},
    {"bfind", decode_bfind, Class::integer, "u32 u64 s32 s64, .shiftamt"},
    {"bfe", decode_bfe, Class::integer, "u32 u64 s32 s64"},
    {"bfi", decode_bfi, Class::integer, "b32 b64"},
    {"shf", decode_shf, Class::integer, ".l .r, .clamp .wrap"},
    {"lop3", decode_lop3, Class::integer, "b32"},
    {"prmt", decode_prmt, Class::integer, "all modes"},
};

}  // namespace

std::span<const Entry> logic_table() { return kTable; }

}  // namespace sim
