#include "simulator/run/stuck.h"

#include <bit>
#include <sstream>

#include "simulator/exec/lanes.h"

namespace sim {
namespace {

/// The thread asks until the phase is over, and it is not.
bool asks_for_ever(AsyncCopies& async, const AsyncCopies::Asked& asked) {
  return asked.function && mbarrier_at(asked.barrier).phase == asked.phase &&
         !async.owes(asked.barrier) && async.asks_until_over(*asked.function, asked.instruction);
}

}  // namespace

bool wait_for_ever(const std::vector<std::unique_ptr<Warp>>& warps, AsyncCopies& async) {
  bool found = false;
  for (const auto& w : warps)
    for (const Group& g : w->groups()) {
      if (g.wait != Wait::none) continue;
      for (uint32_t rest = g.mask; rest; rest &= rest - 1) {
        const auto& asked = async.asked(w->number() * kLanes + uint32_t(std::countr_zero(rest)));
        if (!asks_for_ever(async, asked)) return false;
        found = true;
      }
    }
  return found;
}

std::string state_of(const std::vector<std::unique_ptr<Warp>>& warps) {
  std::string all;
  for (size_t first = 0, next; first < warps.size(); first = next) {
    next = first + 1;
    if (warps[first]->done()) continue;
    const std::string state = warps[first]->state();
    while (next < warps.size() && !warps[next]->done() && warps[next]->state() == state) ++next;
    const std::string who =
        next == first + 1 ? "warp " + std::to_string(first)
                          : "warps " + std::to_string(first) + " to " + std::to_string(next - 1);
    std::istringstream lines(state);
    for (std::string line; std::getline(lines, line);) all += "\n  " + who + ", " + line;
  }
  return all;
}

}  // namespace sim
