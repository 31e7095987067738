// Atomic operations: PTX ISA, "Parallel Synchronization and Communication Instructions", atom and
// red. Lanes go one after another, by the host's own atomic operations, so that blocks on other
// cores and other warps see them whole.
#include <atomic>
#include <cmath>

#include "simulator/exec/access.h"
#include "simulator/exec/atomic_wide.h"
#include "simulator/exec/formats.h"
#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"

namespace sim {
namespace {

using ptx::Space;
using ptx::Type;

struct Add {
  template <class T>
  static T of(T a, T b) {
    return T(a + b);
  }
};
struct Min {
  template <class T>
  static T of(T a, T b) {
    return a < b ? a : b;
  }
};
struct Max {
  template <class T>
  static T of(T a, T b) {
    return a < b ? b : a;
  }
};
struct And {
  template <class T>
  static T of(T a, T b) {
    return T(a & b);
  }
};
struct Or {
  template <class T>
  static T of(T a, T b) {
    return T(a | b);
  }
};
struct Xor {
  template <class T>
  static T of(T a, T b) {
    return T(a ^ b);
  }
};
struct Exch {
  template <class T>
  static T of(T, T b) {
    return b;
  }
};
struct Inc {
  template <class T>
  static T of(T a, T b) {
    return a >= b ? T(0) : T(a + 1);
  }
};
struct Dec {
  template <class T>
  static T of(T a, T b) {
    return a == 0 || a > b ? b : T(a - 1);
  }
};

/// Sums of 16-bit numbers, one or two in a word: exact in float, then rounded.
struct HalfAdd {
  static uint16_t of(uint16_t a, uint16_t b) {
    return float_to_half(half_to_float(a) + half_to_float(b));
  }
};
struct BrainAdd {
  static uint16_t of(uint16_t a, uint16_t b) {
    return uint16_t(
        narrow((long double)brain_to_float(a) + (long double)brain_to_float(b), kBrain));
  }
};
template <class Op>
struct Pair {
  static uint32_t of(uint32_t a, uint32_t b) {
    return uint32_t(Op::of(uint16_t(a >> 16), uint16_t(b >> 16))) << 16 |
           Op::of(uint16_t(a), uint16_t(b));
  }
};
template <class Op>
struct Signed {
  template <class T>
  static T of(T a, T b) {
    using S = std::make_signed_t<T>;
    return T(Op::of(S(a), S(b)));
  }
};
template <class Op>
struct Real {
  template <class T>
  static T of(T a, T b) {
    using F = std::conditional_t<sizeof(T) == 8, double, float>;
    const F r = Op::of(std::bit_cast<F>(a), std::bit_cast<F>(b));
    if constexpr (sizeof(T) == 4)
      if (r != r) return T(0x7fffffff);
    return std::bit_cast<T>(r);
  }
};

/// In global memory; in shared memory subnormal numbers count.
struct FlushedAdd {
  static uint32_t of(uint32_t a, uint32_t b) { return flushed_sum(a, b); }
};

/// T: unsigned, of the size in memory. i.offset is the address's; option 8: nobody looks at the
/// result.
/// InShared: the operation where a generic address leads to shared memory.
template <class T, class Op, Space S, class InShared = Op>
void atom(Warp& w, const Inst& i, uint32_t mask) {
  Addresses at;
  addresses_of(w, i, at);
  Reached memory;
  reach(w, i, S, mask, at, sizeof(T), Use::update, memory);
  const auto* b = w.row<Cell<T>>(i.b);
  Cell<T> old[kLanes];
  each_lane(mask, [&](int l) {
    std::atomic_ref<T> cell(*reinterpret_cast<T*>(memory.to[size_t(l)]));
    T seen = cell.load(std::memory_order_relaxed);
    bool in_shared = false;
    if constexpr (!std::is_same_v<Op, InShared>)
      in_shared = at[size_t(l)] - kSharedBase < kSpaceWindow;
    const auto next = [&] {
      return in_shared ? InShared::of(seen, T(b[l])) : Op::of(seen, T(b[l]));
    };
    while (!cell.compare_exchange_weak(seen, next())) {
    }
    old[l] = seen;
  });
  const bool red = i.option & 8;  // shows nothing of what another wrote, and so acquires nothing
  order(w, mask, !red, true);
  if (red) return;
  auto* d = w.row<Cell<T>>(i.d);
  each_lane(mask, [&](int l) { d[l] = old[l]; });
}

template <class T, Space S>
void cas(Warp& w, const Inst& i, uint32_t mask) {
  Addresses at;
  addresses_of(w, i, at);
  Reached memory;
  reach(w, i, S, mask, at, sizeof(T), Use::update, memory);
  const auto* b = w.row<Cell<T>>(i.b);
  const auto* c = w.row<Cell<T>>(i.c);
  Cell<T> old[kLanes];
  each_lane(mask, [&](int l) {
    std::atomic_ref<T> cell(*reinterpret_cast<T*>(memory.to[size_t(l)]));
    T seen = T(b[l]);
    cell.compare_exchange_strong(seen, T(c[l]));
    old[l] = seen;
  });
  order(w, mask, true, true);
  auto* d = w.row<Cell<T>>(i.d);
  each_lane(mask, [&](int l) { d[l] = old[l]; });
}

template <class T, class Op, class InShared = Op>
Handler in_space(Space s) {
  if (s == Space::shared) return atom<T, InShared, Space::shared>;
  if (s == Space::generic) return atom<T, Op, Space::generic, InShared>;
  return atom<T, Op, Space::global>;
}
template <class T>
Handler cas_in_space(Space s) {
  if (s == Space::shared) return cas<T, Space::shared>;
  if (s == Space::generic) return cas<T, Space::generic>;
  return cas<T, Space::global>;
}

template <class Op32>
Handler of_size(int bytes, Space s) {
  if (bytes == 4) return in_space<uint32_t, Op32>(s);
  if (bytes == 8) return in_space<uint64_t, Op32>(s);
  return nullptr;
}

Handler pick(const Instruction& inst, Type t, Space s) {
  const int bytes = ptx::size_of(t);
  const bool is_signed = t == Type::s32 || t == Type::s64, real = t == Type::f32 || t == Type::f64;
  const bool whole = is_signed || t == Type::u32 || t == Type::u64;
  const bool bits_only = t == Type::b32 || t == Type::b64;
  if (inst.has("cas")) {
    return bytes == 2   ? cas_in_space<uint16_t>(s)
           : bytes == 4 ? cas_in_space<uint32_t>(s)
           : bytes == 8 ? cas_in_space<uint64_t>(s)
                        : nullptr;
  }
  if (inst.has("exch")) return of_size<Exch>(bytes, s);
  if (bits_only && inst.has("and")) return of_size<And>(bytes, s);
  if (bits_only && inst.has("or")) return of_size<Or>(bytes, s);
  if (bits_only && inst.has("xor")) return of_size<Xor>(bytes, s);
  if (t == Type::u32 && inst.has("inc")) return in_space<uint32_t, Inc>(s);
  if (t == Type::u32 && inst.has("dec")) return in_space<uint32_t, Dec>(s);
  if (whole && inst.has("min"))
    return is_signed ? of_size<Signed<Min>>(bytes, s) : of_size<Min>(bytes, s);
  if (whole && inst.has("max"))
    return is_signed ? of_size<Signed<Max>>(bytes, s) : of_size<Max>(bytes, s);
  if (!inst.has("add")) return nullptr;
  if (t == Type::f16) return in_space<uint16_t, HalfAdd>(s);
  if (t == Type::bf16) return in_space<uint16_t, BrainAdd>(s);
  if (t == Type::f16x2) return in_space<uint32_t, Pair<HalfAdd>>(s);
  if (t == Type::bf16x2) return in_space<uint32_t, Pair<BrainAdd>>(s);
  if (t == Type::f32) return in_space<uint32_t, FlushedAdd, Real<Add>>(s);
  if (real) return of_size<Real<Add>>(bytes, s);
  return whole ? of_size<Add>(bytes, s) : nullptr;
}

Space space_of(const Instruction& inst) {
  if (inst.has("global")) return Space::global;
  if (inst.has("shared") || inst.has("shared::cta") || inst.has("shared::cluster"))
    return Space::shared;
  return Space::generic;
}

void decode_atom(Decoder& d, const Instruction& inst, Inst& i) {
  if (decode_wide_atomic(d, inst, i)) return;
  const bool red = inst.opcode == "red";
  const size_t first = red ? 0 : 1;
  const Type t = d.type(inst);
  const Space s = d.address(inst.operands[first], space_of(inst), i);
  i.b = d.source(inst.operands[first + 1], t);
  if (inst.has("cas")) i.c = d.source(inst.operands[first + 2], t);
  const bool acquires = inst.has("acquire") || inst.has("acq_rel");
  if (red || (!d.is_read(inst.operands[0]) && !acquires)) i.option |= 8;
  if (!red) i.d = d.target(inst.operands[0], t);
  if (s == Space::local || s == Space::param)
    d.unsupported(inst, "atomic operations are for global and shared memory");
  i.run = pick(inst, t, s);
  if (!i.run) d.unsupported(inst, "this form is not simulated");
}

constexpr Entry kTable[] = {
    {"atom", decode_atom, Class::memory,
     ".exch .cas .and .or .xor of 32 and 64 bits; .add .min .max of u32 s32 u64 s64; .inc .dec of "
     "u32; .add of f32 f64 f16 f16x2 bf16 bf16x2; .cas of 16 bits; .cas .exch of 128 bits; .v2 .v4 "
     ".v8 sums of f32, f16, "
     "bf16 "
     "and their pairs"},
    {"red", decode_atom, Class::memory, "as atom"},
};

}  // namespace

std::span<const Entry> atomic_table() { return kTable; }

}  // namespace sim
