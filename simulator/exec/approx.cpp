#include "simulator/exec/approx.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "simulator/device/settings.h"
#include "simulator/exec/lanes.h"

namespace sim {
namespace {

bool perturbed() {
  static const bool on = settings().perturb;
  return on;
}

uint64_t mixed(uint64_t x) {  // splitmix64's finaliser
  x ^= x >> 30, x *= 0xbf58476d1ce4e5b9;
  x ^= x >> 27, x *= 0x94d049bb133111eb;
  return x ^ x >> 31;
}

/// Between -1 and 1, a function of the seed and the operand alone.
double error_of(uint64_t operand) {
  static const uint64_t seed = mixed(settings().seed);
  const uint64_t bits = mixed(operand + seed);
  return double(int64_t(bits)) * 0x1p-63;
}

float flushed(float x) {
  return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x;
}

/// A documented bound of a result's error: the sum of what is given. ulps: units of the last place.
/// Powers of two no manual mentions, but CUDA's own code counts on them: exp and erf of f64 on ex2
/// of whole numbers, division of 128 bits on reciprocals that are none where the divisor is none.
struct Bound {
  double relative = 0, absolute = 0, ulps = 0;
  bool powers = false;  // of two, as results, are exact
};

bool is_power(double x) {
  int exponent = 0;
  return std::fabs(std::frexp(x, &exponent)) == 0.5;
}

/// `exact` moved inside a bound. Half a unit of the last place is left to the rounding to float,
/// and where units get larger, or end, it stops.
double moved(double exact, float operand, const Bound& bound) {
  const int exponent = std::max(std::ilogb(exact), -126);
  const double size = std::fabs(exact), ulp = std::ldexp(1.0, exponent - 23);
  const double room = size * bound.relative + bound.absolute + (bound.ulps - 0.5) * ulp;
  if (room <= 0) return exact;
  const double to = exact + 0.99 * error_of(std::bit_cast<uint32_t>(operand)) * room;
  const double most =
      std::min<double>(std::ldexp(1.0, exponent + 1), std::numeric_limits<float>::max());
  return bound.ulps > 0 ? std::clamp(to, -most, most) : to;
}

/// An exact value made a result. What the manual's tables say exactly stays: of zeros, infinities.
float inside(double exact, float operand, const Bound& bound) {
  if (std::isnan(exact)) return std::bit_cast<float>(0x7fffffffu);
  const auto rounded = float(exact);
  if (!perturbed() || !std::isfinite(rounded) || !std::isfinite(operand)) return rounded;
  if (exact == 0 || operand == 0) return rounded;
  const auto result = float(moved(exact, operand, bound));
  return bound.powers && (is_power(exact) || is_power(result)) ? rounded : result;
}

// Bounds: PTX ISA, "Floating Point Instructions", under the name of each.
struct Rcp {
  static float of(float x) { return inside(1.0 / x, x, {.ulps = 1, .powers = true}); }
};
struct Sqrt {
  static float of(float x) {
    return inside(std::sqrt(double(x)), x, {.relative = 0x1p-23, .powers = true});
  }
};
struct Rsqrt {
  static float of(float x) {  // 2^-22.9
    return inside(x == 0 ? 1.0 / x : 1 / std::sqrt(double(x)), x,
                  {.relative = 0x1.12p-23, .powers = true});
  }
};
/// 2^-20.5 within 2 pi, 2^-14.7 within 100 pi; beyond, where nothing is promised, the same.
Bound bound_of_sine(float x) {
  return {.absolute = std::fabs(x) <= 6.2831853f ? 0x1.6ap-21 : 0x1.3ap-15};
}
struct Sin {
  static float of(float x) { return inside(std::sin(double(x)), x, bound_of_sine(x)); }
};
struct Cos {
  static float of(float x) { return inside(std::cos(double(x)), x, bound_of_sine(x)); }
};
struct Lg2 {
  static float of(float x) {
    const bool near_one = x > 0.5f && x < 2;
    return inside(std::log2(double(x)), x,
                  near_one ? Bound{.absolute = 0x1p-22} : Bound{.relative = 0x1p-22});
  }
};
struct Ex2 {
  static float of(float x) { return inside(std::exp2(double(x)), x, {.ulps = 2, .powers = true}); }
};
struct Tanh {  // subnormal numbers pass
  static float of(float x) {
    const double relative = std::fabs(x) < std::numeric_limits<float>::min() ? 0 : 0x1p-11;
    return inside(std::tanh(double(x)), x, {.relative = relative});
  }
};

template <class Op>
struct Flushed {
  static float of(float x) { return flushed(Op::of(flushed(x))); }
};

struct Divide {
  static float of(float a, float b) { return inside(double(a) / double(b), b, {.ulps = 2}); }
};
/// Without .full the reciprocal of a divisor beyond 2^126 is zero.
struct DivideByReciprocal {
  static float of(float a, float b) {
    const bool beyond = std::fabs(b) > 0x1p126f && !std::isinf(b);
    return beyond ? Divide::of(a * std::copysign(0.0f, b), 1) : Divide::of(a, b);
  }
};
template <class Op>
struct DivideFlushed {
  static float of(float a, float b) { return flushed(Op::of(flushed(a), flushed(b))); }
};
template <class Op>
Handler divide(bool ftz) {
  return ftz ? Handler(map2_scalar<float, float, float, DivideFlushed<Op>>)
             : Handler(map2_scalar<float, float, float, Op>);
}

/// f64 with 20 bits of mantissa, of the operand and of the result: their lower words don't count.
/// No bound is documented.
double upper_word(double x) {
  return std::bit_cast<double>(std::bit_cast<uint64_t>(x) & 0xffffffff00000000);
}
double flushed(double x) {
  return std::fabs(x) < std::numeric_limits<double>::min() ? std::copysign(0.0, x) : x;
}
double upper_result(double x) {
  return std::isnan(x) ? std::bit_cast<double>(0x7fffffff00000000) : upper_word(flushed(x));
}
struct Rcp64 {
  static double of(double x) { return upper_result(1 / flushed(upper_word(x))); }
};
struct Rsqrt64 {
  static double of(double x) { return upper_result(1 / std::sqrt(flushed(upper_word(x)))); }
};
struct Rsqrt64Full {
  static double of(double x) { return 1 / std::sqrt(x); }
};

template <class Op>
Handler of_f32(bool ftz) {
  return ftz ? Handler(map1_scalar<float, float, Flushed<Op>>)
             : Handler(map1_scalar<float, float, Op>);
}

}  // namespace

Handler approx_handler(std::string_view op, bool f64, bool ftz) {
  if (f64) {
    if (op == "rcp") return map1_scalar<double, double, Rcp64>;
    if (op == "rsqrt")
      return ftz ? Handler(map1_scalar<double, double, Rsqrt64>)
                 : Handler(map1_scalar<double, double, Rsqrt64Full>);
    return nullptr;
  }
  if (op == "rcp") return of_f32<Rcp>(ftz);
  if (op == "sqrt") return of_f32<Sqrt>(ftz);
  if (op == "rsqrt") return of_f32<Rsqrt>(ftz);
  if (op == "sin") return of_f32<Sin>(ftz);
  if (op == "cos") return of_f32<Cos>(ftz);
  if (op == "lg2") return of_f32<Lg2>(ftz);
  if (op == "ex2") return of_f32<Ex2>(ftz);
  if (op == "tanh") return of_f32<Tanh>(ftz);
  return nullptr;
}

Handler approx_divide(bool full, bool ftz) {
  return full ? divide<Divide>(ftz) : divide<DivideByReciprocal>(ftz);
}

double approximation_error(uint64_t operand) { return perturbed() ? error_of(operand) : 0; }

}  // namespace sim
