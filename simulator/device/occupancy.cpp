#include "simulator/device/occupancy.h"

namespace sim {
namespace {

uint64_t round_up(uint64_t n, uint64_t unit) { return (n + unit - 1) / unit * unit; }

constexpr uint64_t kSchedulers = 4;  // of an SM, each with its part of the registers

/// The toolkit's cuda_occupancy.h says how: the card checks as if a block took as many warps of
/// each scheduler.
uint64_t by_registers(const DeviceModel& m, uint64_t registers, uint64_t warps) {
  const uint64_t per_warp = round_up(registers * 32, m.register_unit);
  if (registers > m.registers_per_thread) return 0;
  if (per_warp * round_up(warps, kSchedulers) > m.registers_per_block) return 0;
  return m.registers_per_sm / kSchedulers / per_warp * kSchedulers / warps;
}

}  // namespace

uint32_t threads_by_registers(const DeviceModel& m, uint32_t registers) {
  uint32_t warps = m.threads_per_block / 32;
  while (warps > 0 && registers > 0 && by_registers(m, registers, warps) == 0) --warps;
  return warps * 32;
}

Occupancy occupancy_of(const DeviceModel& m, const BlockNeeds& needs) {
  const uint64_t warps = round_up(needs.threads, 32) / 32;
  Occupancy found;
  uint64_t blocks = m.blocks_per_sm;
  found.limit = "blocks";
  const auto limit = [&](uint64_t to, const char* by) {
    if (to >= blocks) return;
    blocks = to;
    found.limit = by;
  };
  limit(needs.threads > m.threads_per_block ? 0 : m.threads_per_sm / 32 / warps, "threads");
  if (needs.registers != 0) limit(by_registers(m, needs.registers, warps), "registers");
  limit(needs.shared > m.shared_optin
            ? 0
            : m.shared_per_sm / round_up(needs.shared + m.shared_reserved, m.shared_unit),
        "shared memory");
  found.blocks = int(blocks);
  found.warps = int(blocks * warps);
  return found;
}

}  // namespace sim
