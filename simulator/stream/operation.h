// One piece of work as the program asked for it: what a stream runs and a graph's node remembers.
#pragma once
#include <cuda_runtime_api.h>

#include <memory>
#include <variant>

#include "simulator/memory/transfer.h"
#include "simulator/run/launch.h"

namespace sim {

struct Event;
struct Graph;

struct KernelOp {
  const void* function = nullptr;  // as the program names it
  Launch launch;
};
struct HostOp {
  cudaHostFn_t function = nullptr;
  void* data = nullptr;
};
/// Memory that a stream may use from here on, or no longer.
struct AllocOp {
  uint64_t address = 0, bytes = 0;
};
struct FreeOp {
  uint64_t address = 0;
  bool keep_address = false;  // of a graph's own memory, which the next launch uses again
};
/// Only in graphs: streams record and wait themselves.
struct EventOp {
  Event* event = nullptr;
  bool record = false;
};
struct GraphOp {
  std::shared_ptr<Graph> graph;
};

using Work =
    std::variant<std::monostate, KernelOp, Copy, Fill, HostOp, AllocOp, FreeOp, EventOp, GraphOp>;

struct Operation {
  int device = 0;
  Work work;
};

cudaGraphNodeType node_type(const Operation& op);
/// Does it, and spends its simulated time.
void run(const Operation& op);

}  // namespace sim
