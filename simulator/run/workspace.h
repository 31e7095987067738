// Device memory in which the blocks of a cooperative launch wait for each other: two words, the
// second the barrier of cooperative_groups::grid_group (cooperative_groups/details/driver_abi.h).
#pragma once
#include <cstring>
#include <optional>

#include "simulator/memory/memory.h"
#include "simulator/run/program.h"

namespace sim {

class Workspace {
 public:
  explicit Workspace(const Launch& launch) {
    if (launch.cooperative)
      base_ = allocate(kBytes, launch.program->device, MemoryKind::variable, "grid workspace",
                       ~uint64_t(0), true);
    if (base_) std::memset(raw(*base_), 0, kBytes);
  }
  ~Workspace() {
    if (base_) release(*base_);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  /// 0: the launch is not cooperative.
  uint64_t address() const { return base_.value_or(0); }

 private:
  static constexpr uint64_t kBytes = 64;
  std::optional<uint64_t> base_;
};

}  // namespace sim
