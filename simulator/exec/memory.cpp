// Loads and stores: PTX ISA, sections 9.7.9.8 to 9.7.9.12. Cache hints change nothing here; order
// between warps is the host's, which is stronger than what .relaxed, .acquire and .release ask for.
#include <cstring>

#include "simulator/exec/access.h"
#include "simulator/exec/counters.h"
#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"
#include "simulator/exec/whole.h"
#include "simulator/memory/memory.h"
#include "simulator/run/block.h"
#include "simulator/run/state.h"

namespace sim {
namespace {

using ptx::Space;
using ptx::Type;

template <class M>
M fetch(const uint8_t* from) {
  M value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

/// M: the type in memory, C: the cell of the register, Keep: 16-bit registers take the low half
/// alone.
template <class M, class C>
C widen(M value, bool narrow) {
  if constexpr (std::is_signed_v<M> && sizeof(M) < sizeof(C))
    return narrow ? C(uint16_t(int16_t(value))) : C(std::make_signed_t<C>(value));
  else
    return C(std::make_unsigned_t<M>(value));
}

/// What one lane loads or stores.
struct Held {
  alignas(32) uint8_t bytes[64];
};

/// The addresses that a row of base addresses gives follow each other by sizeof(M) * N.
template <class M, class C, int N>
bool load_run(Warp& w, const Inst& i, bool narrow) {
  const auto* base = w.row<uint64_t>(i.a);
  const uint64_t at = base[0] + uint64_t(i.offset);
  if (!in_steps<uint64_t>(base, N * sizeof(M)) ||
      !reach_run<kLanes * N * sizeof(M)>(w, at, N * sizeof(M), false))
    return false;
  if (w.counter()) count_run(w, at, kLanes * N * sizeof(M), Use::read);
  w.expect_next(at, kToRaw);
  const uint8_t* from = raw(at);
  C held[N][kLanes];  // the address may be among what is overwritten
  SIM_LANES for (int k = 0; k < N; ++k) held[k][l] =
      widen<M, C>(fetch<M>(from + size_t(l * N + k) * sizeof(M)), narrow);
  for (int k = 0; k < N; ++k) std::memcpy(w.row<C>(i.rows[k]), held[k], sizeof held[k]);
  return true;
}

template <class M, class C, int N>
bool store_run(Warp& w, const Inst& i) {
  const auto* base = w.row<uint64_t>(i.a);
  const uint64_t at = base[0] + uint64_t(i.offset);
  if (!in_steps<uint64_t>(base, N * sizeof(M)) ||
      !reach_run<kLanes * N * sizeof(M)>(w, at, N * sizeof(M), true))
    return false;
  if (w.counter()) count_run(w, at, kLanes * N * sizeof(M), Use::write);
  w.expect_next(at, kToRaw);
  uint8_t* to = raw(at);
  for (int k = 0; k < N; ++k) {
    const C* v = w.row<C>(i.rows[k]);
    for (int l = 0; l < kLanes; ++l) {
      const M value = M(v[l]);
      std::memcpy(to + size_t(l * N + k) * sizeof(M), &value, sizeof(M));
    }
  }
  return true;
}

/// Nearly all accesses to global memory: every lane, one behind the other.
bool may_run(Warp& w, const Inst& i, uint32_t mask) {
  const bool device =
      i.space == Space::global || i.space == Space::constant || i.space == Space::generic;
  return device && mask == kAllLanes && (i.option & 1) && !i.strong &&
         !w.block().launch().global_races;
}

template <class M, class C>
void load(Warp& w, const Inst& i, uint32_t mask) {
  const bool narrow = i.option & 4;
  if (may_run(w, i, mask)) {
    if (i.count == 1 && load_run<M, C, 1>(w, i, narrow)) return;
    if (i.count == 2 && load_run<M, C, 2>(w, i, narrow)) return;
    if (i.count == 4 && load_run<M, C, 4>(w, i, narrow)) return;
  }
  Addresses at;
  addresses_of(w, i, at);
  Reached memory;
  const size_t bytes = sizeof(M) * i.count;
  reach(w, i, i.space, mask, at, uint32_t(bytes), Use::read, memory);
  Held held[kLanes];
  for (int l = 0; l < kLanes; ++l) copy_whole(held[l].bytes, memory.to[size_t(l)], bytes);
  for (int k = 0; k < i.count; ++k)
    write_lanes<C>(w.row<C>(i.rows[k]), mask, [&](int l) {
      return widen<M, C>(fetch<M>(held[l].bytes + size_t(k) * sizeof(M)), narrow);
    });
  if (i.strong) order(w, mask, true, false);
}

/// Writes in a race that leave what is there are none.
template <class M, class C>
void judge(Warp& w, const Inst& i, const Reached& memory, const Suspects& all) {
  const auto same = [&](int lane, auto&& there) {
    for (int k = 0; k < i.count; ++k)
      if (M(w.row<C>(i.rows[k])[lane]) != there(k)) return false;
    return true;
  };
  for (const Conflict& c : all) {
    const bool harmless =
        c.together ? same(c.lane, [&](int k) { return M(w.row<C>(i.rows[k])[c.thread % kLanes]); })
                   : same(c.lane, [&](int k) {
                       return fetch<M>(memory.to[size_t(c.lane)] + size_t(k) * sizeof(M));
                     });
    if (!harmless) fail_race(w, c, uint32_t(sizeof(M)) * i.count, Use::write);
  }
}

template <class M, class C>
void store(Warp& w, const Inst& i, uint32_t mask) {
  if (may_run(w, i, mask)) {
    if (i.count == 1 && store_run<M, C, 1>(w, i)) return;
    if (i.count == 2 && store_run<M, C, 2>(w, i)) return;
    if (i.count == 4 && store_run<M, C, 4>(w, i)) return;
  }
  Addresses at;
  addresses_of(w, i, at);
  Reached memory;
  Suspects suspects;
  reach(w, i, i.space, mask, at, uint32_t(sizeof(M)) * i.count, Use::write, memory, &suspects);
  if (!suspects.empty()) judge<M, C>(w, i, memory, suspects);
  Held held[kLanes];
  for (int k = 0; k < i.count; ++k) {
    const C* v = w.row<C>(i.rows[k]);
    for (int l = 0; l < kLanes; ++l) {
      const M value = M(v[l]);
      std::memcpy(held[l].bytes + size_t(k) * sizeof(M), &value, sizeof(M));
    }
  }
  const size_t bytes = sizeof(M) * i.count;
  each_lane(mask, [&](int l) { copy_whole(memory.to[size_t(l)], held[l].bytes, bytes); });
  if (i.strong) order(w, mask, false, true);
}

/// A parameter of the kernel: the same value for every lane.
template <class M, class C>
void load_kernel_param(Warp& w, const Inst& i, uint32_t mask) {
  const bool narrow = i.option & 4;
  const auto& params = w.block().launch().launch->params;
  for (int k = 0; k < i.count; ++k) {
    const C value = widen<M, C>(fetch<M>(params.data() + i.offset + size_t(k) * sizeof(M)), narrow);
    C* d = w.row<C>(i.rows[k]);
    write_lanes<C>(d, mask, [&](int) { return value; });
  }
}

/// Parameters and results of calls: each lane has its own.
template <class M, class C>
void load_param(Warp& w, const Inst& i, uint32_t mask) {
  const bool narrow = i.option & 4;
  for (int k = 0; k < i.count; ++k) {
    C* d = w.row<C>(i.rows[k]);
    each_lane(mask, [&](int l) {
      d[l] = widen<M, C>(fetch<M>(w.frame().param(l) + i.offset + size_t(k) * sizeof(M)), narrow);
    });
  }
}
template <class M, class C>
void store_param(Warp& w, const Inst& i, uint32_t mask) {
  for (int k = 0; k < i.count; ++k) {
    const C* v = w.row<C>(i.rows[k]);
    each_lane(mask, [&](int l) {
      const M value = M(v[l]);
      std::memcpy(w.frame().param(l) + i.offset + size_t(k) * sizeof(M), &value, sizeof(M));
    });
  }
}

enum class Way { load, store, load_kernel_param, load_param, store_param };

template <class M, class C>
Handler handler_of(Way way) {
  if (way == Way::load_kernel_param) return load_kernel_param<M, C>;
  if (way == Way::load_param) return load_param<M, C>;
  if (way == Way::load) return load<M, C>;
  if constexpr (std::is_unsigned_v<M>) return way == Way::store ? store<M, C> : store_param<M, C>;
  return nullptr;
}

Handler pick(Way way, int bytes, bool is_signed, bool wide) {
  if (way == Way::store || way == Way::store_param) is_signed = false;
  switch (bytes) {
    case 1:
      if (is_signed)
        return wide ? handler_of<int8_t, uint64_t>(way) : handler_of<int8_t, uint32_t>(way);
      return wide ? handler_of<uint8_t, uint64_t>(way) : handler_of<uint8_t, uint32_t>(way);
    case 2:
      if (is_signed)
        return wide ? handler_of<int16_t, uint64_t>(way) : handler_of<int16_t, uint32_t>(way);
      return wide ? handler_of<uint16_t, uint64_t>(way) : handler_of<uint16_t, uint32_t>(way);
    case 4:
      if (is_signed)
        return wide ? handler_of<int32_t, uint64_t>(way) : handler_of<int32_t, uint32_t>(way);
      return wide ? handler_of<uint32_t, uint64_t>(way) : handler_of<uint32_t, uint32_t>(way);
    case 8:
      return handler_of<uint64_t, uint64_t>(way);
    default:
      return nullptr;
  }
}

Space space_of(const Instruction& inst) {
  if (inst.has("global")) return Space::global;
  if (inst.has("shared") || inst.has("shared::cta") || inst.has("shared::cluster"))
    return Space::shared;
  if (inst.has("local")) return Space::local;
  if (inst.has("const")) return Space::constant;
  if (inst.has("param") || inst.has("param::entry") || inst.has("param::func")) return Space::param;
  return Space::generic;
}

bool is_strong(const Instruction& inst) {
  const bool orders = inst.opcode == "st" ? inst.has("release") : inst.has("acquire");
  const bool mmio = inst.has("mmio");  // beside .relaxed
  return inst.has("volatile") || inst.has("relaxed") || orders || mmio;
}

bool is_signed(Type t) { return t == Type::s8 || t == Type::s16 || t == Type::s32; }

/// Width of the registers that a vector operand names; the type where they are constants.
Type held(Decoder& d, const ptx::Operand& o, Type fallback) {
  if (o.kind == ptx::Operand::Kind::vector) {
    for (const auto& part : o.parts)
      if (const Type t = d.type_of(part); t != Type::none) return t;
    return fallback;
  }
  const Type t = d.type_of(o);
  return t == Type::none ? fallback : t;
}

/// .v2 and its like say how many registers there are.
void expect_vector(Decoder& d, const Instruction& inst, int count) {
  const int written = inst.has("v2") ? 2 : inst.has("v4") ? 4 : inst.has("v8") ? 8 : 1;
  if (count != written) d.unsupported(inst, "it has " + std::to_string(count) + " registers");
}

void decode_ld(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 2, 3);  // the third is a cache policy
  const Type t = d.type(inst);
  i.rows = d.rows(inst.operands[0], t, true, i.count, Width::at_least);
  expect_vector(d, inst, i.count);
  const Space space = i.space = d.address(inst.operands[1], space_of(inst), i);
  const Type reg = held(d, inst.operands[0], t);
  if (ptx::size_of(reg) == 2) i.option |= 4;
  i.strong = is_strong(inst);
  Way way = Way::load;
  if (space == Space::param && !inst.operands[1].base_is_reg)
    way = i.option & 2 ? Way::load_kernel_param : Way::load_param;
  i.run = pick(way, ptx::size_of(t), is_signed(t), ptx::size_of(reg) == 8);
  if (!i.run) d.unsupported(inst, "this type or space is not simulated");
}

void decode_st(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 2, 3);
  const Type t = d.type(inst);
  const Space space = i.space = d.address(inst.operands[0], space_of(inst), i);
  i.rows = d.rows(inst.operands[1], t, false, i.count, Width::at_least);
  expect_vector(d, inst, i.count);
  const Type reg = held(d, inst.operands[1], t);
  i.strong = is_strong(inst);
  const Way way =
      space == Space::param && !inst.operands[0].base_is_reg ? Way::store_param : Way::store;
  if (way == Way::store && space == Space::param)
    d.unsupported(inst, "parameters are written by their names");
  i.run = pick(way, ptx::size_of(t), false, ptx::size_of(reg) == 8);
  if (!i.run) d.unsupported(inst, "this type or space is not simulated");
}

/// Of caches alone: a level, and where the address lies.
void decode_nothing(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 1, 2);
  space_of(inst);
  inst.has("L1"), inst.has("L2");
  i.run = [](Warp&, const Inst&, uint32_t) {};
}

constexpr Entry kTable[] = {
    {"ld", decode_ld, Class::memory,
     "all spaces, 8 to 64 bits, .v2 .v4 .v8, .volatile .relaxed .acquire .release .mmio; cache "
     "hints and scopes are taken and change nothing"},
    {"ldu", decode_ld, Class::memory, "as ld"},
    {"st", decode_st, Class::memory, "as ld"},
    {"prefetch", decode_nothing, Class::memory, "does nothing"},
    {"prefetchu", decode_nothing, Class::memory, "does nothing"},
    {"applypriority", decode_nothing, Class::memory, "does nothing"},
    {"discard", decode_nothing, Class::memory, "does nothing"},
};

}  // namespace

std::span<const Entry> memory_table() { return kTable; }

}  // namespace sim
