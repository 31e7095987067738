#include "simulator/stream/operation.h"

#include <algorithm>
#include <cstring>

#include "simulator/device/model.h"
#include "simulator/device/settings.h"
#include "simulator/memory/memory.h"
#include "simulator/report/fault.h"
#include "simulator/stream/task.h"

namespace sim {
namespace {

bool on_device(uint64_t address) {
  const auto a = find_allocation(address);
  return a && a->kind != MemoryKind::pinned;
}

void run(std::monostate) {}

void run(const KernelOp& op) { spend(run_kernel(op.launch, device_model())); }

void run(const Copy& copy) {
  run_copy(copy);
  const DeviceModel& m = device_model();
  const bool inside = on_device(copy.dst.address) && on_device(copy.src.address);
  spend(kStartTime + double(copy.box.bytes()) / (inside ? m.memory_gbs / 2 : m.host_gbs));
}

void run(const Fill& fill) {
  run_fill(fill);
  spend(kStartTime + double(fill.box.bytes()) / device_model().memory_gbs);
}

void run(const HostOp& op) { op.function(op.data); }

[[noreturn]] void report_freed_twice(uint64_t address) {
  Fault fault;
  fault.kind = "double free";
  fault.details = "a stream came to a free of what was freed before: " + describe_address(address);
  throw fault;
}

/// A cudaFree, which waits for nothing, may have come first.
void run(const AllocOp& op) {
  if (find_allocation(op.address)) mark(op.address, op.bytes, kAddressable);
}

void run(const FreeOp& op) {
  if (!op.keep_address) {
    if (release(op.address) != FreeResult::done && settings().checks)
      report_freed_twice(op.address);
    return;
  }
  if (settings().checks && *shadow(op.address) == kFreed) report_freed_twice(op.address);
  if (const auto a = find_allocation(op.address)) mark(op.address, a->bytes, kFreed);
}

void run(const EventOp&) {}
void run(const GraphOp&) {}

}  // namespace

cudaGraphNodeType node_type(const Operation& op) {
  struct {
    cudaGraphNodeType operator()(const std::monostate&) { return cudaGraphNodeTypeEmpty; }
    cudaGraphNodeType operator()(const KernelOp&) { return cudaGraphNodeTypeKernel; }
    cudaGraphNodeType operator()(const Copy&) { return cudaGraphNodeTypeMemcpy; }
    cudaGraphNodeType operator()(const Fill&) { return cudaGraphNodeTypeMemset; }
    cudaGraphNodeType operator()(const HostOp&) { return cudaGraphNodeTypeHost; }
    cudaGraphNodeType operator()(const AllocOp&) { return cudaGraphNodeTypeMemAlloc; }
    cudaGraphNodeType operator()(const FreeOp&) { return cudaGraphNodeTypeMemFree; }
    cudaGraphNodeType operator()(const EventOp& e) {
      return e.record ? cudaGraphNodeTypeEventRecord : cudaGraphNodeTypeWaitEvent;
    }
    cudaGraphNodeType operator()(const GraphOp&) { return cudaGraphNodeTypeGraph; }
  } type;
  return std::visit(type, op.work);
}

void run(const Operation& op) {
  std::visit([](const auto& work) { run(work); }, op.work);
}

}  // namespace sim
