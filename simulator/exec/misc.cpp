// What fits nowhere else: traps, sleeping, clocks. PTX ISA, sections 9.7.14, 9.7.16 and 10.
#include <bit>
#include <chrono>

#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"

namespace sim {

namespace {

using ptx::Instruction;
using ptx::Type;

/// Simulated cycles of a warp: one an instruction.
template <class T, int Shift>
void clock(Warp& w, const Inst& i, uint32_t mask) {
  const uint64_t now = w.executed;
  write_lanes<T>(w.row<Cell<T>>(i.d), mask, [&](int) { return T(now >> Shift); });
}

template <class T, int Shift>
void timer(Warp& w, const Inst& i, uint32_t mask) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const auto ns = uint64_t(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
  write_lanes<T>(w.row<Cell<T>>(i.d), mask, [&](int) { return T(ns >> Shift); });
}

/// 64-bit registers that do not change: clusters of one block, and what no launch has.
void one(Warp& w, const Inst& i, uint32_t mask) {
  write_lanes<uint32_t>(w.row(i.d), mask, [&](int) { return uint32_t(i.offset); });
}
void grid_id(Warp& w, const Inst& i, uint32_t mask) {
  const uint32_t id = w.row(Row::at(kSpecials, kGridId * kLanes * 4))[0];
  write_lanes<uint64_t>(w.row<uint64_t>(i.d), mask, [&](int) { return uint64_t(id); });
}

void decode_nothing(Decoder&, const Instruction&, Inst& i) {
  i.run = [](Warp&, const Inst&, uint32_t) {};
}

void decode_trap(Decoder&, const Instruction& inst, Inst& i) {
  i.run = inst.opcode == "trap"
              ? Handler([](Warp& w, const Inst&, uint32_t mask) {
                  throw w.at({"trap", "the kernel stopped itself"}, std::countr_zero(mask));
                })
              : Handler([](Warp& w, const Inst&, uint32_t mask) {
                  throw w.at({"breakpoint", "the kernel reached brkpt"}, std::countr_zero(mask));
                });
}

void decode_nanosleep(Decoder&, const Instruction&, Inst& i) {
  i.run = [](Warp& w, const Inst&, uint32_t) { w.yield(); };
}

constexpr Entry kTable[] = {
    {"trap", decode_trap, Class::control, ""},
    {"brkpt", decode_trap, Class::control, ""},
    {"nanosleep", decode_nanosleep, Class::sync, "other warps go first; no time passes"},
    {"pmevent", decode_nothing, Class::other, "does nothing"},
    {"setmaxnreg", decode_nothing, Class::other, "does nothing"},
    {"griddepcontrol", decode_nothing, Class::sync, "kernels of a stream never overlap"},
};

}  // namespace

std::span<const Entry> misc_table() { return kTable; }

bool decode_special(Decoder&, const std::string& name, bool wide, Inst& i) {
  if (name == "%clock" || name == "%clock64" || name == "%clock_hi")
    i.run = wide                  ? Handler(clock<uint64_t, 0>)
            : name == "%clock_hi" ? Handler(clock<uint32_t, 32>)
                                  : Handler(clock<uint32_t, 0>);
  else if (name == "%globaltimer" || name == "%globaltimer_lo" || name == "%globaltimer_hi")
    i.run = wide                        ? Handler(timer<uint64_t, 0>)
            : name == "%globaltimer_hi" ? Handler(timer<uint32_t, 32>)
                                        : Handler(timer<uint32_t, 0>);
  else if (name == "%gridid" && wide)
    i.run = grid_id;
  else if (name.starts_with("%cluster_nctaid") || name == "%is_explicit_cluster" ||
           name == "%cluster_nctarank")
    i.offset = name == "%is_explicit_cluster" ? 0 : 1, i.run = one;
  else if (name.starts_with("%cluster_ctaid") || name == "%cluster_ctarank")
    i.offset = 0, i.run = one;
  else
    return false;
  return true;
}

}  // namespace sim
