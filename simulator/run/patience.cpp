#include "simulator/run/patience.h"

#include "simulator/report/fault.h"
#include "simulator/run/block.h"

namespace sim {

Patience::Patience(const std::string& kernel, double seconds)
    : kernel_(kernel),
      patience_(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))
                    .count()) {}

void Patience::look(const Block& block) {
  if (patience_ == 0 || clock() - last_ < patience_ || noted_.exchange(true)) return;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(Clock::duration(patience_));
  note("no block of " + readable_name(kernel_) + " has begun or ended for " +
       std::to_string(seconds.count()) + " s; block " + text_of(block.index()) +
       " stands so, and goes on:" + block.state());
}

}  // namespace sim
