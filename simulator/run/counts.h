// The counts of one launch: those of its host threads added up, and what of its global traffic gets
// past the caches.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "simulator/exec/counters.h"

namespace sim {

/// The caches that a launch meets, empty when it begins.
struct Caches {
  uint64_t l1_sectors = 0;  // of one block: its share of what the SM has beside shared memory
  uint64_t l2_sectors = 0;
  uint64_t wave_blocks = 1;  // blocks that run at once, on all SMs
};

/// Sectors that reach L2 and memory, by a model that knows sets and no order, so that host threads
/// change nothing.
///   L1  A block finds again what it read before, as far as its sectors fit.
///   L2  Blocks run in waves of wave_blocks. A wave fetches each sector once. It finds those of an
///       earlier wave if what was touched since then, with its own, fits into L2. A written sector
///       goes to memory once, and again where a later wave writes it after it had to leave.
class TrafficModel {
 public:
  explicit TrafficModel(const Caches& caches) : caches_(caches) {}
  /// Of the launch's block number `order`, when it has ended.
  void add(uint64_t order, const BlockTraffic& block);
  /// After the last block.
  void finish();

  uint64_t l2_sectors = 0;
  uint64_t dram_read = 0, dram_written = 0;          // sectors
  uint64_t distinct_read = 0, distinct_written = 0;  // sectors that the launch touched at all

 private:
  struct Wave {
    SectorSet sectors;
    uint64_t blocks = 0;
  };
  void settle(const SectorSet& wave);

  Caches caches_;
  std::map<uint64_t, Wave> waves_;  // that have not ended
  uint64_t next_ = 0;               // the first of them
  SectorSet seen_;                  // a group's mark: touched_ when it was touched last
  uint64_t touched_ = 0;  // sectors that the waves until now touched, each wave for itself
};

struct LaunchCounts {
  explicit LaunchCounts(const Caches& caches) : traffic(caches) {}

  void block_done(uint64_t order, const BlockTraffic& block);
  void thread_done(const Tally& tally);
  /// Counts of a sample of the blocks become those of all.
  void scale(uint64_t all, uint64_t sample);
  /// At most so many atomic operations met at one address.
  uint64_t hottest() const;

  std::unordered_map<const Code*, std::vector<Counter>> codes;
  std::vector<uint64_t> meetings;
  TrafficModel traffic;
  uint64_t blocks_done = 0;
  std::mutex mutex;
};

}  // namespace sim
