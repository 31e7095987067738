// Integers in the two halves or four bytes of a word at once: the SIMD video instructions, PTX ISA,
// section 9.7.17, and add, min and max of u16x2 and s16x2, section 9.7.1.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"

namespace sim {
namespace {

using ptx::Type;

enum class Part : uint8_t { add, sub, avrg, absdiff, min, max, eq, ne, lt, le, gt, ge };

struct Form {
  Part part = Part::add;
  int bits = 8;  // of an element
  bool signed_d = false, signed_a = false, signed_b = false;
  bool saturates = false;
  bool adds = false;  // the elements and c are summed
  bool relu = false;
};

int64_t of_part(Part part, int64_t a, int64_t b) {
  switch (part) {
    case Part::add:
      return a + b;
    case Part::sub:
      return a - b;
    case Part::avrg:  // halves away from zero
      return (a + b + (a + b >= 0)) >> 1;
    case Part::absdiff:
      return std::abs(a - b);
    case Part::min:
      return std::min(a, b);
    case Part::max:
      return std::max(a, b);
    case Part::eq:
      return a == b;
    case Part::ne:
      return a != b;
    case Part::lt:
      return a < b;
    case Part::le:
      return a <= b;
    case Part::gt:
      return a > b;
    case Part::ge:
      return a >= b;
  }
  return 0;
}

int64_t element(uint32_t word, int at, int bits, bool is_signed) {
  const uint32_t value = word >> at & ((1u << bits) - 1);
  return is_signed ? int64_t(int32_t(value << (32 - bits)) >> (32 - bits)) : int64_t(value);
}

uint32_t computed(const Form& f, uint32_t a, uint32_t b, uint32_t c) {
  uint32_t word = 0, sum = c;
  for (int at = 0; at < 32; at += f.bits) {
    int64_t r =
        of_part(f.part, element(a, at, f.bits, f.signed_a), element(b, at, f.bits, f.signed_b));
    if (f.saturates) {
      const int64_t top = (int64_t(1) << (f.signed_d ? f.bits - 1 : f.bits)) - 1;
      r = std::clamp<int64_t>(r, f.signed_d ? -top - 1 : 0, top);
    }
    if (f.relu) r = std::max<int64_t>(r, 0);
    sum += uint32_t(r);
    word |= (uint32_t(r) & ((1u << f.bits) - 1)) << at;
  }
  return f.adds ? sum : word;
}

void run_video(Warp& w, const Inst& i, uint32_t mask) {
  const auto& f = *static_cast<const Form*>(i.extra);
  const auto *a = w.row(i.a), *b = w.row(i.b), *c = w.row(i.c);
  auto* d = w.row(i.d);
  each_lane(mask, [&](int l) { d[l] = computed(f, a[l], b[l], c[l]); });
}

Part part_of(const Decoder& d, const Instruction& inst, std::string_view name) {
  constexpr std::pair<std::string_view, Part> kParts[] = {
      {"add", Part::add},         {"sub", Part::sub}, {"avrg", Part::avrg},
      {"absdiff", Part::absdiff}, {"min", Part::min}, {"max", Part::max}};
  constexpr std::pair<std::string_view, Part> kComparisons[] = {{"eq", Part::eq}, {"ne", Part::ne},
                                                                {"lt", Part::lt}, {"le", Part::le},
                                                                {"gt", Part::gt}, {"ge", Part::ge}};
  for (const auto& [text, part] : kParts)
    if (text == name) return part;
  for (const auto& [text, part] : kComparisons)
    if (inst.has(text)) return part;
  d.unsupported(inst, "it compares by eq, ne, lt, le, gt or ge");
}

void keep(Decoder& d, Inst& i, std::shared_ptr<Form> form) {
  i.run = run_video;
  i.extra = form.get();
  d.code().extras.push_back(std::move(form));
}

void decode_video(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 4, 4);
  auto form = std::make_shared<Form>();
  const std::string& op = inst.opcode;  // v, the name of the operation, 2 or 4
  form->bits = op.back() == '2' ? 16 : 8;
  form->part = part_of(d, inst, std::string_view(op).substr(1, op.size() - 2));
  // vset gives 0 or 1 and names the types of its sources alone
  const bool set = op.starts_with("vset");
  const auto is_signed = [&](int position) {
    return d.type(inst, {Type::u32, Type::s32}, position) == Type::s32;
  };
  form->signed_d = !set && is_signed(0);
  form->signed_a = is_signed(set ? 0 : 1);
  form->signed_b = is_signed(set ? 1 : 2);
  form->saturates = !set && inst.has("sat");
  form->adds = inst.has("add");
  i.d = d.target(inst.operands[0], Type::b32);
  i.a = d.source(inst.operands[1], Type::b32);
  i.b = d.source(inst.operands[2], Type::b32);
  i.c = d.source(inst.operands[3], Type::b32);
  keep(d, i, std::move(form));
}

constexpr std::string_view kForms = "u32 s32, .sat .add; no selection of elements";
constexpr Entry kTable[] = {
    {"vadd2", decode_video, Class::integer, kForms},
    {"vadd4", decode_video, Class::integer, kForms},
    {"vsub2", decode_video, Class::integer, kForms},
    {"vsub4", decode_video, Class::integer, kForms},
    {"vavrg2", decode_video, Class::integer, kForms},
    {"vavrg4", decode_video, Class::integer, kForms},
    {"vabsdiff2", decode_video, Class::integer, kForms},
    {"vabsdiff4", decode_video, Class::integer, kForms},
    {"vmin2", decode_video, Class::integer, kForms},
    {"vmin4", decode_video, Class::integer, kForms},
    {"vmax2", decode_video, Class::integer, kForms},
    {"vmax4", decode_video, Class::integer, kForms},
    {"vset2", decode_video, Class::integer, ".eq .ne .lt .le .gt .ge, u32 s32, .add"},
    {"vset4", decode_video, Class::integer, ".eq .ne .lt .le .gt .ge, u32 s32, .add"},
};

}  // namespace

bool decode_integer_pair(Decoder& d, const Instruction& inst, Inst& i) {
  const bool is_signed = inst.has("s16x2");
  if (!is_signed && !inst.has("u16x2")) return false;
  expect_operands(d, inst, 3, 3);
  auto form = std::make_shared<Form>();
  form->bits = 16;
  form->part = part_of(d, inst, inst.opcode);
  form->signed_d = form->signed_a = form->signed_b = is_signed;
  form->relu = is_signed && (inst.opcode == "min" || inst.opcode == "max") && inst.has("relu");
  i.kind = Class::integer;
  i.d = d.target(inst.operands[0], Type::b32);
  i.a = i.c = d.source(inst.operands[1], Type::b32);
  i.b = d.source(inst.operands[2], Type::b32);
  keep(d, i, std::move(form));
  return true;
}

std::span<const Entry> video_table() { return kTable; }

}  // namespace sim
