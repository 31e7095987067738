// Atomic operations on more than 64 bits: vectors of floating-point sums, each element by itself,
// and compare-and-swap and exchange of 128 bits, with what moves these in registers. PTX ISA,
// sections 9.7.13.12 (atom), .13 (red) and 9.7.9.4 (mov).
#include "simulator/exec/atomic_wide.h"

#include <atomic>
#include <bit>
#include <cstring>
#include <memory>
#include <mutex>

#include "simulator/exec/access.h"
#include "simulator/exec/formats.h"
#include "simulator/exec/lanes.h"
#include "simulator/exec/real.h"
#include "simulator/exec/whole.h"

namespace sim {
namespace {

using ptx::Operand;
using ptx::Space;
using ptx::Type;

struct Add32 {  // there are vectors in global memory only
  using Cell = uint32_t;
  static Cell of(Cell a, Cell b) { return flushed_sum(a, b); }
};
enum class Pick { add, min, max };
/// In float, which holds both exactly; then rounded.
template <bool Half, Pick P>
struct Narrow {
  using Cell = uint16_t;
  static float wide(Cell x) { return Half ? half_to_float(x) : brain_to_float(x); }
  static Cell of(Cell a, Cell b) {
    const float x = wide(a), y = wide(b);
    if (P != Pick::add && (x != x || y != y)) return x != x ? (y != y ? Cell(0x7fff) : b) : a;
    const float r = P == Pick::add ? x + y : P == Pick::min ? (x < y ? x : y) : (x < y ? y : x);
    return Half ? float_to_half(r) : float_to_brain(r);
  }
};

struct Form {
  Space space = Space::generic;
  uint32_t bytes = 0;
  bool pairs = false;  // of 16 bits in each register
  bool keeps = false;  // there is a result
  const Row *results = nullptr, *values = nullptr;
};

template <class Op>
typename Op::Cell update(uint8_t* at, typename Op::Cell value) {
  using Cell = typename Op::Cell;
  std::atomic_ref<Cell> cell(*reinterpret_cast<Cell*>(at));
  Cell seen = cell.load(std::memory_order_relaxed);
  while (!cell.compare_exchange_weak(seen, Op::of(seen, value))) {
  }
  return seen;
}

template <class Op>
void vector(Warp& w, const Inst& i, uint32_t mask) {
  using Cell = typename Op::Cell;
  const auto& f = *static_cast<const Form*>(i.extra);
  Addresses at;
  addresses_of(w, i, at);
  Reached memory;
  reach(w, i, f.space, mask, at, f.bytes, Use::update, memory);
  each_lane(mask, [&](int l) {
    uint8_t* to = memory.to[size_t(l)];
    for (int k = 0; k < i.count; ++k) {
      const uint32_t value = w.row(f.values[k])[l];
      uint32_t old = update<Op>(to, Cell(value));
      to += sizeof(Cell);
      if (f.pairs) old |= uint32_t(update<Op>(to, Cell(value >> 16))) << 16, to += sizeof(Cell);
      if (f.keeps) w.row(f.results[k])[l] = old;
    }
  });
}

template <bool Half>
Handler pick_narrow(const Instruction& inst) {
  if (inst.has("add")) return vector<Narrow<Half, Pick::add>>;
  if (inst.has("min")) return vector<Narrow<Half, Pick::min>>;
  return inst.has("max") ? vector<Narrow<Half, Pick::max>> : nullptr;
}

Space space_of(const Instruction& inst) {
  return inst.has("global") ? Space::global : Space::generic;
}

void keep(Decoder& d, Inst& i, std::shared_ptr<Form> form) {
  i.extra = form.get();
  d.code().extras.push_back(std::move(form));
}

void decode_vector(Decoder& d, const Instruction& inst, int written, Inst& i) {
  const bool red = inst.opcode == "red";
  const size_t first = red ? 0 : 1;
  const Type t = d.type(inst);
  auto f = std::make_shared<Form>();
  f->keeps = !red;
  if (!red) f->results = d.rows(inst.operands[0], t, true, i.count);
  f->space = d.address(inst.operands[first], space_of(inst), i);
  f->values = d.rows(inst.operands[first + 1], t, false, i.count);
  if (i.count != written) d.unsupported(inst, "it has " + std::to_string(i.count) + " registers");
  f->pairs = t == Type::f16x2 || t == Type::bf16x2;
  f->bytes = uint32_t(ptx::size_of(t)) * i.count;
  if (t == Type::f32 && inst.has("add")) i.run = vector<Add32>;
  if (t == Type::f16 || t == Type::f16x2) i.run = pick_narrow<true>(inst);
  if (t == Type::bf16 || t == Type::bf16x2) i.run = pick_narrow<false>(inst);
  if (!i.run) d.unsupported(inst, "this form is not simulated");
  keep(d, i, std::move(f));
}

/// A register of 128 bits: the lower halves of all lanes, then the upper ones.
uint64_t* halves(Warp& w, Row r) { return w.row<uint64_t>(r); }
using Word [[gnu::may_alias]] = unsigned __int128;
Word word_of(const uint64_t* r, int l) { return Word(r[kLanes + l]) << 64 | r[l]; }
void set_word(uint64_t* r, int l, Word x) { r[l] = uint64_t(x), r[kLanes + l] = uint64_t(x >> 64); }

template <bool Swaps>
void wide(Warp& w, const Inst& i, uint32_t mask) {
  const auto& f = *static_cast<const Form*>(i.extra);
  Addresses at;
  addresses_of(w, i, at);
  Reached memory;
  reach(w, i, f.space, mask, at, 16, Use::update, memory);
  static std::mutex one_at_a_time;
  each_lane(mask, [&](int l) {
    const std::lock_guard lock(one_at_a_time);
    alignas(16) uint8_t bytes[16];
    copy_whole(bytes, memory.to[size_t(l)], 16);
    Word old;
    std::memcpy(&old, bytes, 16);
    const Word b = word_of(halves(w, i.b), l), c = word_of(halves(w, i.c), l);
    const Word next = Swaps ? (old == b ? c : old) : b;
    std::memcpy(bytes, &next, 16);
    copy_whole(memory.to[size_t(l)], bytes, 16);
    set_word(halves(w, i.d), l, old);
  });
}

/// A register of 128 bits, which is read or written.
Row whole(Decoder& d, const Operand& o) {
  if (d.type_of(o) != Type::b128) throw std::runtime_error("128 bits need a register of b128");
  return d.target(o, Type::b128);
}

void decode_wide(Decoder& d, const Instruction& inst, Inst& i) {
  const bool swaps = inst.has("cas");
  if (!swaps && !inst.has("exch")) d.unsupported(inst, "128 bits are exchanged or compared");
  auto f = std::make_shared<Form>();
  i.d = whole(d, inst.operands[0]);
  f->space = d.address(inst.operands[1], inst.has("shared") ? Space::shared : space_of(inst), i);
  i.b = i.c = whole(d, inst.operands[2]);
  if (swaps) i.c = whole(d, inst.operands[3]);
  i.run = swaps ? Handler(wide<true>) : Handler(wide<false>);
  keep(d, i, std::move(f));
}

}  // namespace

uint32_t flushed_sum(uint32_t a, uint32_t b) {
  const float sum =
      real::flush(real::flush(std::bit_cast<float>(a)) + real::flush(std::bit_cast<float>(b)));
  return sum == sum ? std::bit_cast<uint32_t>(sum) : 0x7fffffff;
}

bool decode_wide_atomic(Decoder& d, const Instruction& inst, Inst& i) {
  for (const int count : {2, 4, 8})
    if (inst.has("v" + std::to_string(count))) return decode_vector(d, inst, count, i), true;
  if (inst.has("b128")) return decode_wide(d, inst, i), true;
  return false;
}

bool decode_wide_mov(Decoder& d, const Instruction& inst, Inst& i) {
  if (!inst.has("b128")) return false;
  expect_operands(d, inst, 2, 2);
  const Operand &to = inst.operands[0], &from = inst.operands[1];
  for (const Operand* o : {&to, &from})
    if (o->kind == Operand::Kind::vector && o->parts.size() != 2)
      d.unsupported(inst, "it has two halves");
  if (from.kind == Operand::Kind::vector) {
    i.d = whole(d, to);
    i.rows = d.rows(from, Type::b64, false, i.count);
    i.run = [](Warp& w, const Inst& i, uint32_t mask) {
      uint64_t* to = halves(w, i.d);
      each_lane(mask, [&](int l) {
        to[l] = halves(w, i.rows[0])[l], to[kLanes + l] = halves(w, i.rows[1])[l];
      });
    };
  } else if (to.kind == Operand::Kind::vector) {
    i.a = whole(d, from);
    i.rows = d.rows(to, Type::b64, true, i.count);
    i.run = [](Warp& w, const Inst& i, uint32_t mask) {
      const uint64_t* from = halves(w, i.a);
      each_lane(mask, [&](int l) {
        halves(w, i.rows[0])[l] = from[l], halves(w, i.rows[1])[l] = from[kLanes + l];
      });
    };
  } else {
    i.d = whole(d, to);
    i.a = whole(d, from);
    i.run = [](Warp& w, const Inst& i, uint32_t mask) {
      each_lane(mask, [&](int l) { set_word(halves(w, i.d), l, word_of(halves(w, i.a), l)); });
    };
  }
  return true;
}

}  // namespace sim
