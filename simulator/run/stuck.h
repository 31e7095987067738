// Blocks whose threads wait at mbarriers for ever. As certain as a barrier that not all reach: each
// living thread waits for others, or asks an mbarrier of the block in a loop without another exit,
// nobody is left to arrive, and no copy under way counts there.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "simulator/exec/async.h"
#include "simulator/exec/warp.h"

namespace sim {

/// Whether all wait so; false: some thread may go on, or all wait at barriers.
bool wait_for_ever(const std::vector<std::unique_ptr<Warp>>& warps, AsyncCopies& async);

/// What each living warp does, a line a group of lanes; warps that do the same share it.
std::string state_of(const std::vector<std::unique_ptr<Warp>>& warps);

}  // namespace sim
