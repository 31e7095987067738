// mma.sync: PTX ISA, section 9.7.14.5. Adding a shape or type is one row of kProducts.
#include "simulator/exec/tensor.h"

#include <charconv>

#include "simulator/exec/lanes.h"

namespace sim {

using ptx::Type;

bool whole_warp(Warp& w, uint32_t mask) {
  if (mask == kAllLanes) return w.reads_done();
  if (w.alive() != kAllLanes)
    throw w.at({"lanes missing",
                "an .aligned instruction needs all 32 threads of the warp; some have ended, or "
                "the block has no such threads"},
               std::countr_zero(mask));
  return w.wait_for_lanes(kAllLanes, mask);
}

Shape shape_of(const Instruction& inst) {
  Shape shape;
  inst.find([&](std::string_view s) {
    if (!s.starts_with('m')) return false;
    Shape read;
    size_t at = 0;
    const auto number = [&](char name, int& value) {
      if (at == s.size() || s[at] != name) return;
      const auto [end, error] = std::from_chars(s.data() + at + 1, s.data() + s.size(), value);
      if (error == std::errc()) at = size_t(end - s.data());
    };
    number('m', read.m), number('n', read.n), number('k', read.k);
    if (at != s.size()) return false;
    shape = read;
    return true;
  });
  return shape;
}

int fragment_registers(int rows, int columns, Type type) {
  const int bytes = ptx::size_of(type);
  return rows * columns / kLanes / (bytes >= 4 ? 1 : 4 / bytes);
}

void decode_product(Decoder& d, const Instruction& inst, const Product& form, Inst& i) {
  expect_operands(d, inst, 4, 4);
  std::vector<Row> rows;
  const auto add = [&](const ptx::Operand& o, Type type, int needed, bool written) {
    uint8_t count = 0;
    const Row* given = d.rows(o, type, written, count);
    if (count < needed)
      d.unsupported(inst, "a fragment has " + std::to_string(needed) + " registers; got " +
                              std::to_string(count));
    rows.insert(rows.end(), given, given + needed);
  };
  const auto& [m, n, k, td, ta, tb, tc, run] = form;
  add(inst.operands[0], td, fragment_registers(m, n, td), true);
  add(inst.operands[1], ta, fragment_registers(m, k, ta), false);
  add(inst.operands[2], tb, fragment_registers(n, k, tb), false);
  add(inst.operands[3], tc, fragment_registers(m, n, tc), false);
  i.rows = d.keep(std::move(rows));
  i.option = td == Type::s32 && inst.has("satfinite");
  i.run = run;
}

namespace {

using namespace tensor;
using enum Type;

constexpr Product kProducts[] = {
    {16, 8, 16, f32, bf16, bf16, f32, multiply<16, 8, 16, F32, BF16, BF16, F32>},
    {16, 8, 8, f32, bf16, bf16, f32, multiply<16, 8, 8, F32, BF16, BF16, F32>},
    {16, 8, 16, f32, f16, f16, f32, multiply<16, 8, 16, F32, F16, F16, F32>},
    {16, 8, 8, f32, f16, f16, f32, multiply<16, 8, 8, F32, F16, F16, F32>},
    {16, 8, 16, f16, f16, f16, f16, multiply<16, 8, 16, F16, F16, F16, F16>},
    {16, 8, 8, f16, f16, f16, f16, multiply<16, 8, 8, F16, F16, F16, F16>},
    {16, 8, 4, f32, tf32, tf32, f32, multiply<16, 8, 4, F32, TF32, TF32, F32>},
    {16, 8, 8, f32, tf32, tf32, f32, multiply<16, 8, 8, F32, TF32, TF32, F32>},
    {8, 8, 4, f64, f64, f64, f64, multiply<8, 8, 4, F64, F64, F64, F64>},
    {16, 8, 4, f64, f64, f64, f64, multiply<16, 8, 4, F64, F64, F64, F64>},
    {16, 8, 8, f64, f64, f64, f64, multiply<16, 8, 8, F64, F64, F64, F64>},
    {16, 8, 16, f64, f64, f64, f64, multiply<16, 8, 16, F64, F64, F64, F64>},
    {8, 8, 16, s32, s8, s8, s32, multiply<8, 8, 16, S32, S8, S8, S32>},
    {8, 8, 16, s32, u8, u8, s32, multiply<8, 8, 16, S32, U8, U8, S32>},
    {8, 8, 16, s32, s8, u8, s32, multiply<8, 8, 16, S32, S8, U8, S32>},
    {8, 8, 16, s32, u8, s8, s32, multiply<8, 8, 16, S32, U8, S8, S32>},
    {16, 8, 16, s32, s8, s8, s32, multiply<16, 8, 16, S32, S8, S8, S32>},
    {16, 8, 16, s32, u8, u8, s32, multiply<16, 8, 16, S32, U8, U8, S32>},
    {16, 8, 16, s32, s8, u8, s32, multiply<16, 8, 16, S32, S8, U8, S32>},
    {16, 8, 16, s32, u8, s8, s32, multiply<16, 8, 16, S32, U8, S8, S32>},
    {16, 8, 32, s32, s8, s8, s32, multiply<16, 8, 32, S32, S8, S8, S32>},
    {16, 8, 32, s32, u8, u8, s32, multiply<16, 8, 32, S32, U8, U8, S32>},
    {16, 8, 32, s32, s8, u8, s32, multiply<16, 8, 32, S32, S8, U8, S32>},
    {16, 8, 32, s32, u8, s8, s32, multiply<16, 8, 32, S32, U8, S8, S32>},
};

void refuse_parts_of_bytes(Decoder& d, const Instruction& inst) {
  for (const std::string_view type : {"s4", "u4", "b1", "e4m3", "e5m2"})
    if (inst.has(type))
      d.unsupported(inst, "products of " + std::string(type) + " are not simulated");
}

void decode_mma(Decoder& d, const Instruction& inst, Inst& i) {
  refuse_parts_of_bytes(d, inst);
  if (inst.first() != "sync") d.unsupported(inst, "sparse matrices are not simulated");
  const Shape s = shape_of(inst);
  if (!inst.has("row") || !inst.has("col")) d.unsupported(inst, "a lies by rows and b by columns");
  if (inst.types() != 4)
    d.unsupported(inst, "it has four types of f16, bf16, tf32, f64, f32, s8, u8 and s32");
  for (const Product& p : kProducts)
    if (p.m == s.m && p.n == s.n && p.k == s.k && p.d == d.type(inst, 0) &&
        p.a == d.type(inst, 1) && p.b == d.type(inst, 2) && p.c == d.type(inst, 3))
      return decode_product(d, inst, p, i);
  d.unsupported(inst, "this shape with these types is not simulated");
}

void refuse_wgmma(Decoder& d, const Instruction& inst, Inst&) {
  d.unsupported(inst, "products of warp groups are not simulated yet; mma.sync is");
}

constexpr Entry kTable[] = {
    {"mma", decode_mma, Class::tensor,
     ".sync m16n8k8 m16n8k16 f16 bf16; m16n8k4 m16n8k8 tf32; m8n8k4 m16n8k4 m16n8k8 m16n8k16 f64; "
     "m8n8k16 "
     "m16n8k16 m16n8k32 s8 u8"},
    {"wmma",
     [](Decoder& d, const Instruction& inst, Inst& i) {
       refuse_parts_of_bytes(d, inst);
       decode_wmma(d, inst, i);
     },
     Class::tensor,
     ".load .store .mma, m16n16k16 m32n8k16 m8n32k16 f16 bf16 s8 u8; m16n16k8 tf32; m8n8k4 f64"},
    {"ldmatrix", decode_ldmatrix, Class::memory, ".m8n8 .x1 .x2 .x4 .trans b16"},
    {"stmatrix", decode_stmatrix, Class::memory, ".m8n8 .x1 .x2 .x4 .trans b16"},
    {"movmatrix", decode_movmatrix, Class::move, ".m8n8 .trans b16"},
    {"wgmma", refuse_wgmma, Class::tensor, "refused"},
};

}  // namespace

std::span<const Entry> tensor_table() { return kTable; }

}  // namespace sim
