// How many blocks of a kernel an SM holds at once, and what keeps it from holding more.
#pragma once
#include <cstdint>

#include "simulator/device/model.h"

namespace sim {

struct BlockNeeds {
  uint32_t threads = 1;
  uint32_t registers = 0;  // of a thread; 0: not known, which limits nothing
  uint64_t shared = 0;     // bytes, static and dynamic
};

struct Occupancy {
  int blocks = 0;          // 0: not even one fits
  int warps = 0;           // of those blocks
  const char* limit = "";  // "blocks", "threads", "registers", "shared memory"
};

/// So many threads of a block, at most, that the registers allow; a multiple of 32.
uint32_t threads_by_registers(const DeviceModel& model, uint32_t registers);

Occupancy occupancy_of(const DeviceModel& model, const BlockNeeds& needs);

}  // namespace sim
