// What all blocks of one launch share.
#pragma once
#include <atomic>
#include <cstdint>

#include "simulator/code/image.h"
#include "simulator/run/launch.h"

namespace sim {

struct LaunchCounts;
/// Bytes that a card keeps of each block's shared memory for the system and the toolkit's headers.
inline constexpr uint64_t kReservedShared = 1024;

struct LaunchState {
  const Launch* launch = nullptr;
  const Image* image = nullptr;
  uint32_t sms = 1;
  uint32_t grid_id = 0;
  int device = 0;
  bool checks = true;
  bool global_races = false;
  bool several_devices = false;  // memory may be another's
  uint64_t seed = 0;             // 0: warps and blocks go in order
  uint64_t grid_workspace = 0;   // where the blocks of a cooperative launch meet; 0: another launch
  uint64_t shared_bytes = 0;     // of a block, static and dynamic
  uint64_t reserved_shared = 0;  // where the kernel's reserved part begins; 0: it uses none
  uint64_t blocks = 0, sample = 0;  // of the grid, and how many of them run: SIM_SAMPLE
  LaunchCounts* counts = nullptr;   // nullptr: nothing is counted
  std::atomic<uint64_t> executed{0};

  /// The blocks that run are spread evenly; which of the grid is the n-th, and back.
  uint64_t block_at(uint64_t n) const {
    return sample == blocks ? n : uint64_t(static_cast<unsigned __int128>(n) * blocks / sample);
  }
  uint64_t order_of(uint64_t block) const {
    if (sample == blocks) return block;
    return uint64_t((static_cast<unsigned __int128>(block) * sample + blocks - 1) / blocks);
  }
};

}  // namespace sim
