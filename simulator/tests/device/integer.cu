// Integer arithmetic: PTX ISA, sections 9.7.1 and 9.7.2.
#include "operands.h"

namespace {

template <class T>
T clamped(s128 x) {
  using L = std::numeric_limits<T>;
  return x < L::min() ? L::min() : x > L::max() ? L::max() : T(x);
}
s32 low24(s32 x) { return s32(u32(x) << 8) >> 8; }
u32 low24(u32 x) { return x & 0xffffff; }

struct Words4 {
  u32 w[4];
};
Words4 words(u128 x) { return {{u32(x), u32(x >> 32), u32(x >> 64), u32(x >> 96)}}; }

template <class A, class B>
u32 dot4(u32 a, u32 b, u32 c) {
  for (int k = 0; k < 4; ++k) c += u32(s32(A(a >> 8 * k)) * s32(B(b >> 8 * k)));
  return c;
}
template <class A, class B>
u32 dot2(u32 a, u32 b, u32 c, int half) {
  for (int k = 0; k < 2; ++k) c += u32(s32(A(a >> 16 * k)) * s32(B(b >> (16 * half + 8 * k))));
  return c;
}

#define ALL(X) X(u16) X(s16) X(u32) X(s32) X(u64) X(s64)
#define SIGNED(X) X(s16) X(s32) X(s64)

#define ARITHMETIC(T)                                                                        \
  OP2(T, T, T, "add." #T, u64(a) + u64(b))                                                   \
  OP2(T, T, T, "sub." #T, u64(a) - u64(b))                                                   \
  OP2(T, T, T, "mul.lo." #T, u64(a) * u64(b))                                                \
  OP2(T, T, T, "mul.hi." #T, s128(a) * s128(b) >> 8 * sizeof(T))                             \
  OP3(T, T, T, T, "mad.lo." #T, u64(a) * u64(b) + u64(c))                                    \
  OP3(T, T, T, T, "mad.hi." #T, u64(s128(a) * s128(b) >> 8 * sizeof(T)) + u64(c))            \
  OP2(T, T, T, "min." #T, a < b ? a : b)                                                     \
  OP2(T, T, T, "max." #T, a > b ? a : b)                                                     \
  OP3(T, T, T, T, "sad." #T, u64(c) + (a < b ? u64(b) - u64(a) : u64(a) - u64(b)))           \
  BODY2(                                                                                     \
      T, T, T, "a / b, " #T, { return b == 0 || (b == T(-1) && T(-1) < 0) ? b : T(a / b); }, \
      b == 0 || (b == T(-1) && T(-1) < 0) ? b : T(a / b))                                    \
  BODY2(                                                                                     \
      T, T, T, "a % b, " #T, { return b == 0 || (b == T(-1) && T(-1) < 0) ? b : T(a % b); }, \
      b == 0 || (b == T(-1) && T(-1) < 0) ? b : T(a % b))
ALL(ARITHMETIC)

// mul.hi of u64 needs all 128 bits unsigned.
OP2(u64, u64, u64, "mul.hi.u64", u128(a) * b >> 64)

#define SIGN(T)                 \
  OP1(T, T, "neg." #T, -u64(a)) \
  OP1(T, T, "abs." #T, a < 0 ? -u64(a) : u64(a))
SIGNED(SIGN)

OP2(s32, s32, s32, "add.sat.s32", clamped<s32>(s128(a) + b))
OP2(s32, s32, s32, "sub.sat.s32", clamped<s32>(s128(a) - b))
OP3(s32, s32, s32, s32, "mad.hi.sat.s32", clamped<s32>((s64(a) * b >> 32) + c))

OP2(u32, u16, u16, "mul.wide.u16", u32(a) * b)
OP2(s32, s16, s16, "mul.wide.s16", s32(a) * b)
OP2(u64, u32, u32, "mul.wide.u32", u64(a) * b)
OP2(s64, s32, s32, "mul.wide.s32", s64(a) * b)
OP3(u32, u16, u16, u32, "mad.wide.u16", u32(a) * b + c)
OP3(s32, s16, s16, s32, "mad.wide.s16", u32(s32(a) * b) + u32(c))
OP3(u64, u32, u32, u64, "mad.wide.u32", u64(a) * b + c)
OP3(s64, s32, s32, s64, "mad.wide.s32", u64(s64(a) * b) + u64(c))

#define MUL24(T)                                                          \
  OP2(T, T, T, "mul24.lo." #T, s128(low24(a)) * low24(b))                 \
  OP2(T, T, T, "mul24.hi." #T, s128(low24(a)) * low24(b) >> 16)           \
  OP3(T, T, T, T, "mad24.lo." #T, u64(s64(low24(a)) * low24(b)) + u64(c)) \
  OP3(T, T, T, T, "mad24.hi." #T, u64(s64(low24(a)) * low24(b) >> 16) + u64(c))
MUL24(u32)
MUL24(s32)
OP3(s32, s32, s32, s32, "mad24.hi.sat.s32", clamped<s32>((s64(low24(a)) * low24(b) >> 16) + c))

OP3(u32, u32, u32, u32, "dp4a.u32.u32", dot4<u8, u8>(a, b, c))
OP3(u32, u32, u32, u32, "dp4a.u32.s32", dot4<u8, s8>(a, b, c))
OP3(u32, u32, u32, u32, "dp4a.s32.u32", dot4<s8, u8>(a, b, c))
OP3(u32, u32, u32, u32, "dp4a.s32.s32", dot4<s8, s8>(a, b, c))
OP3(u32, u32, u32, u32, "dp2a.lo.u32.u32", dot2<u16, u8>(a, b, c, 0))
OP3(u32, u32, u32, u32, "dp2a.hi.u32.u32", dot2<u16, u8>(a, b, c, 1))
OP3(u32, u32, u32, u32, "dp2a.lo.s32.u32", dot2<s16, u8>(a, b, c, 0))
OP3(u32, u32, u32, u32, "dp2a.hi.s32.s32", dot2<s16, s8>(a, b, c, 1))

// Carries: 128-bit sums from four words, and products from 32-bit and 64-bit ones.
__device__ Words4 add_words(u128 a, u128 b) {
  Words4 r;
  asm("add.cc.u32 %0, %4, %8; addc.cc.u32 %1, %5, %9; addc.cc.u32 %2, %6, %10; addc.u32 %3, %7, "
      "%11;"
      : "=r"(r.w[0]), "=r"(r.w[1]), "=r"(r.w[2]), "=r"(r.w[3])
      : "r"(u32(a)), "r"(u32(a >> 32)), "r"(u32(a >> 64)), "r"(u32(a >> 96)), "r"(u32(b)),
        "r"(u32(b >> 32)), "r"(u32(b >> 64)), "r"(u32(b >> 96)));
  return r;
}
__device__ Words4 sub_words(u128 a, u128 b) {
  Words4 r;
  asm("sub.cc.u32 %0, %4, %8; subc.cc.u32 %1, %5, %9; subc.cc.u32 %2, %6, %10; subc.u32 %3, %7, "
      "%11;"
      : "=r"(r.w[0]), "=r"(r.w[1]), "=r"(r.w[2]), "=r"(r.w[3])
      : "r"(u32(a)), "r"(u32(a >> 32)), "r"(u32(a >> 64)), "r"(u32(a >> 96)), "r"(u32(b)),
        "r"(u32(b >> 32)), "r"(u32(b >> 64)), "r"(u32(b >> 96)));
  return r;
}
__device__ Words4 mul_words(u64 a, u64 b, u128 c) {
  Words4 r;
  asm("{ .reg .u32 m;\n"
      "mad.lo.cc.u32 %0, %4, %6, %8; madc.hi.cc.u32 %1, %4, %6, %9;\n"
      "madc.hi.cc.u32 %2, %5, %7, %10; addc.u32 %3, %11, 0;\n"
      "mad.lo.cc.u32 %1, %4, %7, %1; madc.hi.cc.u32 %2, %4, %7, %2; addc.u32 %3, %3, 0;\n"
      "mad.lo.cc.u32 %1, %5, %6, %1; madc.hi.cc.u32 %2, %5, %6, %2; addc.u32 %3, %3, 0;\n"
      "mul.lo.u32 m, %5, %7; add.cc.u32 %2, %2, m; addc.u32 %3, %3, 0; }"
      : "=&r"(r.w[0]), "=&r"(r.w[1]), "=&r"(r.w[2]), "=&r"(r.w[3])
      : "r"(u32(a)), "r"(u32(a >> 32)), "r"(u32(b)), "r"(u32(b >> 32)), "r"(u32(c)),
        "r"(u32(c >> 32)), "r"(u32(c >> 64)), "r"(u32(c >> 96)));
  return r;
}
Words4 mul_words_host(u64 a, u64 b, u128 c) {  // the high half of hi * hi is added one word low
  const u64 a0 = u32(a), a1 = a >> 32, b0 = u32(b), b1 = b >> 32;
  return words(u128(a0) * b0 + (u128(u32(a1 * b1 >> 32)) << 64) + (u128(a0 * b1) << 32) +
               (u128(a1 * b0) << 32) + (u128(u32(a1 * b1)) << 64) + c);
}
BODY2(
    Words4, u128, u128, "add.cc chain", { return add_words(a, b); }, words(a + b))
BODY2(
    Words4, u128, u128, "sub.cc chain", { return sub_words(a, b); }, words(a - b))
BODY3(
    Words4, u64, u64, u128, "mad.cc chain", { return mul_words(a, b, c); }, mul_words_host(a, b, c))

__device__ u128 add_longs(u128 a, u128 b) {
  u64 low, high;
  asm("add.cc.u64 %0, %2, %4; addc.u64 %1, %3, %5;"
      : "=l"(low), "=l"(high)
      : "l"(u64(a)), "l"(u64(a >> 64)), "l"(u64(b)), "l"(u64(b >> 64)));
  return u128(high) << 64 | low;
}
BODY2(
    u128, u128, u128, "add.cc.u64 chain", { return add_longs(a, b); }, a + b)
BODY2(
    u128, u128, u128, "__int128 +", { return a + b; }, a + b)
BODY2(
    u128, u128, u128, "__int128 -", { return a - b; }, a - b)
BODY2(
    u128, u128, u128, "__int128 *", { return a * b; }, a* b)
BODY2(
    u128, u128, u128, "unsigned __int128 /", { return b ? a / b : a; }, b ? a / b : a)
BODY2(
    s128, s128, s128, "__int128 %", { return b > 1 ? a % b : a; }, b > 1 ? a % b : a)
BODY2(
    u128, u128, u32, "__int128 <<", { return a << (b & 127); }, a << (b & 127))
BODY2(
    s128, s128, u32, "__int128 >>", { return a >> (b & 127); }, a >> (b & 127))
BODY2(
    u32, s128, s128, "__int128 <", { return a < b; }, a < b)

// Bytes: C++ widens them, and stores keep the low bits.
BODY2(
    u8, u8, u8, "u8 + *", { return u8(a * 3 + b); }, a * 3 + b)
BODY2(
    s8, s8, s8, "s8 - >>", { return s8((a - b) >> 1); }, (a - b) >> 1)

}  // namespace

int main() { return test::run_all(); }
