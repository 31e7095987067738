// Bits: PTX ISA, sections 9.7.1 (popc to bmsk) and 9.7.8 (logic and shift), prmt of 9.7.9.
#include "operands.h"

namespace {

template <class T>
constexpr int kBits = 8 * sizeof(T);

template <class T>
u32 count_ones(T x) {
  u32 n = 0;
  for (; x; x &= x - 1) ++n;
  return n;
}
template <class T>
u32 leading_zeros(T x) {
  u32 n = 0;
  for (T bit = T(1) << (kBits<T> - 1); bit && !(x & bit); bit >>= 1) ++n;
  return n;
}
template <class T>
T reversed(T x) {
  T r = 0;
  for (int k = 0; k < kBits<T>; ++k) r |= T(x >> k & 1) << (kBits<T> - 1 - k);
  return r;
}
template <class T>
u32 highest(T x, bool shift_amount) {
  std::make_unsigned_t<T> v = x;
  if (std::is_signed_v<T> && v >> (kBits<T> - 1)) v = ~v;
  const u32 zeros = leading_zeros(v);
  if (zeros == kBits<T>) return ~0u;
  return shift_amount ? zeros : kBits<T> - 1 - zeros;
}
template <class T>
T extracted(T a, u32 b, u32 c) {
  const u32 at = b & 0xff, length = c & 0xff, top = kBits<T> - 1;
  const bool sign = std::is_signed_v<T> && length != 0 && (a >> std::min(at + length - 1, top) & 1);
  u64 r = 0;
  for (u32 k = 0; k <= top; ++k)
    r |= u64(k < length && at + k <= top ? (a >> (at + k)) & 1 : sign) << k;
  return T(r);
}
template <class T>
T inserted(T a, T b, u32 c, u32 d) {
  const u32 at = c & 0xff, length = d & 0xff;
  T f = b;
  for (u32 k = 0; k < length && at + k < kBits<T>; ++k)
    f = (f & ~(T(1) << (at + k))) | (a >> k & 1) << (at + k);
  return f;
}
template <class T>
T shifted(T a, u32 b, bool left) {
  if (b >= kBits<T>) return std::is_signed_v<T> && !left && a < 0 ? T(-1) : T(0);
  return left ? T(a << b) : T(a >> b);
}
u32 funnel(u32 a, u32 b, u32 c, bool left, bool clamp) {
  const u32 n = clamp ? std::min(c, 32u) : c & 31;
  const u64 both = u64(b) << 32 | a;
  return left ? u32(both << n >> 32) : u32(both >> n);
}

#define WORDS(X) X(16) X(32) X(64)
#define LOGIC(N)                                         \
  OP2(u##N, u##N, u##N, "and.b" #N, a& b)                \
  OP2(u##N, u##N, u##N, "or.b" #N, a | b)                \
  OP2(u##N, u##N, u##N, "xor.b" #N, a ^ b)               \
  OP1(u##N, u##N, "not.b" #N, ~a)                        \
  OP1(u##N, u##N, "cnot.b" #N, a == 0)                   \
  OP2(u##N, u##N, u32, "shl.b" #N, shifted(a, b, true))  \
  OP2(u##N, u##N, u32, "shr.u" #N, shifted(a, b, false)) \
  OP2(s##N, s##N, u32, "shr.s" #N, shifted(a, b, false))
WORDS(LOGIC)

#define COUNTS(N)                                                  \
  OP1(u32, u##N, "popc.b" #N, count_ones(a))                       \
  OP1(u32, u##N, "clz.b" #N, leading_zeros(a))                     \
  OP1(u##N, u##N, "brev.b" #N, reversed(a))                        \
  OP1(u32, u##N, "bfind.u" #N, highest(a, false))                  \
  OP1(u32, s##N, "bfind.s" #N, highest(a, false))                  \
  OP1(u32, u##N, "bfind.shiftamt.u" #N, highest(a, true))          \
  OP1(u32, s##N, "bfind.shiftamt.s" #N, highest(a, true))          \
  OP3(u##N, u##N, u32, u32, "bfe.u" #N, extracted(a, b, c))        \
  OP3(s##N, s##N, u32, u32, "bfe.s" #N, extracted(a, b, c))        \
  BODY3(                                                           \
      u##N, u##N, u##N, u32, "bfi.b" #N,                           \
      {                                                            \
        u##N r;                                                    \
        asm("bfi.b" #N " %0, %1, %2, %3, %4;"                      \
            : "=" ASM_u##N(r)                                      \
            : ASM_u##N(a), ASM_u##N(b), "r"(c & 63), "r"(c >> 8)); \
        return r;                                                  \
      },                                                           \
      inserted(a, b, c & 63, c >> 8))
COUNTS(32)
COUNTS(64)

OP3(u32, u32, u32, u32, "shf.l.wrap.b32", funnel(a, b, c, true, false))
OP3(u32, u32, u32, u32, "shf.l.clamp.b32", funnel(a, b, c, true, true))
OP3(u32, u32, u32, u32, "shf.r.wrap.b32", funnel(a, b, c, false, false))
OP3(u32, u32, u32, u32, "shf.r.clamp.b32", funnel(a, b, c, false, true))

// prmt: byte k of the result is what selector nibble k says; bit 3 of it replicates the sign.
u32 permuted(u32 a, u32 b, u32 selector) {
  const u64 bytes = u64(b) << 32 | a;
  u32 r = 0;
  for (int k = 0; k < 4; ++k) {
    const u32 s = selector >> 4 * k & 15;
    const u32 byte = u32(bytes >> 8 * (s & 7)) & 0xff;
    r |= (s & 8 ? (byte & 0x80 ? 0xff : 0) : byte) << 8 * k;
  }
  return r;
}
/// The rows of the manual's table for the modes, as selectors of the default mode.
u32 by_mode(u32 a, u32 b, u32 c, const u32 (&selectors)[4]) {
  return permuted(a, b, selectors[c & 3]);
}
OP3(u32, u32, u32, u32, "prmt.b32", permuted(a, b, c))
OP3(u32, u32, u32, u32, "prmt.b32.f4e", by_mode(a, b, c, {0x3210, 0x4321, 0x5432, 0x6543}))
OP3(u32, u32, u32, u32, "prmt.b32.b4e", by_mode(a, b, c, {0x5670, 0x6701, 0x7012, 0x0123}))
OP3(u32, u32, u32, u32, "prmt.b32.rc8", by_mode(a, b, c, {0x0000, 0x1111, 0x2222, 0x3333}))
OP3(u32, u32, u32, u32, "prmt.b32.ecl", by_mode(a, b, c, {0x3210, 0x3211, 0x3222, 0x3333}))
OP3(u32, u32, u32, u32, "prmt.b32.ecr", by_mode(a, b, c, {0x0000, 0x1110, 0x2210, 0x3210}))
OP3(u32, u32, u32, u32, "prmt.b32.rc16", by_mode(a, b, c, {0x1010, 0x3232, 0x1010, 0x3232}))

u32 mask_of_bits(u32 a, u32 b, bool clamp) {
  const u32 at = clamp ? a : a & 31, width = clamp ? b : b & 31;
  u32 r = 0;
  for (u64 k = at; k < 32 && k < u64(at) + width; ++k) r |= 1u << k;
  return r;
}
OP2(u32, u32, u32, "bmsk.wrap.b32", mask_of_bits(a, b, false))
OP2(u32, u32, u32, "bmsk.clamp.b32", mask_of_bits(a, b, true))

u32 extended(u32 a, u32 b, bool sign, bool clamp) {
  if (clamp && b >= 32) return a;
  const u32 n = b & 31;
  if (n == 0) return 0;
  return sign ? u32(s32(a << (32 - n)) >> (32 - n)) : a & ((1u << n) - 1);
}
OP2(u32, u32, u32, "szext.wrap.u32", extended(a, b, false, false))
OP2(u32, u32, u32, "szext.clamp.u32", extended(a, b, false, true))
OP2(u32, u32, u32, "szext.wrap.s32", extended(a, b, true, false))
OP2(u32, u32, u32, "szext.clamp.s32", extended(a, b, true, true))

u32 nth_set(u32 mask, u32 base, s32 n) {  // the manual's pseudo-code
  if (n == 0) return base < 32 && (mask >> base & 1) ? base : ~0u;
  s32 count = std::abs(n) - 1;
  for (s32 at = s32(base); at >= 0 && at<32; at += n> 0 ? 1 : -1)
    if (mask >> at & 1 && count-- == 0) return u32(at);
  return ~0u;
}
BODY3(
    u32, u32, u32, s32, "fns.b32",
    {
      u32 r;
      asm("fns.b32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b & 31), "r"(c % 9));
      return r;
    },
    nth_set(a, b & 31, c % 9))

// lop3: all 256 tables, on operands whose bits hold every combination.
template <int Table>
__device__ u32 lop3(u32 a, u32 b, u32 c) {
  u32 r;
  asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(r) : "r"(a), "r"(b), "r"(c), "n"(Table));
  return r;
}
template <int... Table>
__global__ void all_tables(u32* out, std::integer_sequence<int, Table...>) {
  const u32 x = 0x9e3779b9 * (threadIdx.x + 1);
  const u32 a = x ^ 0xf0f0f0f0, b = (x >> 3) ^ 0xcccccccc, c = (x << 5) ^ 0xaaaaaaaa;
  ((out[Table * 32 + threadIdx.x] = lop3<Table>(a, b, c)), ...);
}
void check_tables() {
  test::Array<u32> out(256 * 32);
  all_tables<<<1, 32>>>(out.device, std::make_integer_sequence<int, 256>());
  out.fetch();
  for (u32 i = 0; i < 256 * 32; ++i) {
    const u32 x = 0x9e3779b9 * (i % 32 + 1);
    const u32 a = x ^ 0xf0f0f0f0, b = (x >> 3) ^ 0xcccccccc, c = (x << 5) ^ 0xaaaaaaaa;
    u32 want = 0;
    for (int k = 0; k < 32; ++k)
      want |= (i / 32 >> ((a >> k & 1) * 4 + (b >> k & 1) * 2 + (c >> k & 1)) & 1) << k;
    test::expect("lop3", i / 32, out.host[i], want);
  }
}

}  // namespace

int main() {
  check_tables();
  return test::run_all();
}
