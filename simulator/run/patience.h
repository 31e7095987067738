// A kernel that goes on and on: a loop that waits for what never comes looks like one that
// computes. After a while without a block that began or ended, one note on stderr says where
// threads stand.
#pragma once
#include <atomic>
#include <chrono>
#include <string>

namespace sim {

class Block;

class Patience {
 public:
  /// SIM_NOTE_AFTER seconds; 0: never.
  Patience(const std::string& kernel, double seconds);
  /// A block began or ended.
  void moved() { last_ = clock(); }
  void look(const Block& block);

 private:
  using Clock = std::chrono::steady_clock;
  static int64_t clock() { return Clock::now().time_since_epoch().count(); }

  const std::string& kernel_;
  const int64_t patience_;
  std::atomic<int64_t> last_ = clock();
  std::atomic<bool> noted_ = false;
};

}  // namespace sim
