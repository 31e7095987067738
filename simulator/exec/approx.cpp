#include "simulator/exec/approx.h"

#include <atomic>
#include <cmath>
#include <limits>

#include "simulator/exec/lanes.h"

namespace sim {
namespace {

std::atomic<bool> perturbed{false};
std::atomic<uint64_t> seed_of_errors{0};

uint64_t mixed(uint64_t x) {  // splitmix64's finaliser
  x ^= x >> 30, x *= 0xbf58476d1ce4e5b9;
  x ^= x >> 27, x *= 0x94d049bb133111eb;
  return x ^ x >> 31;
}

/// Between -1 and 1, a function of the seed and the operand alone.
double error_of(uint64_t operand) {
  const uint64_t bits = mixed(operand + mixed(seed_of_errors.load(std::memory_order_relaxed)));
  return double(int64_t(bits)) * 0x1p-63;
}

float flushed(float x) {
  return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x;
}

/// An exact value made a result: relative error `rel`, absolute error `abs`, both documented
/// bounds. What is exact on a card (zero, infinity, NaN, powers of two) stays.
float inside(double exact, float operand, double rel, double abs) {
  if (std::isnan(exact)) return std::bit_cast<float>(0x7fffffffu);
  if (perturbed.load(std::memory_order_relaxed) && std::isfinite(exact) && exact != 0 &&
      (rel > 0 || abs > 0)) {
    const double e = error_of(std::bit_cast<uint32_t>(operand));
    exact += 0.9 * e * (std::fabs(exact) * rel + abs);  // rounding to float takes the rest
  }
  return float(exact);
}

// Bounds: PTX ISA, 9.7.3.13 (rcp) to 9.7.3.21 (tanh).
struct Rcp {
  static float of(float x) { return inside(1.0 / x, x, 0x1p-23, 0); }
};
struct Sqrt {
  static float of(float x) { return inside(std::sqrt(double(x)), x, 0x1p-23, 0); }
};
struct Rsqrt {
  static float of(float x) {
    return inside(x == 0 ? 1.0 / x : 1 / std::sqrt(double(x)), x, 0x1.12p-23, 0);
  }
};
struct Sin {
  static float of(float x) { return inside(std::sin(double(x)), x, 0, 0x1.6ap-21); }
};
struct Cos {
  static float of(float x) { return inside(std::cos(double(x)), x, 0, 0x1.6ap-21); }
};
struct Lg2 {
  static float of(float x) { return inside(std::log2(double(x)), x, 0, 0x1p-22); }
};
struct Ex2 {
  // two units of the last place, rounding included
  static float of(float x) { return inside(std::exp2(double(x)), x, 0x1.8p-24, 0); }
};
struct Tanh {
  static float of(float x) { return inside(std::tanh(double(x)), x, 0x1p-11, 0); }
};

template <class Op>
struct Flushed {
  static float of(float x) { return flushed(Op::of(flushed(x))); }
};

struct Divide {
  static float of(float a, float b) { return inside(double(a) / double(b), b, 0x1p-23, 0); }
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

/// f64 with 20 bits of mantissa: the lower word of the result is zero.
double upper_word(double x) {
  return std::bit_cast<double>(std::bit_cast<uint64_t>(x) & 0xffffffff00000000);
}
double flushed(double x) {
  return std::fabs(x) < std::numeric_limits<double>::min() ? std::copysign(0.0, x) : x;
}
struct Rcp64 {
  static double of(double x) { return upper_word(flushed(1 / flushed(x))); }
};
struct Rsqrt64 {
  static double of(double x) { return upper_word(1 / std::sqrt(flushed(x))); }
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

double approximation_error(uint64_t operand) {
  return perturbed.load(std::memory_order_relaxed) ? error_of(operand) : 0;
}

void perturb_approximations(bool on, uint64_t seed) {
  perturbed = on;
  seed_of_errors = seed;
}

}  // namespace sim
