// Conversions to and from eight bits of floating point, always in pairs, and cvt.pack, which holds
// two integers to a narrower range: PTX ISA, section 9.7.9, cvt and cvt.pack.
#include <algorithm>

#include "simulator/exec/convert.h"
#include "simulator/exec/formats.h"
#include "simulator/exec/lanes.h"

namespace sim {
namespace {

using ptx::Type;

constexpr Format kE5m2{2, 5, 0x7f}, kE4m3{3, 4, 0x7f};

/// e4m3 has no infinity: the highest exponent holds numbers to 448, and one NaN.
uint32_t to_e4m3(float x) {
  if (std::fabs(x) < 2) return narrow(x, kE4m3);
  if (std::isnan(x)) return kE4m3.nan;
  // half of it lies below the highest exponent
  return narrow(std::clamp(x, -448.0f, 448.0f) / 2, kE4m3) + 8;
}
uint32_t to_e5m2(float x) { return narrow(x, kE5m2, Rounding::nearest, true); }

uint32_t half_of_e4m3(uint32_t bits) {
  const int exponent = int(bits >> 3 & 15), mantissa = int(bits & 7);
  if ((bits & 0x7f) == 0x7f) return 0x7fff;
  const float size =
      exponent ? std::ldexp(float(8 + mantissa), exponent - 10) : std::ldexp(float(mantissa), -9);
  return float_to_half(bits & 0x80 ? -size : size);
}
uint32_t half_of_e5m2(uint32_t bits) { return (bits & 0x7f) > 0x7c ? 0x7fff : bits << 8; }

float positive(float x) { return x <= 0 ? 0.0f : x; }

enum Option : uint8_t { kE5 = 1, kRelu = 2 };

uint32_t narrowed(float x, uint8_t option) {
  if (option & kRelu) x = positive(x);
  return option & kE5 ? to_e5m2(x) : to_e4m3(x);
}

void from_floats(Warp& w, const Inst& i, uint32_t mask) {  // a in the upper half
  const auto *a = w.row(i.a), *b = w.row(i.b);
  auto* d = w.row(i.d);
  each_lane(mask, [&](int l) {
    d[l] = narrowed(get<float>(a[l]), i.option) << 8 | narrowed(get<float>(b[l]), i.option);
  });
}
void from_halves(Warp& w, const Inst& i, uint32_t mask) {
  const auto* a = w.row(i.a);
  auto* d = w.row(i.d);
  each_lane(mask, [&](int l) {
    d[l] = narrowed(half_to_float(uint16_t(a[l] >> 16)), i.option) << 8 |
           narrowed(half_to_float(uint16_t(a[l])), i.option);
  });
}
void to_halves(Warp& w, const Inst& i, uint32_t mask) {
  const auto* a = w.row(i.a);
  auto* d = w.row(i.d);
  const auto one = [&](uint32_t bits) {
    const uint32_t h = i.option & kE5 ? half_of_e5m2(bits) : half_of_e4m3(bits);
    return i.option & kRelu && (h & 0x8000) ? 0u : h;
  };
  each_lane(mask, [&](int l) { d[l] = one(a[l] >> 8 & 0xff) << 16 | one(a[l] & 0xff); });
}

struct Packing {
  int bits = 16;
  int64_t low = 0, high = 0;
  bool signed_source = true;
};

void pack(Warp& w, const Inst& i, uint32_t mask) {
  const auto& p = *static_cast<const Packing*>(i.extra);
  const auto *a = w.row(i.a), *b = w.row(i.b), *c = w.row(i.c);
  auto* d = w.row(i.d);
  const auto held = [&](uint32_t x) {
    const int64_t value = p.signed_source ? int64_t(int32_t(x)) : int64_t(x);
    return uint32_t(std::clamp(value, p.low, p.high)) & ((1u << p.bits) - 1);
  };
  each_lane(mask, [&](int l) {
    const uint32_t two = held(a[l]) << p.bits | held(b[l]);
    d[l] = p.bits == 16 ? two : c[l] << 2 * p.bits | two;
  });
}

}  // namespace

bool decode_fp8(Decoder& d, const Instruction& inst, Inst& i) {
  const bool e5 = inst.has("e5m2x2");
  if (!e5 && !inst.has("e4m3x2")) return false;
  i.option = uint8_t((e5 ? kE5 : 0) | (inst.has("relu") ? kRelu : 0));
  const bool widens = inst.text().ends_with("x2") && !inst.text().ends_with("f16x2");
  i.d = d.target(inst.operands[0], widens ? Type::b32 : Type::b16);
  if (!widens && !inst.has("satfinite")) d.unsupported(inst, "it is .satfinite");
  const Type other = d.type(inst);
  if (other == Type::f32 && !widens) {
    expect_operands(d, inst, 3, 3);
    i.a = d.source(inst.operands[1], Type::f32);
    i.b = d.source(inst.operands[2], Type::f32);
    i.run = from_floats;
  } else if (other == Type::f16x2) {
    expect_operands(d, inst, 2, 2);
    i.a = d.source(inst.operands[1], widens ? Type::b16 : Type::b32);
    i.run = widens ? to_halves : from_halves;
  } else {
    d.unsupported(inst, "eight bits come from f32 and f16x2 and become f16x2");
  }
  return true;
}

void decode_cvt_pack(Decoder& d, const Instruction& inst, Inst& i) {
  auto p = std::make_shared<Packing>();
  const Type to = d.type(inst, 0);
  if (!inst.has("sat")) d.unsupported(inst, "it is .sat");
  p->bits = 8 * ptx::size_of(to);
  if (p->bits > 16) d.unsupported(inst, "it packs integers of 8 or 16 bits");
  const bool is_signed = to == Type::s16 || to == Type::s8;
  p->high = (int64_t(1) << (is_signed ? p->bits - 1 : p->bits)) - 1;
  p->low = is_signed ? -p->high - 1 : 0;
  p->signed_source = d.type(inst, 1) == Type::s32;
  expect_operands(d, inst, 3, 4);
  if (inst.operands.size() == 4) d.type(inst, {Type::b32});
  i.d = d.target(inst.operands[0], Type::b32);
  i.a = d.source(inst.operands[1], Type::b32);
  i.b = d.source(inst.operands[2], Type::b32);
  i.c =
      inst.operands.size() == 4 ? d.source(inst.operands[3], Type::b32) : d.constant(0, Type::b32);
  i.run = pack;
  i.extra = p.get();
  d.code().extras.push_back(std::move(p));
}

}  // namespace sim
