// A roofline estimate: how long a launch takes if the part of the card that it asks most of runs at
// its peak rate and everything else hides behind that.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "simulator/code/work.h"
#include "simulator/device/model.h"

namespace sim {

/// What a launch asks of a card.
struct Demand {
  uint64_t blocks = 0, warps_of_block = 0;
  uint64_t slots = 0;                         // machine instructions of warps
  uint64_t integer = 0, special = 0;          // of these, of units with fewer lanes
  std::array<uint64_t, kUnits> operations{};  // by Unit
  uint64_t wavefronts = 0;                    // of shared memory
  uint64_t l2_bytes = 0, dram_bytes = 0;
  uint64_t hottest = 0;  // atomic operations at one address
};

enum class Bound : uint8_t {
  dram,
  l2,
  issue,
  integer,
  special,
  f32,
  f64,
  f16,
  tensor,
  shared,
  atomics
};
inline constexpr int kBounds = int(Bound::atomics) + 1;
std::string_view name_of(Bound bound);

struct Estimate {
  std::array<double, kBounds> parts{};  // nanoseconds that each alone would take
  double time = 0;                      // the longest of them, and the start of a kernel
  Bound bound() const;
};

/// SMs with fewer blocks than others wait for them; where there are fewer blocks than SMs, the
/// others idle. The latency of an instruction is not in it.
Estimate estimate(const DeviceModel& model, const Demand& demand);

/// Work of the SMs takes so much longer than if it were spread evenly over them.
double tail(const DeviceModel& model, uint64_t blocks);

}  // namespace sim
