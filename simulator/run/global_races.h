// Races in global memory between the blocks of a launch, looked for with SIM_CHECKS=all: two blocks
// reach the same bytes, one of them writes, not both by atomic or volatile accesses, and nothing
// orders them. Blocks of one launch are ordered only by such accesses, which are taken generously:
// what a block did before such a write, to whatever address, is ordered before all that another
// does after such a read. A store of what is there already is no race. Of all blocks that read some
// bytes only the last is known; and when a block has made some hundred such writes, what was
// touched so far is forgotten: a race may be missed, none is invented.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "simulator/exec/access.h"

namespace sim {

class GlobalRaces {
 public:
  /// A launch begins; only one runs at a time.
  void start();

  /// An access by lanes of a block. Races of writes go to `found`, one a lane; a read throws.
  void touch(Warp& w, uint32_t lanes, const Addresses& at, uint32_t bytes, Use use, bool strong,
             std::vector<Conflict>& found);
  /// A block begins an atomic or volatile write; nobody has seen it yet.
  void release(uint64_t block);
  /// A block has made an atomic or volatile read.
  void acquire(uint64_t block);

  static GlobalRaces& get();

 private:
  GlobalRaces();
  void forget();

  // By block: writes that order, modulo 256; the round in which there were so many last; whether
  // there was a read that orders.
  std::vector<uint8_t> released_, round_of_, acquired_;
  // What was touched in another round counts for nothing. A launch begins one.
  std::atomic<uint32_t> round_ = 0;
  std::mutex mutex_;
};

}  // namespace sim
