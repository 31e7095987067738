// Allocation: of the devices, pinned, managed.
#include "simulator/memory/memory.h"

#include "simulator/api/api.h"
#include "simulator/api/pointers.h"
#include "simulator/device/model.h"
#include "simulator/device/settings.h"
#include "simulator/stream/capture.h"
#include "simulator/stream/graph.h"

using namespace sim;

namespace sim {
namespace {

/// Frees that streams have not come to yet may make room.
void* make(Lock& lock, size_t bytes, MemoryKind kind, const char* call) {
  check_unsafe();
  if (bytes == 0) return nullptr;
  const int device = current_device();
  auto base = allocate(bytes, device, kind, call, device_model().memory_bytes);
  if (!base) {
    Executor::get().wait_all(lock, device);
    base = allocate(bytes, device, kind, call, device_model().memory_bytes);
  }
  check(base.has_value(), cudaErrorMemoryAllocation);
  return reinterpret_cast<void*>(*base);
}

/// Waits for the devices first, as a card does: work that uses the memory may not have run. For
/// stream-ordered memory the manual says that nothing waits, so that such work faults.
void free_memory(Lock& lock, void* pointer, bool host, const char* call) {
  check_unsafe();
  if (!pointer) return;
  const auto address = reinterpret_cast<uint64_t>(pointer);
  const auto a = find_allocation(address);
  if (!a || a->base != address) {
    if (in_device_window(address) && settings().checks &&
        release(address) == FreeResult::already_freed)
      report_double_free(call, address);
    fail(cudaErrorInvalidValue);
  }
  const bool pinned = a->kind == MemoryKind::pinned;
  check(a->name != "cudaHostRegister", cudaErrorInvalidValue);
  check(pinned == host && !is_variable(*a), cudaErrorInvalidValue);
  if (is_graph_memory(address)) {  // its address stays the graph's
    graph_memory_freed(address);
    return run({a->device, FreeOp{address, true}});
  }
  if (!leave_pool(address)) Executor::get().wait_all(lock, -1);  // peers may use it
  pinned_flags().erase(address);
  if (release(address) == FreeResult::already_freed) report_double_free(call, address);
}

constexpr size_t kPitchUnit = 512;
size_t pitch_of(size_t width) {
  check(width <= ~size_t(0) - kPitchUnit, cudaErrorMemoryAllocation);
  return (width + kPitchUnit - 1) / kPitchUnit * kPitchUnit;
}
size_t product(size_t a, size_t b) {
  size_t result = 0;
  check(!__builtin_mul_overflow(a, b, &result), cudaErrorMemoryAllocation);
  return result;
}

}  // namespace

void report_double_free(const char* call, uint64_t address) {
  Fault fault;
  fault.kind = "double free";
  fault.details = std::string(call) + " of what was freed before: " + describe_address(address);
  throw fault;
}

}  // namespace sim

SIM_API cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  return api(__func__, [&](Lock& lock) {
    check(pointer, cudaErrorInvalidValue);
    *pointer = make(lock, bytes, MemoryKind::device, "cudaMalloc");
  });
}

SIM_API cudaError_t cudaMallocPitch(void** pointer, size_t* pitch, size_t width, size_t height) {
  return api(__func__, [&](Lock& lock) {
    check(pointer && pitch, cudaErrorInvalidValue);
    *pitch = pitch_of(width);
    *pointer = make(lock, product(*pitch, height), MemoryKind::device, "cudaMallocPitch");
  });
}

SIM_API cudaError_t cudaMalloc3D(cudaPitchedPtr* pitched, cudaExtent extent) {
  return api(__func__, [&](Lock& lock) {
    check(pitched, cudaErrorInvalidValue);
    const size_t pitch = pitch_of(extent.width);
    const size_t bytes = product(product(pitch, extent.height), extent.depth);
    void* base = make(lock, bytes, MemoryKind::device, "cudaMalloc3D");
    *pitched = {base, pitch, extent.width, extent.height};
  });
}

SIM_API cudaError_t cudaMallocManaged(void** pointer, size_t bytes, unsigned flags) {
  return api(__func__, [&](Lock& lock) {
    check(pointer && bytes > 0, cudaErrorInvalidValue);
    check(flags == cudaMemAttachGlobal || flags == cudaMemAttachHost, cudaErrorInvalidValue);
    *pointer = make(lock, bytes, MemoryKind::managed, "cudaMallocManaged");
    forget_advice(reinterpret_cast<uint64_t>(*pointer), bytes);
  });
}

SIM_API cudaError_t cudaMallocHost(void** pointer, size_t bytes) {
  return api(__func__, [&](Lock& lock) {
    check(pointer, cudaErrorInvalidValue);
    *pointer = make(lock, bytes, MemoryKind::pinned, "cudaMallocHost");
  });
}

SIM_API cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned flags) {
  return api(__func__, [&](Lock& lock) {
    constexpr unsigned known =
        cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined;
    check(pointer && (flags & ~known) == 0, cudaErrorInvalidValue);
    *pointer = make(lock, bytes, MemoryKind::pinned, "cudaHostAlloc");
    if (*pointer) pinned_flags()[reinterpret_cast<uint64_t>(*pointer)] = flags;
  });
}

SIM_API cudaError_t cudaFree(void* pointer) {
  return api(__func__, [&](Lock& lock) { free_memory(lock, pointer, false, "cudaFree"); });
}

SIM_API cudaError_t cudaFreeHost(void* pointer) {
  return api(__func__, [&](Lock& lock) { free_memory(lock, pointer, true, "cudaFreeHost"); });
}

SIM_API cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  return api(__func__, [&](Lock&) {
    check(free && total, cudaErrorInvalidValue);
    *total = device_model().memory_bytes;
    *free = *total - live_bytes(current_device());
  });
}

SIM_API cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* out, const void* pointer) {
  return api(__func__, [&](Lock&) {
    check(out, cudaErrorInvalidValue);
    *out = {};
    out->device = -2;
    const auto address = reinterpret_cast<uint64_t>(pointer);
    void* const p = const_cast<void*>(pointer);
    if (is_registered(address)) {
      out->type = cudaMemoryTypeHost;
      out->device = current_device();
      out->hostPointer = p;
      out->devicePointer = device_view(address);
    } else if (const auto a = find_allocation(address)) {
      const bool host = a->kind == MemoryKind::pinned, managed = a->kind == MemoryKind::managed;
      out->type = host      ? cudaMemoryTypeHost
                  : managed ? cudaMemoryTypeManaged
                            : cudaMemoryTypeDevice;
      out->device = a->device;
      out->devicePointer = p;
      out->hostPointer = host || managed ? p : nullptr;
    } else {
      out->hostPointer = p;
    }
  });
}
