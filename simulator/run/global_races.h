// Races in global memory between the blocks of a launch, looked for with SIM_CHECKS=all: two blocks
// reach the same bytes, one of them writes, and nothing orders them. Blocks of one launch are
// ordered only by atomic and volatile accesses, which are taken generously: what a block did before
// such a write is ordered before all that another does after such a read. A store of what is there
// already is no race. Of all blocks that read some bytes only the last is known.
#pragma once
#include <cstdint>
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
  /// An atomic or volatile access of a block.
  void order(uint64_t block, bool reads, bool writes);

  static GlobalRaces& get();

 private:
  GlobalRaces();
  std::vector<uint8_t> released_, acquired_;  // by block: how often, modulo 8; whether at all
  uint32_t launch_ = 0;
};

}  // namespace sim
