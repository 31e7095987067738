// One host thread's part of a launch: the blocks that it has begun.
#pragma once
#include <atomic>
#include <deque>
#include <memory>
#include <vector>

#include "simulator/run/block.h"
#include "simulator/run/patience.h"
#include "simulator/run/state.h"

namespace sim {

class Worker {
 public:
  /// `next`: of the blocks that nobody has begun; `resident`: how many may be begun and not ended.
  Worker(LaunchState& launch, std::atomic<uint64_t>& next, size_t resident, Patience& patience);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Until no block is left, or `stop`.
  void run(const std::atomic<bool>& stop);

 private:
  uint64_t shuffled(uint64_t n) const;
  bool begin();

  LaunchState& launch_;
  std::atomic<uint64_t>& next_;
  const size_t resident_;
  const int rounds_;  // turns of a block before others go on
  Patience& patience_;
  std::unique_ptr<Tally> tally_;
  std::deque<std::unique_ptr<Block>> open_;
  std::vector<std::unique_ptr<Block>> ended_;  // to be begun again
};

}  // namespace sim
