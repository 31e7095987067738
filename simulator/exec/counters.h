// What a launch does, counted for each instruction. Each host thread counts for itself (Tally),
// without atomics; the launch adds them up when it ends (run/counts.h). Nothing is counted unless a
// profile is asked for: then Warp::counter() is nullptr.
#pragma once
#include <bit>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "simulator/code/code.h"
#include "simulator/exec/access.h"
#include "simulator/exec/sectors.h"
#include "simulator/exec/warp.h"

namespace sim {

/// What one instruction did.
struct Counter {
  uint64_t warps = 0;   // times that a warp executed it, no lane taking part included
  uint64_t lanes = 0;   // lanes that took part; of a branch, those that it asked
  uint64_t splits = 0;  // times that it parted a warp's lanes
  // Global memory. Sectors: those that the lanes of a warp touch, each once; least: what their
  // bytes would fill, were they neighbours.
  uint64_t requests = 0, bytes = 0, sectors = 0, least_sectors = 0;
  // Shared memory. Wavefronts: turns of its 32 banks; least: without conflicts.
  uint64_t shared_bytes = 0, wavefronts = 0, least_wavefronts = 0;
  // Atomic operations of lanes, and turns: the most lanes of each warp that meet at one address.
  uint64_t atomics = 0, atomic_turns = 0;
  uint64_t local_bytes = 0, local_sectors = 0;

  /// `active`: lanes at the instruction; `mask`: those of them that its guard lets through.
  void ran(uint32_t active, uint32_t mask) {
    ++warps;
    lanes += uint64_t(std::popcount(kind == Class::control ? active : mask));
  }
  /// It waits for other lanes, and is executed when they have come.
  void did_not(uint32_t mask) { --warps, lanes -= uint64_t(std::popcount(mask)); }

  Class kind = Class::other;
  bool past_l1 = false;
};

/// The counts by name: what is added up and written.
inline constexpr std::pair<const char*, uint64_t Counter::*> kCounts[] = {
    {"warps", &Counter::warps},
    {"lanes", &Counter::lanes},
    {"splits", &Counter::splits},
    {"requests", &Counter::requests},
    {"bytes", &Counter::bytes},
    {"sectors", &Counter::sectors},
    {"least_sectors", &Counter::least_sectors},
    {"shared_bytes", &Counter::shared_bytes},
    {"wavefronts", &Counter::wavefronts},
    {"least_wavefronts", &Counter::least_wavefronts},
    {"atomics", &Counter::atomics},
    {"atomic_turns", &Counter::atomic_turns},
    {"local_bytes", &Counter::local_bytes},
    {"local_sectors", &Counter::local_sectors}};

inline Counter* Warp::counter() const { return counters ? counters + (pc - 1) : nullptr; }

/// While it lives nothing is counted: who looks at memory piece by piece counts the whole.
class Uncounted {
 public:
  explicit Uncounted(Warp& w) : warp_(w), counters_(w.counters) { warp_.counters = nullptr; }
  ~Uncounted() { warp_.counters = counters_; }
  Uncounted(const Uncounted&) = delete;
  Uncounted& operator=(const Uncounted&) = delete;

 private:
  Warp& warp_;
  Counter* counters_;
};

/// What one host thread counts.
class Tally {
 public:
  /// A counter for each instruction.
  Counter* of(const Code& code);
  void atomic(uint64_t address, uint64_t times);

  const auto& codes() const { return codes_; }
  /// Atomic operations by a hash of their address: the highest is an upper bound of what meets at
  /// one address.
  const std::vector<uint64_t>& meetings() const { return meetings_; }

 private:
  std::unordered_map<const Code*, std::vector<Counter>> codes_;
  std::vector<uint64_t> meetings_;
};

/// Global memory that one block touched.
struct BlockTraffic {
  SectorSet sectors;              // a group's mark: sectors that were read through L1
  uint64_t through_l1 = 0;        // sectors of loads that L1 may keep
  uint64_t through_distinct = 0;  // of these, each once
  uint64_t past_l1 = 0;           // sectors of stores, atomics and loads that go to L2
};

/// Lanes by the space that their addresses lead to.
struct LanesBySpace {
  uint32_t global = 0, shared = 0, local = 0;
};
/// One access of a warp. Offsets of shared and local memory, addresses of global. Only where
/// w.counter() is not nullptr.
void count_access(Warp& w, const LanesBySpace& lanes, const Addresses& at, uint32_t bytes, Use use);
/// An access of neighbours in global memory, or of a copy engine: `bytes` from `at` on.
void count_run(Warp& w, uint64_t at, uint32_t bytes, Use use);
/// The same in shared memory.
void count_shared_run(Warp& w, uint32_t bytes);

}  // namespace sim
