// wmma: PTX ISA, section 9.7.14.4. Fragments are laid out as for mma.sync; those of f16 that a card
// keeps twice, and so take eight registers always, are kept twice here too.
#include <algorithm>
#include <cstring>
#include <memory>

#include "simulator/exec/access.h"
#include "simulator/exec/lanes.h"
#include "simulator/exec/tensor.h"

namespace sim {
namespace {

using namespace tensor;
using ptx::Space;
using ptx::Type;
using enum Type;

template <int M, int N, int K>
constexpr std::array<Product, 9> products() {
  return {{{M, N, K, f32, f16, f16, f32, multiply<M, N, K, F32, F16, F16, F32>},
           {M, N, K, f16, f16, f16, f16, multiply<M, N, K, F16, F16, F16, F16>},
           {M, N, K, f32, f16, f16, f16, multiply<M, N, K, F32, F16, F16, F16>},
           {M, N, K, f16, f16, f16, f32, multiply<M, N, K, F16, F16, F16, F32>},
           {M, N, K, f32, bf16, bf16, f32, multiply<M, N, K, F32, BF16, BF16, F32>},
           {M, N, K, s32, s8, s8, s32, multiply<M, N, K, S32, S8, S8, S32>},
           {M, N, K, s32, u8, u8, s32, multiply<M, N, K, S32, U8, U8, S32>}}};
}
constexpr auto kSquare = products<16, 16, 16>(), kTall = products<32, 8, 16>(),
               kFlat = products<8, 32, 16>();
constexpr Product kOthers[] = {
    {16, 16, 8, f32, tf32, tf32, f32, multiply<16, 16, 8, F32, TF32, TF32, F32>},
    {8, 8, 4, f64, f64, f64, f64, multiply<8, 8, 4, F64, F64, F64, F64>},
};

void decode_wmma_mma(Decoder& d, const Instruction& inst, Inst& i) {
  const Shape s = shape_of(inst);
  const bool short_form = inst.types() == 2;  // of f16, only d and c are written
  const Type td = d.type(inst, 0), ta = short_form ? f16 : d.type(inst, 1),
             tb = short_form ? f16 : d.type(inst, 2), tc = d.type(inst, short_form ? 1 : 3);
  inst.has("row"), inst.has("col");  // how fragments lie is their loads' affair
  for (std::span<const Product> list :
       {std::span<const Product>(kSquare), std::span<const Product>(kTall),
        std::span<const Product>(kFlat), std::span<const Product>(kOthers)})
    for (const Product& p : list)
      if (p.run && p.m == s.m && p.n == s.n && p.k == s.k && p.d == td && p.a == ta && p.b == tb &&
          p.c == tc)
        return decode_product(d, inst, p, i);
  d.unsupported(inst, "this shape with these types is not simulated");
}

/// A fragment in memory.
struct Fragment {
  int rows = 0, columns = 0;  // as tiles lie: see tensor.h
  int bytes = 0;              // of an element
  uint64_t align = 16;  // of its begin and rows, in bytes; as wide as a row where that is less
  bool sums = false;    // c or d
  bool along = false;   // elements of a row are neighbours in memory
  Space space = Space::generic;
  Row stride;  // in elements
  bool wide_stride = false;
  int registers() const { return rows * columns * bytes / kLanes / (bytes == 8 ? 8 : 4); }
  int in_register() const { return bytes >= 4 ? 1 : 4 / bytes; }
};

/// Byte of element `part` of register `r` and lane `l` behind the fragment's begin, without the
/// stride.
uint64_t byte_of(const Fragment& f, int r, int l, int part, uint64_t stride) {
  const bool split = f.sums && f.bytes >= 4;  // even and odd columns in two registers
  const int tile = split ? r / 2 : r, down = f.rows / 8;
  const int width = split ? 8 : 4 * f.in_register();
  const int column = split ? l % 4 * 2 + r % 2 : l % 4 * f.in_register() + part;
  const auto x = uint64_t(tile % down * 8 + l / 4), y = uint64_t(tile / down * width + column);
  return (f.along ? x * stride + y : y * stride + x) * uint64_t(f.bytes);
}

/// Strides of the lanes; the begin and each row must be aligned.
std::array<uint64_t, kLanes> strides(Warp& w, const Fragment& f, const Addresses& at) {
  std::array<uint64_t, kLanes> s;
  const auto apart = [&](const std::string& what) {
    return Fault{"misaligned address", what + " " + std::to_string(f.align) + " bytes"};
  };
  for (int l = 0; l < kLanes; ++l) {
    uint64_t& stride = s[size_t(l)];
    stride = f.wide_stride ? w.row<uint64_t>(f.stride)[l] : w.row(f.stride)[l];
    if (const uint64_t past = at[size_t(l)] % f.align)
      throw w.at(
          apart("a matrix that begins " + std::to_string(past) + " bytes past a multiple of"), l);
    if (const uint64_t bytes = stride * uint64_t(f.bytes); bytes % f.align != 0)
      throw w.at(apart("rows of a matrix that are " + std::to_string(bytes) +
                       " bytes apart, which must be a multiple of"),
                 l);
  }
  return s;
}

/// Calls each(register, part, bytes, memory) for all that the lanes hold, a register at once where
/// it can.
template <class F>
void each_element(Warp& w, const Inst& i, Use use, F&& each) {
  const auto& f = *static_cast<const Fragment*>(i.extra);
  Addresses begin, at;
  addresses_of(w, i, begin);
  const auto stride = strides(w, f, begin);
  const int parts = f.along ? 1 : f.in_register();
  const auto bytes = uint32_t(f.bytes * f.in_register() / parts);
  for (int r = 0; r < f.registers(); ++r)
    for (int part = 0; part < parts; ++part) {
      for (int l = 0; l < kLanes; ++l)
        at[size_t(l)] = begin[size_t(l)] + byte_of(f, r, l, part, stride[size_t(l)]);
      Reached memory;
      reach(w, i, f.space, kAllLanes, at, bytes, use, memory);
      each(r, part, bytes, memory);
    }
}

template <class C>
void load(Warp& w, const Inst& i, uint32_t mask) {
  if (!whole_warp(w, mask)) return;
  const int registers = static_cast<const Fragment*>(i.extra)->registers();
  C held[16][kLanes] = {};  // the address may be among what is overwritten
  each_element(w, i, Use::read, [&](int r, int part, uint32_t bytes, const Reached& memory) {
    for (int l = 0; l < kLanes; ++l) {
      C value = 0;
      std::memcpy(&value, memory.to[size_t(l)], bytes);
      held[r][l] |= value << part * int(bytes) * 8;
    }
  });
  for (int r = 0; r < i.count; ++r)
    std::memcpy(w.row<C>(i.rows[r]), held[r % registers], sizeof held[0]);
}

template <class C>
void store(Warp& w, const Inst& i, uint32_t mask) {
  if (!whole_warp(w, mask)) return;
  each_element(w, i, Use::write, [&](int r, int part, uint32_t bytes, const Reached& memory) {
    const C* held = w.row<C>(i.rows[r]);
    for (int l = 0; l < kLanes; ++l) {
      const C value = held[l] >> part * int(bytes) * 8;
      std::memcpy(memory.to[size_t(l)], &value, bytes);
    }
  });
}

Space space_of(const Instruction& inst) {
  if (inst.has("global")) return Space::global;
  return inst.has("shared") || inst.has("shared::cta") ? Space::shared : Space::generic;
}

void decode_transfer(Decoder& d, const Instruction& inst, Inst& i, bool is_load) {
  expect_operands(d, inst, 2, 3);
  const Shape s = shape_of(inst);
  const bool a = is_load && inst.has("a"), b = is_load && inst.has("b"), row = inst.has("row");
  if ((!a && !b && !inst.has(is_load ? "c" : "d")) || (!row && !inst.has("col")))
    d.unsupported(inst, "this form is not simulated");
  const Type type = d.type(inst);
  auto f = std::make_shared<Fragment>();
  f->sums = !a && !b;
  f->rows = b ? s.n : s.m;
  f->columns = f->sums ? s.n : s.k;
  f->bytes = ptx::size_of(type);
  f->along = row != b;
  f->space = d.address(inst.operands[is_load ? 1 : 0], space_of(inst), i);
  const int packed = b && !row ? s.k : b ? s.n : a ? (row ? s.k : s.m) : row ? s.n : s.m;
  f->align = std::min<uint64_t>(16, uint64_t(packed * f->bytes));
  f->stride = d.constant(uint64_t(packed), Type::u32);
  if (inst.operands.size() == 3) {
    f->stride = d.source(inst.operands[2], Type::u32);
    f->wide_stride = ptx::size_of(d.type_of(inst.operands[2])) == 8;
  }
  i.rows = d.rows(inst.operands[is_load ? 0 : 1], type, is_load, i.count);
  if (f->registers() == 0 || i.count % f->registers() != 0 || f->registers() > 16)
    d.unsupported(inst, "this shape with this type is not simulated");
  if (f->bytes == 8)
    i.run = is_load ? Handler(load<uint64_t>) : Handler(store<uint64_t>);
  else
    i.run = is_load ? Handler(load<uint32_t>) : Handler(store<uint32_t>);
  i.extra = f.get();
  d.code().extras.push_back(std::move(f));
}

}  // namespace

void decode_wmma(Decoder& d, const Instruction& inst, Inst& i) {
  if (inst.has("mma")) return decode_wmma_mma(d, inst, i);
  i.kind = Class::memory;
  const bool load = inst.has("load");
  if (!load && !inst.has("store")) d.unsupported(inst, "it loads, stores or multiplies");
  decode_transfer(d, inst, i, load);
}

}  // namespace sim
