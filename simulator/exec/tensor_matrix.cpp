// ldmatrix, stmatrix, movmatrix: PTX ISA, sections 9.7.14.5.15 to 17. A register of the warp is an
// 8 x 8 matrix of 16-bit numbers, row by row; lanes 8 k to 8 k + 7 have the addresses of the rows
// of matrix k.
#include <cstring>

#include "simulator/exec/access.h"
#include "simulator/exec/lanes.h"
#include "simulator/exec/tensor.h"

namespace sim {
namespace {

using ptx::Space;
using ptx::Type;

enum Option : uint8_t { kTrans = 4, kGeneric = 8 };  // beside those of an address
constexpr size_t kRowBytes = 16;

using Matrix = uint16_t[8][8];

void transpose(const Matrix& from, Matrix& to) {
  for (int r = 0; r < 8; ++r)
    for (int c = 0; c < 8; ++c) to[c][r] = from[r][c];
}

/// The rows' bytes: of i.count matrices, where lanes that give no address take no part.
void reach_rows(Warp& w, const Inst& i, Use use, Reached& memory) {
  Addresses at;
  addresses_of(w, i, at);
  const uint32_t lanes = i.count == 4 ? kAllLanes : (1u << 8 * i.count) - 1;
  reach(w, i, i.option & kGeneric ? Space::generic : Space::shared, lanes, at, kRowBytes, use,
        memory);
}

void ldmatrix(Warp& w, const Inst& i, uint32_t mask) {
  if (!whole_warp(w, mask)) return;
  Reached memory;
  reach_rows(w, i, Use::read, memory);
  Matrix all[4];  // before anything is written: the address may be overwritten
  for (int k = 0; k < i.count; ++k) {
    Matrix read;
    for (int r = 0; r < 8; ++r) std::memcpy(read[r], memory.to[size_t(8 * k + r)], kRowBytes);
    if (i.option & kTrans)
      transpose(read, all[k]);
    else
      std::memcpy(all[k], read, sizeof read);
  }
  for (int k = 0; k < i.count; ++k) std::memcpy(w.row(i.rows[k]), all[k], sizeof(Matrix));
}

void stmatrix(Warp& w, const Inst& i, uint32_t mask) {
  if (!whole_warp(w, mask)) return;
  Reached memory;
  reach_rows(w, i, Use::write, memory);
  for (int k = 0; k < i.count; ++k) {
    Matrix held, turned;
    std::memcpy(held, w.row(i.rows[k]), sizeof held);
    transpose(held, turned);
    const Matrix& write = i.option & kTrans ? turned : held;
    for (int r = 0; r < 8; ++r) std::memcpy(memory.to[size_t(8 * k + r)], write[r], kRowBytes);
  }
}

void movmatrix(Warp& w, const Inst& i, uint32_t mask) {
  if (!whole_warp(w, mask)) return;
  Matrix held, turned;
  std::memcpy(held, w.row(i.a), sizeof held);
  transpose(held, turned);
  std::memcpy(w.row(i.d), turned, sizeof turned);
}

void decode_matrices(Decoder& d, const Instruction& inst, Inst& i, bool load) {
  expect_operands(d, inst, 2, 2);
  if (!inst.has("m8n8") || !inst.has("b16")) d.unsupported(inst, "only m8n8 of b16 is simulated");
  const bool shared = inst.has("shared") || inst.has("shared::cta");
  const auto& address = inst.operands[load ? 1 : 0];
  const Space space = d.address(address, shared ? Space::shared : Space::generic, i);
  i.rows = d.rows(inst.operands[load ? 0 : 1], Type::b32, load, i.count);
  if (i.count != (inst.has("x4") ? 4 : inst.has("x2") ? 2 : inst.has("x1") ? 1 : 0))
    d.unsupported(inst, "it has " + std::to_string(i.count) + " registers");
  i.option |= uint8_t((inst.has("trans") ? kTrans : 0) | (space == Space::generic ? kGeneric : 0));
  i.run = load ? Handler(ldmatrix) : Handler(stmatrix);
}

}  // namespace

void decode_ldmatrix(Decoder& d, const Instruction& inst, Inst& i) {
  decode_matrices(d, inst, i, true);
}
void decode_stmatrix(Decoder& d, const Instruction& inst, Inst& i) {
  decode_matrices(d, inst, i, false);
}

void decode_movmatrix(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 2, 2);
  if (!inst.has("m8n8") || !inst.has("trans") || !inst.has("b16"))
    d.unsupported(inst, "only m8n8.trans of b16 is simulated");
  i.d = d.target(inst.operands[0], Type::b32);
  i.a = d.source(inst.operands[1], Type::b32);
  i.run = movmatrix;
}

}  // namespace sim
