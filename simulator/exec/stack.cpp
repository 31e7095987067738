// Local memory whose size the program computes: PTX ISA, section 9.7.15.
#include <algorithm>

#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"

namespace sim {
namespace {

using ptx::Type;

template <class T>
void take(Warp& w, const Inst& i, uint32_t mask) {
  const auto* bytes = w.row<Cell<T>>(i.a);
  auto* d = w.row<Cell<T>>(i.d);
  each_lane(mask, [&](int l) { d[l] = T(w.extend_local(l, bytes[l], uint64_t(i.offset))); });
}

void decode_alloca(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 2, 3);
  const Type t = d.type(inst);
  i.d = d.target(inst.operands[0], t);
  i.a = d.source(inst.operands[1], t);
  const uint64_t align = inst.operands.size() == 3 ? inst.operands[2].value : 8;
  if (align == 0 || align > 4096 || (align & (align - 1)) != 0)
    d.unsupported(inst, "its alignment is a power of two up to 4096");
  i.offset = int64_t(align);
  i.run = ptx::size_of(t) == 8 ? Handler(take<uint64_t>) : Handler(take<uint32_t>);
}

/// What a lane has taken is its stack pointer.
template <class T>
void save(Warp& w, const Inst& i, uint32_t mask) {
  const auto& taken = w.frame().dynamic;
  auto* d = w.row<Cell<T>>(i.d);
  each_lane(mask, [&](int l) { d[l] = taken.empty() ? T(0) : T(taken[size_t(l)]); });
}
template <class T>
void restore(Warp& w, const Inst& i, uint32_t mask) {
  auto& taken = w.frame().dynamic;
  const auto* a = w.row<Cell<T>>(i.a);
  each_lane(mask, [&](int l) {
    const uint64_t had = taken.empty() ? 0 : taken[size_t(l)];
    if (a[l] > had) throw w.at({"stack misused", "it restores more than was saved"}, l);
    if (!taken.empty()) taken[size_t(l)] = a[l];
  });
}

void decode_stack(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 1, 1);
  const Type t = d.type(inst);
  const bool wide = ptx::size_of(t) == 8;
  if (inst.opcode == "stacksave") {
    i.d = d.target(inst.operands[0], t);
    i.run = wide ? Handler(save<uint64_t>) : Handler(save<uint32_t>);
  } else {
    i.a = d.source(inst.operands[0], t);
    i.run = wide ? Handler(restore<uint64_t>) : Handler(restore<uint32_t>);
  }
}

constexpr Entry kTable[] = {
    {"alloca", decode_alloca, Class::other, "u32 u64"},
    {"stacksave", decode_stack, Class::other, "u32 u64"},
    {"stackrestore", decode_stack, Class::other, "u32 u64"},
};

}  // namespace

std::span<const Entry> stack_table() { return kTable; }

}  // namespace sim
