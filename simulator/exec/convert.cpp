// Conversions between types: PTX ISA, section 9.7.9, cvt. Common pairs are loops that vectorise;
// all others go through a number that holds every source exactly.
#include <algorithm>
#include <cfenv>
#include <cmath>
#include <limits>

#include "simulator/exec/convert.h"
#include "simulator/exec/formats.h"
#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"

namespace sim {
namespace {

using ptx::Type;

enum Option : uint8_t { kSat = 1, kFtz = 2, kRelu = 4, kToInteger = 8 };

/// Everything the slow path needs to know.
struct Conversion {
  Type to = Type::none, from = Type::none;
  Rounding rounding = Rounding::nearest;
  bool sat = false, ftz = false, relu = false, integral = false, finite = false;
};

bool is_real(Type t) {
  return t == Type::f16 || t == Type::bf16 || t == Type::f32 || t == Type::f64 || t == Type::tf32;
}
bool is_signed(Type t) {
  return t == Type::s8 || t == Type::s16 || t == Type::s32 || t == Type::s64;
}

long double to_number(Type t, uint64_t bits) {
  switch (t) {
    case Type::u8:
    case Type::b8:
      return uint8_t(bits);
    case Type::s8:
      return int8_t(bits);
    case Type::u16:
    case Type::b16:
      return uint16_t(bits);
    case Type::s16:
      return int16_t(bits);
    case Type::u32:
    case Type::b32:
      return uint32_t(bits);
    case Type::s32:
      return int32_t(bits);
    case Type::u64:
    case Type::b64:
      return bits;
    case Type::s64:
      return int64_t(bits);
    case Type::f16:
      return half_to_float(uint16_t(bits));
    case Type::bf16:
      return brain_to_float(uint16_t(bits));
    case Type::f64:
      return std::bit_cast<double>(bits);
    default:
      return std::bit_cast<float>(uint32_t(bits));
  }
}

long double to_whole(long double x, Rounding r) {
  switch (r) {
    case Rounding::nearest:
      return std::nearbyint(x);
    case Rounding::zero:
      return std::trunc(x);
    case Rounding::down:
      return std::floor(x);
    case Rounding::up:
      return std::ceil(x);
    case Rounding::nearest_away:
      return std::round(x);
  }
  return x;
}

/// A real number as an integer: rounded, held to the type's range. NaN is 0, and in f64 to 64 bits
/// the smallest number.
uint64_t to_integer(long double x, const Conversion& c) {
  const int bits = 8 * ptx::size_of(c.to);
  if (std::isnan(x)) return c.from == Type::f64 || bits == 64 ? uint64_t(1) << (bits - 1) : 0;
  x = to_whole(x, c.rounding);
  if (is_signed(c.to)) {
    const long double top = std::ldexp(1.0L, bits - 1);
    return uint64_t(x >= top   ? int64_t((uint64_t(1) << (bits - 1)) - 1)
                    : x < -top ? -int64_t((uint64_t(1) << (bits - 1)) - 1) - 1
                               : int64_t(x));
  }
  const long double top = std::ldexp(1.0L, bits);
  if (x <= 0) return 0;
  return x >= top ? ~uint64_t(0) >> (64 - bits) : uint64_t(x);
}

uint64_t to_bits(long double x, const Conversion& c) {
  if (c.sat && is_real(c.to)) x = x > 1 ? 1.0L : x > 0 ? x : 0.0L;
  if (c.relu && !(x > 0) && !std::isnan(x)) x = 0;
  if (c.integral && is_real(c.to)) {
    const long double whole = to_whole(x, c.rounding);
    x = whole == 0 ? std::copysign(0.0L, x) : whole;
  }
  switch (c.to) {
    case Type::f16:
      return narrow(x, kHalf, c.rounding, c.finite);
    case Type::bf16:
      return narrow(x, kBrain, c.rounding, c.finite);
    case Type::tf32: {
      const uint32_t u = narrow(x, {10, 8, 0x3ffff}, c.rounding, c.finite);
      return uint64_t(u) << 13;
    }
    case Type::f32: {
      uint32_t u = narrow(x, kSingle, c.integral ? Rounding::nearest : c.rounding);
      if (c.ftz && (u & 0x7f800000) == 0) u &= 0x80000000;
      return u;
    }
    case Type::f64:
      return std::bit_cast<uint64_t>(double(x));
    default:
      return 0;
  }
}

uint64_t convert(uint64_t bits, const Conversion& c) {
  if (!is_real(c.from) && !is_real(c.to)) {
    if (!c.sat) {
      const long double x = to_number(c.from, bits);
      return is_signed(c.from) ? uint64_t(int64_t(x)) : uint64_t(x);
    }
    Conversion clamp = c;
    return to_integer(to_number(c.from, bits), clamp);
  }
  long double x = to_number(c.from, bits);
  if (c.ftz && c.from == Type::f32 && std::fabs(x) < 0x1p-126L) x = std::copysign(0.0L, x);
  if (!is_real(c.to)) return to_integer(x, c);
  if (c.to == Type::f64 && !is_real(c.from) && c.rounding != Rounding::nearest) {
    const double near = double(x);  // a 64-bit integer that double cannot hold
    if ((long double)near == x) return std::bit_cast<uint64_t>(near);
    const bool above = (long double)near > x;
    const bool down = c.rounding == Rounding::down || (c.rounding == Rounding::zero && x > 0);
    if (above == down)
      return std::bit_cast<uint64_t>(std::nextafter(near, down ? -INFINITY : INFINITY));
    return std::bit_cast<uint64_t>(near);
  }
  return to_bits(x, c);
}

/// Bits of a value that its register keeps: a signed one that is widened is extended.
uint64_t fit(uint64_t value, Type type, int register_bytes) {
  if (is_signed(type) && ptx::size_of(type) < register_bytes)
    value =
        uint64_t(int64_t(value << (64 - 8 * ptx::size_of(type))) >> (64 - 8 * ptx::size_of(type)));
  else if (ptx::size_of(type) < 8)
    value &= (uint64_t(1) << 8 * ptx::size_of(type)) - 1;
  return register_bytes == 8 ? value : value & ((uint64_t(1) << 8 * register_bytes) - 1);
}

template <class D, class S>
void general(Warp& w, const Inst& i, uint32_t mask) {
  const auto& c = *static_cast<const Conversion*>(i.extra);
  const auto* a = w.row<S>(i.a);
  auto* d = w.row<D>(i.d);
  each_lane(mask, [&](int l) { d[l] = D(fit(convert(a[l], c), c.to, int(i.count))); });
}

template <class D, class S>
struct Cast {
  static D of(S x) { return D(x); }
};
/// What cvttss2si gives out of range is not what a card gives: held to the range first.
struct FloatToInt {
  static int32_t of(float x) {
    const bool high = x >= 2147483648.0f, low = x <= -2147483648.0f;
    const bool inside = !(high | low | (x != x));
    const auto in = int32_t(choose(inside, x, 0.0f));
    return choose(high, int32_t(0x7fffffff), choose(low, int32_t(0x80000000), in));
  }
};
struct HalfToFloat {
  static float of(uint16_t x) { return canonical(half_to_float(x)); }
};
struct FloatToHalf {
  static uint16_t of(float x) { return float_to_half(x); }
};
struct BrainToFloat {
  static float of(uint16_t x) { return brain_to_float(x); }
};
struct FloatToBrain {
  static uint16_t of(float x) { return float_to_brain(x); }
};
struct DoubleToFloat {
  static float of(double x) { return canonical(float(x)); }
};

/// Widening and narrowing of integers, and the pairs that kernels use most.
Handler fast(const Conversion& c, int register_bytes) {
  using T = Type;
  if (c.sat || c.ftz || c.relu || c.finite) return nullptr;
  const bool near = c.rounding == Rounding::nearest && !c.integral;
  const auto pair = [&](Type from, Type to) { return c.from == from && c.to == to; };
  if (!is_real(c.from) && !is_real(c.to)) {
    const int from = ptx::size_of(c.from), to = ptx::size_of(c.to);
    if (from == 4 && to == 8)
      return is_signed(c.from) ? Handler(map1<int64_t, int32_t, Cast<int64_t, int32_t>>)
                               : Handler(map1<uint64_t, uint32_t, Cast<uint64_t, uint32_t>>);
    if (from == 8 && to == 4 && register_bytes == 4)
      return map1<uint32_t, uint64_t, Cast<uint32_t, uint64_t>>;
    if (from == 2 && to == 4 && register_bytes == 4)
      return is_signed(c.from) ? Handler(map1<int32_t, int16_t, Cast<int32_t, int16_t>>)
                               : Handler(map1<uint32_t, uint16_t, Cast<uint32_t, uint16_t>>);
    if (from == 4 && to == 2 && register_bytes == 2)
      return map1<uint16_t, uint32_t, Cast<uint16_t, uint32_t>>;
    return nullptr;
  }
  if (near && pair(T::s32, T::f32)) return map1<float, int32_t, Cast<float, int32_t>>;
  if (near && pair(T::u32, T::f32)) return map1<float, uint32_t, Cast<float, uint32_t>>;
  if (pair(T::s32, T::f64)) return map1<double, int32_t, Cast<double, int32_t>>;
  if (pair(T::f32, T::f64) && !c.integral) return map1<double, float, Cast<double, float>>;
  if (near && pair(T::f64, T::f32)) return map1<float, double, DoubleToFloat>;
  if (pair(T::f16, T::f32) && !c.integral) return map1<float, uint16_t, HalfToFloat>;
  if (near && pair(T::f32, T::f16)) return map1<uint16_t, float, FloatToHalf>;
  if (pair(T::bf16, T::f32) && !c.integral) return map1<float, uint16_t, BrainToFloat>;
  if (near && pair(T::f32, T::bf16)) return map1<uint16_t, float, FloatToBrain>;
  if (c.rounding == Rounding::zero && pair(T::f32, T::s32) && register_bytes == 4)
    return map1<int32_t, float, FloatToInt>;
  return nullptr;
}

/// cvt.rn.f16x2.f32 d, a, b: a in the upper half.
void packed(Warp& w, const Inst& i, uint32_t mask) {
  const auto& c = *static_cast<const Conversion*>(i.extra);
  const auto *a = w.row(i.a), *b = w.row(i.b);
  auto* d = w.row(i.d);
  if (c.rounding == Rounding::nearest && !c.relu && !c.finite) {
    if (c.to == Type::f16)
      write_lanes<uint32_t>(d, mask, [&](int l) {
        return uint32_t(float_to_half(get<float>(a[l]))) << 16 | float_to_half(get<float>(b[l]));
      });
    else
      write_lanes<uint32_t>(d, mask, [&](int l) {
        return uint32_t(float_to_brain(get<float>(a[l]))) << 16 | float_to_brain(get<float>(b[l]));
      });
    return;
  }
  each_lane(mask,
            [&](int l) { d[l] = uint32_t(convert(a[l], c)) << 16 | uint32_t(convert(b[l], c)); });
}

Conversion read_modifiers(Decoder& d, const Instruction& inst) {
  Conversion c;
  c.to = d.type(inst, 0);
  c.from = d.type(inst, 1);
  c.sat = inst.has("sat");
  c.ftz = inst.has("ftz");
  const bool narrow = c.to == Type::f16 || c.to == Type::bf16 || c.to == Type::f16x2 ||
                      c.to == Type::bf16x2 || c.to == Type::tf32;
  c.relu = narrow && inst.has("relu");
  c.finite = narrow && inst.has("satfinite");
  c.integral = inst.has("rni") || inst.has("rzi") || inst.has("rmi") || inst.has("rpi");
  if (inst.has("rz") || inst.has("rzi")) c.rounding = Rounding::zero;
  if (inst.has("rm") || inst.has("rmi")) c.rounding = Rounding::down;
  if (inst.has("rp") || inst.has("rpi")) c.rounding = Rounding::up;
  if (c.to == Type::tf32 && inst.has("rna")) c.rounding = Rounding::nearest_away;
  return c;
}

void decode_cvt(Decoder& d, const Instruction& inst, Inst& i) {
  if (inst.has("pack")) return decode_cvt_pack(d, inst, i);
  if (decode_fp8(d, inst, i)) return;
  Conversion c = read_modifiers(d, inst);
  i.d = d.target(inst.operands[0], c.to, Width::at_least);
  if (c.to == Type::f16x2 || c.to == Type::bf16x2) {
    if (c.from != Type::f32) d.unsupported(inst, "only f32 is packed into pairs");
    expect_operands(d, inst, 3, 3);
    c.to = c.to == Type::f16x2 ? Type::f16 : Type::bf16;
    i.a = d.source(inst.operands[1], Type::f32);
    i.b = d.source(inst.operands[2], Type::f32);
    i.run = packed;
  } else {
    expect_operands(d, inst, 2, 2);
    const auto is_whole = [](Type t) { return t >= Type::u8 && t <= Type::s64; };
    if ((!is_whole(c.to) && !is_real(c.to)) || (!is_whole(c.from) && !is_real(c.from)))
      d.unsupported(inst, "these types are not converted");
    i.a = d.source(inst.operands[1], c.from, Width::at_least);
    const Type held = d.type_of(inst.operands[0]);
    const int bytes = held == Type::none ? ptx::size_of(c.to) : ptx::size_of(held);
    i.count = uint8_t(bytes);
    const bool narrow_from = ptx::size_of(c.from) < 8;
    const Type source = d.type_of(inst.operands[1]);  // may be wider than what is converted
    const bool in_wide = narrow_from && source != Type::none && ptx::size_of(source) == 8;
    const bool wide = bytes == 8, from_wide = in_wide || !narrow_from;
    if (!in_wide) i.run = fast(c, bytes);
    if (!i.run)
      i.run = wide ? (from_wide ? Handler(general<uint64_t, uint64_t>)
                                : Handler(general<uint64_t, uint32_t>))
                   : (from_wide ? Handler(general<uint32_t, uint64_t>)
                                : Handler(general<uint32_t, uint32_t>));
  }
  auto kept = std::make_shared<const Conversion>(c);
  i.extra = kept.get();
  d.code().extras.push_back(std::move(kept));
}

constexpr Entry kTable[] = {
    {"cvt", decode_cvt, Class::convert,
     "among integers of 8 to 64 bits, f16, bf16, f32, f64; to tf32, f16x2, bf16x2; all roundings, "
     ".sat .ftz, .relu and .satfinite to 16 bits and tf32; e4m3x2 e5m2x2 with f16x2 and from f32; "
     ".pack to 8 and 16 bits"},
};

}  // namespace

std::span<const Entry> convert_table() { return kTable; }

}  // namespace sim
