// Floating-point arithmetic in f32 and f64: PTX ISA, sections 9.7.3 and 9.7.4 (9.7.4 for fma and
// add in half precision stands in half.cpp). Results are IEEE's, with the NaN that a card gives;
// .ftz takes subnormal numbers for zero, before and after.
#include <cmath>
#include <limits>

#include "simulator/exec/approx.h"
#include "simulator/exec/real.h"
#include "simulator/exec/types.h"

namespace sim {

bool decode_integer_arithmetic(Decoder& d, const Instruction& inst, Inst& i);
bool decode_half_arithmetic(Decoder& d, const Instruction& inst, Inst& i);
bool decode_integer_pair(Decoder& d, const Instruction& inst, Inst& i);

namespace {

using namespace real;
using ptx::Type;

struct Neg {
  template <class T>
  static T of(T a) {
    return -a;
  }
};
struct Abs {
  template <class T>
  static T of(T a) {
    return std::fabs(a);
  }
};
struct Copysign {
  template <class T>
  static T of(T a, T b) {
    return std::copysign(b, a);
  }
};

template <class T, class Op, int N, bool Ftz, bool Sat>
constexpr Handler handler() {
  using W = With<T, Op, Ftz, Sat>;
  if constexpr (N == 1) return map1<T, T, W>;
  if constexpr (N == 2) return map2<T, T, T, W>;
  if constexpr (N == 3) return map3<T, T, T, T, W>;
}

template <class T, class Op, int N, bool Ftz, bool Sat>
Handler with_direction(const Instruction& inst) {
  if constexpr (!std::is_same_v<Op, Min<false>> && !std::is_same_v<Op, Min<true>> &&
                !std::is_same_v<Op, Max<false>> && !std::is_same_v<Op, Max<true>>)
    if (Handler h = in_direction<T, Op, N, Ftz, Sat>(inst)) return h;
  return handler<T, Op, N, Ftz, Sat>();
}

template <class Op, int N>
Handler pick(Decoder& d, const Instruction& inst, Type type) {
  if (type == Type::f64) return with_direction<double, Op, N, false, false>(inst);
  if (type != Type::f32) d.unsupported(inst, "its type is not f32 or f64");
  const bool ftz = inst.has("ftz"), sat = inst.has("sat");
  if (ftz)
    return sat ? with_direction<float, Op, N, true, true>(inst)
               : with_direction<float, Op, N, true, false>(inst);
  return sat ? with_direction<float, Op, N, false, true>(inst)
             : with_direction<float, Op, N, false, false>(inst);
}

/// Sign operations do not make NaNs canonical.
template <class Op>
Handler pick_sign(Decoder& d, const Instruction& inst, Type type) {
  struct F {
    static float of(float a) { return Op::of(a); }
  };
  struct G {
    static float of(float a) { return flush(Op::of(a)); }
  };
  struct D {
    static double of(double a) { return Op::of(a); }
  };
  if (type == Type::f64) return map1<double, double, D>;
  if (type == Type::f32)
    return inst.has("ftz") ? Handler(map1<float, float, G>) : Handler(map1<float, float, F>);
  d.unsupported(inst, "its type is not f32 or f64");
}

void sources(Decoder& d, const Instruction& inst, Inst& i, Type type, size_t n) {
  expect_operands(d, inst, n + 1, n + 1);
  i.d = d.target(inst.operands[0], type);
  i.a = d.source(inst.operands[1], type);
  if (n > 1) i.b = d.source(inst.operands[2], type);
  if (n > 2) i.c = d.source(inst.operands[3], type);
}

/// Opcodes that integers, halves and reals share: the type says whose the instruction is.
void decode_arithmetic(Decoder& d, const Instruction& inst, Inst& i) {
  if (decode_integer_pair(d, inst, i)) return;
  const Type t = d.type(inst);
  const std::string& op = inst.opcode;
  if (t != Type::f32 && t != Type::f64) {
    const bool half = t == Type::f16 || t == Type::f16x2 || t == Type::bf16 || t == Type::bf16x2;
    if (half ? !decode_half_arithmetic(d, inst, i) : !decode_integer_arithmetic(d, inst, i))
      d.unsupported(inst, "this form is not simulated");
    i.kind = half ? Class::real : Class::integer;
    return;
  }
  i.kind = Class::real;
  if (inst.has("xorsign")) d.unsupported(inst, "in f32 this form is not simulated");
  if (op == "neg" || op == "abs") {
    sources(d, inst, i, t, 1);
    i.run = op == "neg" ? pick_sign<Neg>(d, inst, t) : pick_sign<Abs>(d, inst, t);
  } else if (op == "fma" || op == "mad") {
    sources(d, inst, i, t, 3);
    i.run = pick<Fma, 3>(d, inst, t);
  } else {
    sources(d, inst, i, t, 2);
    if (op == "add") i.run = pick<Add, 2>(d, inst, t);
    if (op == "sub") i.run = pick<Sub, 2>(d, inst, t);
    if (op == "mul") i.run = pick<Mul, 2>(d, inst, t);
    // full and approx divisions are within 2 ulp; the rounded quotient is one such result
    if (op == "div")
      i.run = t == Type::f32 && (inst.has("approx") || inst.has("full"))
                  ? approx_divide(inst.has("full"), inst.has("ftz"))
                  : pick<Div, 2>(d, inst, t);
    const bool nan = (op == "min" || op == "max") && t == Type::f32 && inst.has("NaN");
    if (op == "min") i.run = nan ? pick<Min<true>, 2>(d, inst, t) : pick<Min<false>, 2>(d, inst, t);
    if (op == "max") i.run = nan ? pick<Max<true>, 2>(d, inst, t) : pick<Max<false>, 2>(d, inst, t);
  }
  if (!i.run) d.unsupported(inst, "this form is not simulated");
}

void decode_root(Decoder& d, const Instruction& inst, Inst& i) {
  const Type t = d.type(inst, {Type::f32, Type::f64});
  sources(d, inst, i, t, 1);
  if (inst.has("approx")) {
    i.run = approx_handler(inst.opcode, t == Type::f64, inst.has("ftz"));
  } else if (inst.opcode != "rsqrt") {
    i.run = inst.opcode == "sqrt" ? pick<Sqrt, 1>(d, inst, t) : pick<Rcp, 1>(d, inst, t);
  }
  if (!i.run) d.unsupported(inst, "this form is not simulated");
}

void decode_approx(Decoder& d, const Instruction& inst, Inst& i) {
  const Type t = d.type(inst);
  if (!inst.has("approx")) d.unsupported(inst, "it is .approx");
  if (t != Type::f32) {
    if (!decode_half_arithmetic(d, inst, i)) d.unsupported(inst, "this form is not simulated");
    return;
  }
  sources(d, inst, i, t, 1);
  i.run = approx_handler(inst.opcode, false, inst.opcode != "tanh" && inst.has("ftz"));
}

void decode_copysign(Decoder& d, const Instruction& inst, Inst& i) {
  const Type t = d.type(inst, {Type::f32, Type::f64});
  sources(d, inst, i, t, 2);
  struct F {
    static float of(float a, float b) { return Copysign::of(a, b); }
  };
  struct D {
    static double of(double a, double b) { return Copysign::of(a, b); }
  };
  i.run = t == Type::f64 ? Handler(map2<double, double, double, D>)
                         : Handler(map2<float, float, float, F>);
}

void decode_testp(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 2, 2);
  i.p = d.predicate(inst.operands[0]);
  const Type t = d.type(inst, {Type::f32, Type::f64});
  i.a = d.source(inst.operands[1], t);
  const char* const kTests[] = {"finite",     "infinite", "number",
                                "notanumber", "normal",   "subnormal"};
  i.option = 6;
  for (uint8_t k = 0; k < 6; ++k)
    if (inst.has(kTests[k])) i.option = k;
  if (i.option == 6) d.unsupported(inst, "its test is not known");
  const auto test = []<class T>(Warp& w, const Inst& i, uint32_t mask) {
    const auto* a = w.row<Cell<T>>(i.a);
    const uint32_t is = lanes_where([&](int l) {
      const T x = get<T>(a[l]);
      switch (i.option) {
        case 0:
          return bool(std::isfinite(x));
        case 1:
          return bool(std::isinf(x));
        case 2:
          return x == x;
        case 3:
          return x != x;
        case 4:
          return bool(std::isnormal(x));
        default:
          return std::fpclassify(x) == FP_SUBNORMAL;
      }
    });
    write_predicate(w.predicate(i.p), mask, is);
  };
  i.run = t == Type::f64 ? Handler([](Warp& w, const Inst& i, uint32_t m) {
    decltype(test){}.template operator()<double>(w, i, m);
  })
                         : Handler([](Warp& w, const Inst& i, uint32_t m) {
                             decltype(test){}.template operator()<float>(w, i, m);
                           });
}

constexpr std::string_view kSums =
    "integers (.cc, .sat s32), u16x2 s16x2; f16 f16x2 bf16 bf16x2 (.ftz .sat); f32 (.rz .rm .rp "
    ".ftz .sat); f64 (.rz .rm .rp)";
constexpr std::string_view kPicks =
    "integers (.relu s32), u16x2 s16x2 (.relu); f16 f16x2 bf16 bf16x2 (.ftz .NaN .xorsign.abs); "
    "f32 (.ftz .NaN); f64";
constexpr std::string_view kSigns = "integers; f16 f16x2 bf16 bf16x2 f32 (.ftz); f64";
constexpr std::string_view kHalvesToo = ".approx, f32 f16 f16x2 bf16 bf16x2 (.ftz)";
constexpr std::string_view kRoots = "f32 f64 (.rz .rm .rp, f32 .ftz), .approx f32 (.ftz)";

constexpr Entry kTable[] = {
    {"add", decode_arithmetic, Class::real, kSums},
    {"sub", decode_arithmetic, Class::real, kSums},
    {"mul", decode_arithmetic, Class::real,
     "integers .lo .hi .wide; f16 f16x2 bf16 bf16x2 (.ftz .sat); f32 (.rz .rm .rp .ftz .sat); f64 "
     "(.rz .rm .rp)"},
    {"mad", decode_arithmetic, Class::real,
     "integers .lo .hi .wide (.cc, .hi.sat s32); f32 f64 as fma"},
    {"fma", decode_arithmetic, Class::real,
     "f16 f16x2 bf16 bf16x2 (.ftz .sat .relu); f32 (.rz .rm .rp .ftz .sat); f64 (.rz .rm .rp)"},
    {"div", decode_arithmetic, Class::real,
     "integers; f32 (.rz .rm .rp, .approx, .full, .ftz); f64 (.rz .rm .rp)"},
    {"rem", decode_arithmetic, Class::integer, "integers"},
    {"min", decode_arithmetic, Class::real, kPicks},
    {"max", decode_arithmetic, Class::real, kPicks},
    {"neg", decode_arithmetic, Class::real, kSigns},
    {"abs", decode_arithmetic, Class::real, kSigns},
    {"sqrt", decode_root, Class::real, kRoots},
    {"rcp", decode_root, Class::real,
     "f32 f64 (.rz .rm .rp, f32 .ftz), .approx f32 (.ftz) and f64 .ftz"},
    {"rsqrt", decode_root, Class::real, ".approx, f32 f64 (.ftz)"},
    {"sin", decode_approx, Class::real, ".approx, f32 (.ftz)"},
    {"cos", decode_approx, Class::real, ".approx, f32 (.ftz)"},
    {"lg2", decode_approx, Class::real, ".approx, f32 (.ftz)"},
    {"ex2", decode_approx, Class::real, kHalvesToo},
    {"tanh", decode_approx, Class::real, ".approx, f32 f16 f16x2 bf16 bf16x2"},
    {"copysign", decode_copysign, Class::real, "f32 f64"},
    {"testp", decode_testp, Class::real, "f32 f64"},
};

}  // namespace

std::span<const Entry> real_table() { return kTable; }

}  // namespace sim
