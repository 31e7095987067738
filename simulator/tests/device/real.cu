// f32 and f64 with all roundings: PTX ISA, section 9.7.3. The host computes in the same direction,
// with volatile operands, since a compiler may move arithmetic across fesetround.
#include <cfenv>

#include "operands.h"

namespace {

template <class T>
T flushed(T x) {
  return std::fabs(x) < std::numeric_limits<T>::min() ? std::copysign(T(0), x) : x;
}
template <class T>
T saturated(T x) {
  return x >= 1 ? T(1) : x > 0 ? x : T(0);
}

enum Op { add, sub, mul, quotient, fused, root, inverse };

template <class T>
T rounded(int direction, Op op, T first, T second = 0, T third = 0) {
  volatile T a = first, b = second, c = third, r = 0;
  std::fesetround(direction);
  if (op == add) r = a + b;
  if (op == sub) r = a - b;
  if (op == mul) r = a * b;
  if (op == quotient) r = a / b;
  if (op == fused) r = std::fma(T(a), T(b), T(c));
  if (op == root) r = std::sqrt(T(a));
  if (op == inverse) r = 1 / a;
  std::fesetround(FE_TONEAREST);
  return test::canonical(T(r));
}
template <class... A>
f32 rounded_ftz(int direction, Op op, A... a) {
  return flushed(rounded(direction, op, flushed(a)...));
}

template <class T>
T smaller(T a, T b, bool keep_nan) {
  if (a != a || b != b)
    return test::canonical(keep_nan || (a != a && b != b) ? a + b : a != a ? b : a);
  return a < b || (a == b && std::signbit(a)) ? a : b;
}
template <class T>
T larger(T a, T b, bool keep_nan) {
  if (a != a || b != b)
    return test::canonical(keep_nan || (a != a && b != b) ? a + b : a != a ? b : a);
  return a > b || (a == b && std::signbit(b)) ? a : b;
}

#define DIRECTIONS(X, T) \
  X(T, rn, FE_TONEAREST) X(T, rz, FE_TOWARDZERO) X(T, rm, FE_DOWNWARD) X(T, rp, FE_UPWARD)

#define ROUNDED(T, M, DIR)                                        \
  OP2(T, T, T, "add." #M "." #T, rounded(DIR, add, a, b))         \
  OP2(T, T, T, "sub." #M "." #T, rounded(DIR, sub, a, b))         \
  OP2(T, T, T, "mul." #M "." #T, rounded(DIR, mul, a, b))         \
  OP2(T, T, T, "div." #M "." #T, rounded(DIR, quotient, a, b))    \
  OP3(T, T, T, T, "fma." #M "." #T, rounded(DIR, fused, a, b, c)) \
  OP1(T, T, "sqrt." #M "." #T, rounded(DIR, root, a))             \
  OP1(T, T, "rcp." #M "." #T, rounded(DIR, inverse, a))
DIRECTIONS(ROUNDED, f32)
DIRECTIONS(ROUNDED, f64)

#define FLUSHED(T, M, DIR)                                                       \
  OP2(T, T, T, "add." #M ".ftz.f32", rounded_ftz(DIR, add, a, b))                \
  OP2(T, T, T, "sub." #M ".ftz.f32", rounded_ftz(DIR, sub, a, b))                \
  OP2(T, T, T, "mul." #M ".ftz.f32", rounded_ftz(DIR, mul, a, b))                \
  OP2(T, T, T, "div." #M ".ftz.f32", rounded_ftz(DIR, quotient, a, b))           \
  OP3(T, T, T, T, "fma." #M ".ftz.f32", rounded_ftz(DIR, fused, a, b, c))        \
  OP1(T, T, "sqrt." #M ".ftz.f32", rounded_ftz(DIR, root, a))                    \
  OP1(T, T, "rcp." #M ".ftz.f32", rounded_ftz(DIR, inverse, a))                  \
  OP2(T, T, T, "add." #M ".sat.f32", saturated(rounded(DIR, add, a, b)))         \
  OP2(T, T, T, "mul." #M ".sat.f32", saturated(rounded(DIR, mul, a, b)))         \
  OP3(T, T, T, T, "fma." #M ".sat.f32", saturated(rounded(DIR, fused, a, b, c))) \
  OP2(T, T, T, "sub." #M ".ftz.sat.f32", saturated(rounded_ftz(DIR, sub, a, b))) \
  OP3(T, T, T, T, "fma." #M ".ftz.sat.f32", saturated(rounded_ftz(DIR, fused, a, b, c)))
DIRECTIONS(FLUSHED, f32)

#define SIGNS(T)                                \
  OP2(T, T, T, "min." #T, smaller(a, b, false)) \
  OP2(T, T, T, "max." #T, larger(a, b, false))  \
  OP1(T, T, "abs." #T, std::fabs(a))            \
  OP1(T, T, "neg." #T, -a)                      \
  OP2(T, T, T, "copysign." #T, std::copysign(b, a))
SIGNS(f32)
SIGNS(f64)
OP2(f32, f32, f32, "min.NaN.f32", smaller(a, b, true))
OP2(f32, f32, f32, "max.NaN.f32", larger(a, b, true))
OP2(f32, f32, f32, "min.ftz.f32", smaller(flushed(a), flushed(b), false))
OP2(f32, f32, f32, "max.ftz.f32", larger(flushed(a), flushed(b), false))
OP1(f32, f32, "abs.ftz.f32", std::fabs(flushed(a)))
OP1(f32, f32, "neg.ftz.f32", -flushed(a))

#define TESTED(T, kind, ...)                                                        \
  BODY1(                                                                            \
      u32, T, "testp." #kind "." #T,                                                \
      {                                                                             \
        u32 r;                                                                      \
        asm("{ .reg .pred p; testp." #kind "." #T " p, %1; selp.u32 %0, 1, 0, p; }" \
            : "=r"(r)                                                               \
            : ASM_##T(a));                                                          \
        return r;                                                                   \
      },                                                                            \
      __VA_ARGS__)
#define TESTS(T)                       \
  TESTED(T, finite, std::isfinite(a))  \
  TESTED(T, infinite, std::isinf(a))   \
  TESTED(T, number, !std::isnan(a))    \
  TESTED(T, notanumber, std::isnan(a)) \
  TESTED(T, normal, std::isnormal(a))  \
  TESTED(T, subnormal, std::isfinite(a) && a != 0 && !std::isnormal(a))
TESTS(f32)
TESTS(f64)

// What C++ makes of it: several instructions each, from the compiler's own library.
BODY2(
    f32, f32, f32, "a / b", { return a / b; }, test::canonical(a / b))
BODY1(
    f32, f32, "sqrtf", { return sqrtf(a); }, rounded(FE_TONEAREST, root, a))
BODY2(
    f64, f64, f64, "a / b in f64", { return a / b; }, a / b)
BODY2(
    f64, f64, f64, "fmod", { return fmod(a, b); }, std::fmod(a, b))
BODY1(
    f64, f64, "floor", { return floor(a); }, std::floor(a))
BODY1(
    f32, f32, "rintf", { return rintf(a); }, std::rint(a))
BODY1(
    f32, f32, "truncf", { return truncf(a); }, std::trunc(a))
BODY1(
    f32, f32, "ceilf", { return ceilf(a); }, std::ceil(a))
BODY1(
    f32, f32, "roundf", { return roundf(a); }, std::round(a))
BODY2(
    f32, f32, f32, "__fadd_rz", { return __fadd_rz(a, b); }, rounded(FE_TOWARDZERO, add, a, b))
BODY2(
    f64, f64, f64, "__dmul_ru", { return __dmul_ru(a, b); }, rounded(FE_UPWARD, mul, a, b))
BODY1(
    f32, f32, "__frcp_rd", { return __frcp_rd(a); }, rounded(FE_DOWNWARD, inverse, a))

}  // namespace

int main() { return test::run_all(); }
