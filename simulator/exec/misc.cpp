// What fits nowhere else: traps, sleeping, clocks. PTX ISA, sections 9.7.14, 9.7.16 and 10.
#include <bit>
#include <chrono>

#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"
#include "simulator/run/block.h"
#include "simulator/run/state.h"

namespace sim {
namespace {

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

/// A register that never changes: of clusters of one block, and what no launch has.
template <class T>
void fixed(Warp& w, const Inst& i, uint32_t mask) {
  write_lanes<T>(w.row<Cell<T>>(i.d), mask, [&](int) { return T(i.offset); });
}
/// The cluster's registers where each cluster is one block.
template <Special S>
void of_block(Warp& w, const Inst& i, uint32_t mask) {
  const uint32_t value = w.row(Row::at(kSpecials, S * kLanes * 4))[0];
  write_lanes<uint32_t>(w.row(i.d), mask, [&](int) { return value; });
}

/// %envreg1 and 2: upper and lower half of the address of a cooperative launch's workspace, which
/// grid.sync() uses. 0 in other launches.
template <int Shift>
void workspace(Warp& w, const Inst& i, uint32_t mask) {
  const uint64_t at = w.block().launch().grid_workspace;
  write_lanes<uint32_t>(w.row(i.d), mask, [&](int) { return uint32_t(at >> Shift); });
}
/// Where in shared memory the part begins that the toolkit's own headers use.
void reserved_shared(Warp& w, const Inst& i, uint32_t mask) {
  const auto at = uint32_t(w.block().launch().reserved_shared + uint64_t(i.offset));
  write_lanes<uint32_t>(w.row(i.d), mask, [&](int) { return at; });
}
void grid_id(Warp& w, const Inst& i, uint32_t mask) {
  const uint32_t id = w.row(Row::at(kSpecials, kGridId * kLanes * 4))[0];
  write_lanes<uint64_t>(w.row<uint64_t>(i.d), mask, [&](int) { return uint64_t(id); });
}

void decode_nothing(Decoder&, const Instruction& inst, Inst& i) {
  for (const std::string_view form : {"mask", "inc", "dec", "u32", "launch_dependents", "wait"})
    inst.has(form);
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

void decode_nanosleep(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 1, 1);
  d.type(inst, {Type::u32});
  i.run = [](Warp& w, const Inst&, uint32_t) { w.yield(); };
}

/// A policy of the cache, which changes nothing.
void decode_createpolicy(Decoder& d, const Instruction& inst, Inst& i) {
  for (const std::string_view form : {"fractional", "cvt", "global", "L2"}) inst.has(form);
  const bool range = inst.has("range");
  expect_operands(d, inst, range ? 4 : 1, range ? 4 : 2);
  d.type(inst, {Type::b64});
  i.d = d.target(inst.operands[0], Type::b64);
  i.run = fixed<uint64_t>;
}

constexpr Entry kTable[] = {
    {"trap", decode_trap, Class::control, ""},
    {"brkpt", decode_trap, Class::control, ""},
    {"nanosleep", decode_nanosleep, Class::sync, "other warps go first; no time passes"},
    {"createpolicy", decode_createpolicy, Class::memory, "0: cache policies change nothing"},
    {"pmevent", decode_nothing, Class::other, "does nothing"},
    {"setmaxnreg", decode_nothing, Class::other, "does nothing"},
    {"griddepcontrol", decode_nothing, Class::sync, "kernels of a stream never overlap"},
};

}  // namespace

std::span<const Entry> misc_table() { return kTable; }

namespace {

/// Handlers by register; those of 32 and of 64 bits.
struct SpecialMove {
  std::string_view name;
  Handler narrow, wide;
  int64_t offset = 0;
};
constexpr SpecialMove kMoves[] = {
    {"%clock", clock<uint32_t, 0>, clock<uint64_t, 0>},
    {"%clock64", clock<uint32_t, 0>, clock<uint64_t, 0>},
    {"%clock_hi", clock<uint32_t, 32>, clock<uint64_t, 32>},
    {"%globaltimer", timer<uint32_t, 0>, timer<uint64_t, 0>},
    {"%globaltimer_lo", timer<uint32_t, 0>, timer<uint64_t, 0>},
    {"%globaltimer_hi", timer<uint32_t, 32>, timer<uint64_t, 32>},
    {"%gridid", nullptr, grid_id},
    {"%envreg1", workspace<32>, nullptr},
    {"%envreg2", workspace<0>, nullptr},
    {"%reserved_smem_offset_begin", reserved_shared, nullptr},
    {"%reserved_smem_offset_0", reserved_shared, nullptr},
    {"%reserved_smem_offset_1", reserved_shared, nullptr, kReservedShared / 2},
    {"%reserved_smem_offset_cap", reserved_shared, nullptr, kReservedShared},
    {"%reserved_smem_offset_end", reserved_shared, nullptr, kReservedShared},
    {"%current_graph_exec", nullptr, fixed<uint64_t>},
    {"%clusterid.x", of_block<kCtaidX>, nullptr},
    {"%clusterid.y", of_block<kCtaidY>, nullptr},
    {"%clusterid.z", of_block<kCtaidZ>, nullptr},
    {"%nclusterid.x", of_block<kNctaidX>, nullptr},
    {"%nclusterid.y", of_block<kNctaidY>, nullptr},
    {"%nclusterid.z", of_block<kNctaidZ>, nullptr},
    {"%cluster_nctaid.x", fixed<uint32_t>, nullptr, 1},
    {"%cluster_nctaid.y", fixed<uint32_t>, nullptr, 1},
    {"%cluster_nctaid.z", fixed<uint32_t>, nullptr, 1},
    {"%cluster_nctarank", fixed<uint32_t>, nullptr, 1},
    {"%cluster_ctaid.x", fixed<uint32_t>, nullptr},
    {"%cluster_ctaid.y", fixed<uint32_t>, nullptr},
    {"%cluster_ctaid.z", fixed<uint32_t>, nullptr},
    {"%cluster_ctarank", fixed<uint32_t>, nullptr},
    {"%aggr_smem_size", of_block<kTotalShared>, nullptr},
};

}  // namespace

bool decode_special(Decoder& d, const std::string& name, bool wide, Inst& i) {
  if (name.starts_with("%pm") || name.starts_with("%envreg")) i.run = fixed<uint32_t>;
  if (name.starts_with("%pm") && wide) i.run = fixed<uint64_t>;  // nothing counts here
  for (const SpecialMove& move : kMoves)
    if (move.name == name) i.run = wide ? move.wide : move.narrow, i.offset = move.offset;
  if (name.starts_with("%reserved_smem")) d.image().uses_reserved_shared = true;
  return i.run != nullptr;
}

}  // namespace sim
