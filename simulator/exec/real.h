// Arithmetic on one lane's f32 and f64, as PTX ISA, section 9.7.3, gives it.
#pragma once
#include <cmath>

#include "simulator/code/decoder.h"
#include "simulator/exec/formats.h"
#include "simulator/exec/lanes.h"

namespace sim::real {

using sim::canonical;
/// f64 keeps the payload of a NaN, made quiet.
inline double canonical(double x) { return x; }

inline float flush(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  const uint32_t sign_or_all = (bits & 0x7f800000) == 0 ? 0x80000000u : ~0u;
  return std::bit_cast<float>(bits & sign_or_all);
}
inline double flush(double x) { return x; }
template <class T>
inline T saturate(T x) {
  return choose(x > T(1), T(1), choose(x > T(0), x, T(0)));  // NaN becomes +0
}

struct Add {
  template <class T>
  static T of(T a, T b) {
    return a + b;
  }
};
struct Sub {
  template <class T>
  static T of(T a, T b) {
    return a - b;
  }
};
struct Mul {
  template <class T>
  static T of(T a, T b) {
    return a * b;
  }
};
struct Div {
  template <class T>
  static T of(T a, T b) {
    return a / b;
  }
};
struct Fma {
  template <class T>
  static T of(T a, T b, T c) {
    return std::fma(a, b, c);
  }
};
struct Sqrt {
  template <class T>
  static T of(T a) {
    return std::sqrt(a);
  }
};
struct Rcp {
  template <class T>
  static T of(T a) {
    return T(1) / a;
  }
};

/// -0 is less than +0; a NaN gives the other operand, or where .NaN is written the NaN.
template <bool Nan>
struct Min {
  template <class T>
  static T of(T a, T b) {
    const bool first = (a < b) | ((a == b) & std::signbit(a));
    const T number = choose(first, a, b);
    return choose(a != a, Nan ? a + b : b, choose(b != b, Nan ? a + b : a, number));
  }
};
template <bool Nan>
struct Max {
  template <class T>
  static T of(T a, T b) {
    const bool first = (a < b) | ((a == b) & std::signbit(a));
    const T number = choose(first, b, a);
    return choose(a != a, Nan ? a + b : b, choose(b != b, Nan ? a + b : a, number));
  }
};
/// An operation with the modifiers .ftz and .sat.
template <class T, class Op, bool Ftz, bool Sat>
struct With {
  template <class... A>
  static T of(A... a) {
    T r = Ftz ? flush(Op::template of<T>(flush(a)...)) : Op::template of<T>(a...);
    r = canonical(r);
    return Sat ? saturate(r) : r;
  }
};

/// The handler of an operation of N operands for .rz, .rm or .rp; nullptr where none is written
/// (real_rounded.cpp).
template <class T, class Op, int N, bool Ftz, bool Sat>
Handler in_direction(const Instruction& inst);

}  // namespace sim::real
