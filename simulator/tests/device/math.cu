// The CUDA math library in float and double against the host: inside the bounds of the CUDA C++
// programming guide, "Mathematical Functions", on a seeded mix of arguments.
#include <cmath>
#include <cstdlib>

#include "operands.h"

namespace {

using Wide = long double;

Wide exact_exp10(Wide x) { return exp10l(x); }
Wide exact_sinpi(Wide x) { return sinl(remainderl(x, 2) * 3.14159265358979323846264338L); }
Wide exact_cospi(Wide x) { return cosl(remainderl(x, 2) * 3.14159265358979323846264338L); }
Wide exact_erfcx(Wide x) { return expl(x * x) * erfcl(x); }
Wide exact_normcdf(Wide x) { return erfcl(-x * 0.70710678118654752440084436L) / 2; }
/// The inverse of a decreasing f by Newton's method from what the device found.
template <class F, class D>
Wide inverse(F f, D slope, Wide y, Wide x) {
  for (int k = 0; k < 4 && std::isfinite(x); ++k) x -= (f(x) - y) / slope(x);
  return x;
}
Wide erf_slope(Wide x) { return 1.12837916709551257389615890L * expl(-x * x); }
Wide normal_density(Wide x) { return 0.398942280401432677939946L * expl(-x * x / 2); }

/// What is compared: a function, its bounds in units of the last place for float and double, and
/// the range of arguments.
#define FUNCTIONS(F)                                                                               \
  F(exp, exp(a), expl(a), 2, 1, -87, 88)                                                           \
  F(exp2, exp2(a), exp2l(a), 2, 1, -126, 127)                                                      \
  F(exp10, exp10(a), exact_exp10(a), 2, 1, -37, 38)                                                \
  F(expm1, expm1(a), expm1l(a), 1, 1, -20, 80)                                                     \
  F(log, log(a), logl(a), 1, 1, 1e-30, 1e30)                                                       \
  F(log2, log2(a), log2l(a), 1, 1, 0, 100)                                                         \
  F(log10, log10(a), log10l(a), 2, 1, 0, 1e9)                                                      \
  F(log1p, log1p(a), log1pl(a), 1, 1, -0.999, 10)                                                  \
  F(sin, sin(a), sinl(a), 2, 2, -1e6, 1e6)                                                         \
  F(cos, cos(a), cosl(a), 2, 2, -1e6, 1e6)                                                         \
  F(tan, tan(a), tanl(a), 4, 2, -1e3, 1e3)                                                         \
  F(sinpi, sinpi(a), exact_sinpi(a), 1, 2, -100, 100)                                              \
  F(cospi, cospi(a), exact_cospi(a), 1, 2, -100, 100)                                              \
  F(asin, asin(a), asinl(a), 2, 2, -1, 1)                                                          \
  F(acos, acos(a), acosl(a), 2, 2, -1, 1)                                                          \
  F(atan, atan(a), atanl(a), 2, 2, -50, 50)                                                        \
  F(sinh, sinh(a), sinhl(a), 3, 2, -50, 50)                                                        \
  F(cosh, cosh(a), coshl(a), 2, 1, -50, 50)                                                        \
  F(tanh, tanh(a), tanhl(a), 2, 1, -9, 9)                                                          \
  F(asinh, asinh(a), asinhl(a), 3, 3, -1e4, 1e4)                                                   \
  F(acosh, acosh(a), acoshl(a), 4, 3, 1, 1e4)                                                      \
  F(atanh, atanh(a), atanhl(a), 3, 2, -0.99, 0.99)                                                 \
  F(sqrt, sqrt(a), sqrtl(a), 0.5, 0.5, 0, 1e10)                                                    \
  F(rsqrt, rsqrt(a), 1 / sqrtl(a), 2, 1, 1e-10, 1e10)                                              \
  F(cbrt, cbrt(a), cbrtl(a), 1, 1, -1e9, 1e9)                                                      \
  F(rcbrt, rcbrt(a), 1 / cbrtl(a), 1, 1, 0.1, 1e9)                                                 \
  F(erf, erf(a), erfl(a), 2, 2, -5, 5)                                                             \
  F(erfc, erfc(a), erfcl(a), 4, 5, -4, 9)                                                          \
  F(erfcx, erfcx(a), exact_erfcx(a), 4, 4, -4, 9)                                                  \
  F(erfinv, erfinv(a), inverse(erfl, erf_slope, a, got), 2, 5, -0.99, 0.99)                        \
  F(erfcinv, erfcinv(a),                                                                           \
    inverse(                                                                                       \
        erfcl, [](Wide x) { return -erf_slope(x); }, a, got),                                      \
    4, 6, 1e-4, 1.99)                                                                              \
  F(normcdf, normcdf(a), exact_normcdf(a), 5, 5, -9, 5)                                            \
  F(normcdfinv, normcdfinv(a), inverse(exact_normcdf, normal_density, a, got), 5, 8, 1e-4, 0.9999) \
  F(tgamma, tgamma(a), tgammal(a), 5, 10, 0.1, 30)                                                 \
  F(lgamma, lgamma(a), lgammal(a), 6, 4, 2.5, 1e6)                                                 \
  F(j0, j0(a), j0l(a), 9, 7, 0, 2)                                                                 \
  F(j1, j1(a), j1l(a), 9, 7, 0, 3)                                                                 \
  F(y0, y0(a), y0l(a), 9, 7, 1, 3)                                                                 \
  F(y1, y1(a), y1l(a), 9, 7, 0.1, 2)                                                               \
  F(cyl_bessel_i0, cyl_bessel_i0(a), std::cyl_bessel_il(0, fabsl(a)), 6, 6, -20, 20)               \
  F(pow, pow(a, b), powl(a, b), 4, 2, 1e-3, 20)                                                    \
  F(atan2, atan2(a, b), atan2l(a, b), 3, 2, -50, 50)                                               \
  F(hypot, hypot(a, b), hypotl(a, b), 3, 2, -1e3, 1e3)                                             \
  F(rhypot, rhypot(a, b), 1 / hypotl(a, b), 2, 1, -1e3, 1e3)                                       \
  F(norm3d, norm3d(a, b, a), sqrtl(2 * a * a + b * b), 3, 2, -1e3, 1e3)                            \
  F(rnorm4d, rnorm4d(a, b, a, b), 1 / sqrtl(2 * (a * a + b * b)), 3, 2, -1e3, 1e3)                 \
  F(fmod, fmod(a, b), fmodl(a, b), 0, 0, -1e5, 1e5)                                                \
  F(remainder, remainder(a, b), remainderl(a, b), 0, 0, -1e5, 1e5)                                 \
  F(fdim, fdim(a, b), fdiml(a, b), 0.5, 0.5, -1e5, 1e5)                                            \
  F(fma, fma(a, b, a), a* b + a, 0.51, 0.51, -1e5, 1e5)                                            \
  F(floor, floor(a), floorl(a), 0, 0, -1e5, 1e5)                                                   \
  F(round, round(a), roundl(a), 0, 0, -1e5, 1e5)                                                   \
  F(rint, rint(a), rintl(a), 0, 0, -1e5, 1e5)                                                      \
  F(logb, logb(a), logbl(a), 0, 0, 1e-9, 1e9)                                                      \
  F(ldexp, ldexp(a, 7), ldexpl(a, 7), 0, 0, -1e5, 1e5)

enum Which {
#define NAME(name, device, host, of_float, of_double, low, high) k_##name,
  FUNCTIONS(NAME) kFunctions
};

struct Case {
  const char* name;
  f64 bound[2], low, high;
};
const Case kCases[] = {
#define CASE(name, device, host, of_float, of_double, low, high) \
  {#name, {of_float, of_double}, low, high},
    FUNCTIONS(CASE)};

template <class T>
__device__ T on_device(int which, T a, T b) {
  switch (which) {
#define DEVICE(name, device, host, of_float, of_double, low, high) \
  case k_##name:                                                   \
    return device;
    FUNCTIONS(DEVICE)
  }
  return 0;
}

Wide on_host(int which, Wide a, Wide b, Wide got) {
  switch (which) {
#define HOST(name, device, host, of_float, of_double, low, high) \
  case k_##name:                                                 \
    return host;
    FUNCTIONS(HOST)
  }
  return got;
}

template <class T>
__global__ void compute(int which, const T* a, const T* b, T* r, u32 count) {
  const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) r[i] = on_device(which, a[i], b[i]);
}

/// Approximate instructions that move inside their error take a little more.
f64 slack() {
  const char* approx = std::getenv("SIM_APPROX");
  return approx && std::strcmp(approx, "perturb") == 0 ? 3 : 0;
}

template <class T>
void check(int which) {
  constexpr u32 kCount = 1500;
  constexpr bool kDouble = sizeof(T) == 8;
  const Case& c = kCases[which];
  std::vector<T> a(kCount), b(kCount);
  const auto between = [&](u64 bits) {
    return T(c.low + (c.high - c.low) * (f64(bits >> 11) * 0x1p-53));
  };
  for (u32 i = 0; i < kCount; ++i)
    a[i] = between(test::mixed(2 * i)), b[i] = between(test::mixed(2 * i + 1));
  test::Array<T> da(a), db(b), dr(kCount);
  compute<T><<<(kCount + 127) / 128, 128>>>(which, da.device, db.device, dr.device, kCount);
  dr.fetch();
  f64 worst = 0;
  u32 at = 0;
  for (u32 i = 0; i < kCount; ++i) {
    const Wide got = dr.host[i], want = on_host(which, a[i], b[i], got);
    const Wide size = std::max<Wide>(fabsl(want), std::numeric_limits<T>::min());
    const Wide ulp = ldexpl(1, ilogbl(size) - std::numeric_limits<T>::digits + 1);
    const Wide error = fabsl(got - want) / ulp;
    if (!(error <= worst)) worst = f64(error), at = i;
  }
  // half of the last place: the bounds are those of the rounded result
  const f64 bound = c.bound[kDouble] + (c.bound[kDouble] >= 1 ? 0.5 + (kDouble ? 0 : slack()) : 0);
  if (worst <= bound) return;
  ++test::failures;
  std::printf(
      "%s(%.17g, %.17g) in %s: got %.17g, want %.17Lg, %.2f units of the last place, %.2f "
      "allowed\n",
      c.name, f64(a[at]), f64(b[at]), kDouble ? "double" : "float", f64(dr.host[at]),
      on_host(which, a[at], b[at], dr.host[at]), worst, bound);
}

}  // namespace

int main() {
  for (int which = 0; which < kFunctions; ++which) check<f32>(which), check<f64>(which);
  return test::finish();
}
