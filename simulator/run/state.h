// What all blocks of one launch share.
#pragma once
#include <atomic>
#include <cstdint>

#include "simulator/code/image.h"
#include "simulator/run/launch.h"

namespace sim {

struct LaunchState {
  const Launch* launch = nullptr;
  const Image* image = nullptr;
  uint32_t sms = 1;
  uint32_t grid_id = 0;
  int device = 0;
  bool checks = true;
  bool global_races = false;
  uint64_t seed = 0;            // 0: warps and blocks go in order
  uint64_t grid_workspace = 0;  // where the blocks of a cooperative launch meet; 0: another launch
  uint64_t shared_bytes = 0;    // of a block, static and dynamic
  std::atomic<uint64_t> executed{0};
};

}  // namespace sim
