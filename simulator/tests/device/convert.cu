// cvt: PTX ISA, section 9.7.9.21. long double holds every source exactly, so one rounding is made.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cfenv>

#include "operands.h"

namespace {

template <class T>
T rounded(int direction, long double value) {
  volatile long double x = value;
  std::fesetround(direction);
  volatile T r = T(x);
  std::fesetround(FE_TONEAREST);
  return test::canonical(T(r));
}
/// NaN is 0, or for f64 and 64-bit results the number with the top bit alone; others are clamped.
template <class R, class A>
R whole(int direction, A a) {
  if (a != a) return sizeof(A) == 8 || sizeof(R) == 8 ? R(u64(1) << (8 * sizeof(R) - 1)) : R(0);
  volatile long double x = a;
  std::fesetround(direction);
  const long double r = std::nearbyint(static_cast<long double>(x));
  std::fesetround(FE_TONEAREST);
  using L = std::numeric_limits<R>;
  return r <= L::min() ? L::min() : r >= static_cast<long double>(L::max()) ? L::max() : R(r);
}
template <class R, class A>
R clamped(A a) {
  using L = std::numeric_limits<R>;
  return s128(a) < L::min() ? L::min() : s128(a) > L::max() ? L::max() : R(a);
}
f32 flushed(f32 x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
template <class T>
T saturated(T x) {
  return x >= 1 ? T(1) : x > 0 ? x : T(0);
}

#define WHOLE(X, A) X(u16, A) X(s16, A) X(u32, A) X(s32, A) X(u64, A) X(s64, A)
#define PAIR(R, A)               \
  OP1(R, A, "cvt." #R "." #A, a) \
  OP1(R, A, "cvt.sat." #R "." #A, clamped<R>(a))
WHOLE(PAIR, u16)
WHOLE(PAIR, s16)
WHOLE(PAIR, u32)
WHOLE(PAIR, s32)
WHOLE(PAIR, u64)
WHOLE(PAIR, s64)

// 8 bits live in wider registers; a source may also be wider than its type.
#define BYTES(A)                                \
  OP1(u32, A, "cvt.u8." #A, u8(a))              \
  OP1(s32, A, "cvt.s8." #A, s8(a))              \
  OP1(s32, A, "cvt.sat.s8." #A, clamped<s8>(a)) \
  OP1(u32, A, "cvt.sat.u8." #A, clamped<u8>(a))
BYTES(u16)
BYTES(s16)
BYTES(u32)
BYTES(s32)
BYTES(u64)
BYTES(s64)
OP1(s64, u64, "cvt.s64.s8", s8(a))
OP1(s64, u64, "cvt.s64.s16", s16(a))
OP1(s64, u64, "cvt.s64.s32", s32(a))
OP1(u64, u64, "cvt.u64.u8", u8(a))
OP1(s32, u32, "cvt.s32.s8", s8(a))
OP1(f32, u32, "cvt.rn.f32.s8", f32(s8(a)))
OP1(f64, u64, "cvt.rn.f64.u16", f64(u16(a)))

#define EACH(X, A, B)       \
  X(A, B, rn, FE_TONEAREST) \
  X(A, B, rz, FE_TOWARDZERO) X(A, B, rm, FE_DOWNWARD) X(A, B, rp, FE_UPWARD)
#define BOTH_WAYS(I, F, M, DIR)                          \
  OP1(F, I, "cvt." #M "." #F "." #I, rounded<F>(DIR, a)) \
  OP1(I, F, "cvt." #M "i." #I "." #F, whole<I>(DIR, a))
#define REALS(I, A) EACH(BOTH_WAYS, I, f32) EACH(BOTH_WAYS, I, f64)
WHOLE(REALS, )

#define NARROW(R, A, M, DIR)                                             \
  OP1(f32, f64, "cvt." #M ".f32.f64", rounded<f32>(DIR, a))              \
  OP1(f32, f64, "cvt." #M ".ftz.f32.f64", flushed(rounded<f32>(DIR, a))) \
  OP1(f32, f64, "cvt." #M ".sat.f32.f64", saturated(rounded<f32>(DIR, a)))
EACH(NARROW, , )
OP1(f64, f32, "cvt.f64.f32", a)
OP1(f64, f32, "cvt.ftz.f64.f32", flushed(a))
OP1(f64, f32, "cvt.sat.f64.f32", saturated(f64(a)))
OP1(s32, f32, "cvt.rpi.ftz.s32.f32", whole<s32>(FE_UPWARD, flushed(a)))

u16 half_bits(__half x) { return __half_as_ushort(x); }
u16 brain_bits(__nv_bfloat16 x) { return __bfloat16_as_ushort(x); }
OP1(u16, f32, "cvt.rn.f16.f32", half_bits(__float2half_rn(a)))
OP1(u16, f32, "cvt.rz.f16.f32", half_bits(__float2half_rz(a)))
OP1(u16, f32, "cvt.rn.bf16.f32", brain_bits(__float2bfloat16_rn(a)))
OP1(f32, u16, "cvt.f32.f16", test::canonical(__half2float(__ushort_as_half(a))))
OP2(u32, f32, f32, "cvt.rn.f16x2.f32",
    u32(half_bits(__float2half_rn(a))) << 16 | half_bits(__float2half_rn(b)))
OP2(u32, f32, f32, "cvt.rn.bf16x2.f32",
    u32(brain_bits(__float2bfloat16_rn(a))) << 16 | brain_bits(__float2bfloat16_rn(b)))

}  // namespace

int main() { return test::run_all(); }
