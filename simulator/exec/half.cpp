// Arithmetic in f16 and bf16, single and packed in pairs: PTX ISA, section 9.7.4. An operation is
// done in f32 and rounded once more. For sums and products the two roundings give what one would
// (24 bits hold twice a format's and two more); fma leaves its f32 result odd where it is not
// exact, to the same end.
#include <cmath>

#include "simulator/exec/approx.h"
#include "simulator/exec/formats.h"
#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"

namespace sim {
namespace {

using ptx::Type;

enum Option : uint8_t { kFtz = 1, kSat = 2, kRelu = 4, kXorSign = 8 };

struct Half {
  static constexpr float kNormal = 0x1p-14f;  // smallest
  static float wide(uint32_t bits) { return half_to_float(uint16_t(bits)); }
  static uint32_t narrow(float x) { return float_to_half(x); }
};
struct Brain {
  static constexpr float kNormal = 0x1p-126f;
  static float wide(uint32_t bits) { return brain_to_float(uint16_t(bits)); }
  static uint32_t narrow(float x) { return float_to_brain(x); }
};

struct Add {
  static float of(float a, float b, float) { return a + b; }
};
struct Sub {
  static float of(float a, float b, float) { return a - b; }
};
struct Mul {
  static float of(float a, float b, float) { return a * b; }
};

/// a * b + c rounded to odd: what rounding lost still shows in the last bit.
struct Fma {
  static float of(float a, float b, float c) {
    const double p = double(a) * double(b), q = c, s = p + q;  // p is exact
    const double back = s - p, lost = (p - (s - back)) + (q - back);
    const float f = float(s);
    const double rest = (s - double(f)) + lost;
    const auto bits = std::bit_cast<uint32_t>(f);
    const bool inexact = rest > 0 || rest < 0;
    const uint32_t away = std::signbit(f) == (rest < 0) ? 1u : ~0u;
    return std::bit_cast<float>(inexact && !(bits & 1) ? bits + away : bits);
  }
};

/// -0 is less than +0; a NaN gives the other operand, or where .NaN is written a NaN.
template <bool Nan>
struct Min {
  static float of(float a, float b, float) {
    if (a != a || b != b) return Nan ? a + b : a != a ? b : a;
    return a < b || (a == b && std::signbit(a)) ? a : b;
  }
};
template <bool Nan>
struct Max {
  static float of(float a, float b, float) {
    if (a != a || b != b) return Nan ? a + b : a != a ? b : a;
    return a < b || (a == b && std::signbit(a)) ? b : a;
  }
};

template <class H>
float flush(float x) {
  return std::fabs(x) < H::kNormal ? std::copysign(0.0f, x) : x;
}

/// One element, with the modifiers in `option`.
template <class H, class Op>
uint32_t modified(uint32_t a, uint32_t b, uint32_t c, uint8_t option) {
  float x = H::wide(a), y = H::wide(b), z = H::wide(c);
  if (option & kFtz) x = flush<H>(x), y = flush<H>(y), z = flush<H>(z);
  const bool negative = std::signbit(x) != std::signbit(y);
  if (option & kXorSign) x = std::fabs(x), y = std::fabs(y);
  float r = H::wide(H::narrow(Op::of(x, y, z)));
  if (option & kFtz) r = flush<H>(r);
  if (option & kSat) r = r > 1 ? 1.0f : r > 0 ? r : 0.0f;
  if (option & kRelu) r = r <= 0 ? 0.0f : r;
  if (option & kXorSign) r = std::copysign(r, negative ? -1.0f : 1.0f);
  return H::narrow(r);
}

/// Applies f to the element of each lane, or to both.
template <bool Pair, class F>
void elements(Warp& w, const Inst& i, uint32_t mask, F&& f) {
  const auto *a = w.row(i.a), *b = w.row(i.b), *c = w.row(i.c);
  write_lanes<uint32_t>(w.row(i.d), mask, [&](int l) {
    const uint32_t low = f(a[l] & 0xffff, b[l] & 0xffff, c[l] & 0xffff);
    return Pair ? low | f(a[l] >> 16, b[l] >> 16, c[l] >> 16) << 16 : low;
  });
}

template <class H, class Op, bool Pair>
void plain(Warp& w, const Inst& i, uint32_t mask) {
  elements<Pair>(w, i, mask, [](uint32_t a, uint32_t b, uint32_t c) {
    return H::narrow(Op::of(H::wide(a), H::wide(b), H::wide(c)));
  });
}
template <class H, class Op, bool Pair>
void with_modifiers(Warp& w, const Inst& i, uint32_t mask) {
  elements<Pair>(w, i, mask, [&](uint32_t a, uint32_t b, uint32_t c) {
    return modified<H, Op>(a, b, c, i.option);
  });
}

/// neg and abs touch the sign alone, of a NaN too.
template <class H, bool Pair, bool Abs>
void sign(Warp& w, const Inst& i, uint32_t mask) {
  elements<Pair>(w, i, mask, [&](uint32_t a, uint32_t, uint32_t) {
    if ((i.option & kFtz) && std::fabs(H::wide(a)) < H::kNormal) a &= 0x8000;
    return Abs ? a & 0x7fff : a ^ 0x8000;
  });
}

// Errors of f16 and bf16: PTX ISA, "Half Precision Floating Point Instructions", tanh (absolute,
// 2^-10.987 and 2^-8) and ex2 (relative, 2^-9.9 and 2^-7).
struct Ex2 {
  static double of(double x) { return std::exp2(x); }
  static double error(double result, bool half) { return result * (half ? 0x1p-10 : 0x1p-7); }
};
struct Tanh {
  static double of(double x) { return std::tanh(x); }
  static double error(double, bool half) { return half ? 0x1p-11 : 0x1p-8; }
};

template <class H, class Op, bool Pair>
void approximate(Warp& w, const Inst& i, uint32_t mask) {
  const auto one = [&](uint32_t bits) {
    const bool ftz = i.option & kFtz;
    const float x = ftz ? flush<H>(H::wide(bits)) : H::wide(bits);
    double r = Op::of(x);
    // half of the bound: the rest is for rounding; what is exact by the manual's tables stays
    if (std::isfinite(x) && x != 0 && std::isfinite(r) && r != 0)
      r += 0.5 * approximation_error(bits) * Op::error(r, std::is_same_v<H, Half>);
    const uint32_t near = H::narrow(float(r));
    return ftz && std::fabs(H::wide(near)) < H::kNormal ? near & 0x8000 : near;
  };
  const auto* a = w.row(i.a);
  auto* d = w.row(i.d);
  each_lane(mask, [&](int l) {
    const uint32_t low = one(a[l] & 0xffff);
    d[l] = Pair ? low | one(a[l] >> 16) << 16 : low;
  });
}

template <class Op, class H, bool Pair>
Handler pick(const Inst& i) {
  return i.option ? Handler(with_modifiers<H, Op, Pair>) : Handler(plain<H, Op, Pair>);
}

template <class H, bool Pair>
Handler handler_of(const Instruction& inst, const Inst& i) {
  const std::string& op = inst.opcode;
  const bool nan = (op == "min" || op == "max") && inst.has("NaN");
  if (op == "add") return pick<Add, H, Pair>(i);
  if (op == "sub") return pick<Sub, H, Pair>(i);
  if (op == "mul") return pick<Mul, H, Pair>(i);
  if (op == "fma") return pick<Fma, H, Pair>(i);
  if (op == "min") return nan ? pick<Min<true>, H, Pair>(i) : pick<Min<false>, H, Pair>(i);
  if (op == "max") return nan ? pick<Max<true>, H, Pair>(i) : pick<Max<false>, H, Pair>(i);
  if (op == "neg") return sign<H, Pair, false>;
  if (op == "abs") return sign<H, Pair, true>;
  if (op == "ex2") return approximate<H, Ex2, Pair>;
  if (op == "tanh") return approximate<H, Tanh, Pair>;
  return nullptr;
}

/// The modifiers that an operation has; another one stays unknown.
uint8_t read_options(const Instruction& inst) {
  const std::string& op = inst.opcode;
  const bool picks = op == "min" || op == "max",
             sums = op == "add" || op == "sub" || op == "mul" || op == "fma";
  uint8_t options = 0;
  if (op != "tanh" && inst.has("ftz")) options |= kFtz;
  if (sums && inst.has("sat")) options |= kSat;
  if (op == "fma" && inst.has("relu")) options |= kRelu;
  if (picks && inst.has("xorsign") && inst.has("abs")) options |= kXorSign;
  return options;
}

}  // namespace

bool decode_half_arithmetic(Decoder& d, const Instruction& inst, Inst& i) {
  const Type t = d.type(inst);
  const bool pair = t == Type::f16x2 || t == Type::bf16x2,
             half = t == Type::f16 || t == Type::f16x2;
  i.option = read_options(inst);
  if (half)
    i.run = pair ? handler_of<Half, true>(inst, i) : handler_of<Half, false>(inst, i);
  else
    i.run = pair ? handler_of<Brain, true>(inst, i) : handler_of<Brain, false>(inst, i);
  if (!i.run) return false;
  const std::string& op = inst.opcode;
  const bool one = op == "neg" || op == "abs" || op == "ex2" || op == "tanh";
  const size_t sources = one ? 1 : op == "fma" ? 3 : 2;
  expect_operands(d, inst, sources + 1, sources + 1);
  i.d = d.target(inst.operands[0], t);
  i.a = i.b = i.c = d.source(inst.operands[1], t);
  if (sources > 1) i.b = d.source(inst.operands[2], t);
  if (sources > 2) i.c = d.source(inst.operands[3], t);
  return true;
}

}  // namespace sim
