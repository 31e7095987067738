// Stream-ordered allocation and its pools. A pool keeps no memory back here: what is freed goes, so
// that a use after the free is seen.
#include <algorithm>
#include <cstring>
#include <map>

#include "simulator/api/api.h"
#include "simulator/api/pointers.h"
#include "simulator/device/model.h"
#include "simulator/device/settings.h"
#include "simulator/memory/memory.h"
#include "simulator/stream/capture.h"
#include "simulator/stream/graph.h"
#include "simulator/stream/stream.h"

using namespace sim;

namespace {

struct Pool {
  int device = 0;
  bool is_default = false;
  uint8_t owner = kNobody;  // of its memory: who may reach it
  int reuse[3] = {1, 1, 1};
  uint64_t threshold = 0, used = 0, used_high = 0;
};

/// Numbers are not used again: memory may outlive its pool. When there are no more, all devices
/// reach what a pool gives.
std::unique_ptr<Pool> new_pool(int device) {
  static int next = kFirstPool;
  auto pool = std::make_unique<Pool>();
  pool->device = device;
  if (next > 255) return pool;
  pool->owner = uint8_t(next++);
  let_reach(device, pool->owner, true);
  return pool;
}

Handles<Pool>& pools() {
  static auto* const all = new Handles<Pool>;
  return *all;
}

struct DevicePools {
  Pool* initial = nullptr;
  Pool* current = nullptr;
};

DevicePools& pools_of(int device) {
  static auto* const all = new std::map<int, DevicePools>;
  DevicePools& p = (*all)[device];
  if (!p.initial) {
    auto pool = new_pool(device);
    pool->is_default = true;
    p.initial = p.current = pools().add(std::move(pool));
  }
  return p;
}

Pool& pool_of(cudaMemPool_t handle) { return pools().get(handle, cudaErrorInvalidValue); }
cudaMemPool_t handle_of(Pool* pool) { return reinterpret_cast<cudaMemPool_t>(pool); }

/// Which pool an allocation counts in; null where that pool was destroyed.
std::map<uint64_t, Pool*>& owners() {
  static auto* const all = new std::map<uint64_t, Pool*>;
  return *all;
}

void* allocate_captured(Stream& s, const Pool& pool, size_t bytes, const char* call) {
  check(!s.capture->invalid, cudaErrorStreamCaptureInvalidated);
  const auto base =
      allocate_for(*s.capture->graph, bytes, pool.device, call, device_model().memory_bytes);
  check(base.has_value(), cudaErrorMemoryAllocation);
  set_owner(*base, bytes, pool.owner);
  enqueue(s, {s.device, AllocOp{*base, bytes}});
  return reinterpret_cast<void*>(*base);
}

/// The address is known at once; the stream that comes to it makes the memory usable.
void* allocate_async(Lock& lock, Pool& pool, size_t bytes, cudaStream_t stream, const char* call) {
  Stream& s = find_stream(stream, current_device());
  if (bytes == 0) return nullptr;
  const uint64_t limit = device_model().memory_bytes;
  if (s.capture) return allocate_captured(s, pool, bytes, call);
  auto base = allocate(bytes, pool.device, MemoryKind::device, call, limit);
  if (!base) {
    Executor::get().wait_all(lock, pool.device);
    base = allocate(bytes, pool.device, MemoryKind::device, call, limit);
  }
  check(base.has_value(), cudaErrorMemoryAllocation);
  mark(*base, bytes, kUnmapped);
  set_owner(*base, bytes, pool.owner);
  enqueue(s, {s.device, AllocOp{*base, bytes}});
  owners()[*base] = &pool;
  pool.used += bytes;
  pool.used_high = std::max(pool.used_high, pool.used);
  return reinterpret_cast<void*>(*base);
}

void free_async(void* pointer, cudaStream_t stream) {
  Stream& s = find_stream(stream, current_device());
  const auto address = reinterpret_cast<uint64_t>(pointer);
  const auto a = find_allocation(address);
  if (!a && in_device_window(address) && settings().checks &&
      release(address) == FreeResult::already_freed)
    report_double_free("cudaFreeAsync", address);
  check(a && a->base == address && a->kind == MemoryKind::device, cudaErrorInvalidValue);
  const bool of_graph = is_graph_memory(address);
  check(of_graph || !s.capture, cudaErrorInvalidValue);
  if (!s.capture) {
    graph_memory_freed(address);
    leave_pool(address);
  }
  enqueue(s, {s.device, FreeOp{address, of_graph}});
}

void check_location(const cudaMemLocation* location, cudaMemAllocationType type) {
  check(location && type == cudaMemAllocationTypePinned, cudaErrorInvalidValue);
  check(location->type == cudaMemLocationTypeDevice, cudaErrorNotSupported);
  check_device(location->id);
}

/// The pool's own device can't lose its access.
void check_access(const Pool& pool, const cudaMemAccessDesc& access) {
  check(access.location.type == cudaMemLocationTypeDevice, cudaErrorInvalidValue);
  check_device(access.location.id);
  const bool none = access.flags == cudaMemAccessFlagsProtNone;
  check(none || access.flags == cudaMemAccessFlagsProtReadWrite, cudaErrorInvalidValue);
  if (access.location.id == pool.device)
    check(!none, cudaErrorInvalidValue);
  else
    check(none || device_model().peers, cudaErrorInvalidDevice);
}

void get_attribute(const Pool& p, cudaMemPoolAttr attribute, void* value) {
  switch (attribute) {
    case cudaMemPoolReuseFollowEventDependencies:
    case cudaMemPoolReuseAllowOpportunistic:
    case cudaMemPoolReuseAllowInternalDependencies:
      *static_cast<int*>(value) = p.reuse[attribute - cudaMemPoolReuseFollowEventDependencies];
      return;
    case cudaMemPoolAttrReleaseThreshold:
      *static_cast<uint64_t*>(value) = p.threshold;
      return;
    case cudaMemPoolAttrReservedMemCurrent:
    case cudaMemPoolAttrUsedMemCurrent:
      *static_cast<uint64_t*>(value) = p.used;
      return;
    case cudaMemPoolAttrReservedMemHigh:
    case cudaMemPoolAttrUsedMemHigh:
      *static_cast<uint64_t*>(value) = p.used_high;
      return;
    default:
      fail(cudaErrorInvalidValue);
  }
}

void set_attribute(Pool& p, cudaMemPoolAttr attribute, const void* value) {
  switch (attribute) {
    case cudaMemPoolReuseFollowEventDependencies:
    case cudaMemPoolReuseAllowOpportunistic:
    case cudaMemPoolReuseAllowInternalDependencies:
      p.reuse[attribute - cudaMemPoolReuseFollowEventDependencies] =
          *static_cast<const int*>(value);
      return;
    case cudaMemPoolAttrReleaseThreshold:
      p.threshold = *static_cast<const uint64_t*>(value);
      return;
    case cudaMemPoolAttrReservedMemHigh:
    case cudaMemPoolAttrUsedMemHigh:
      check(*static_cast<const uint64_t*>(value) == 0, cudaErrorInvalidValue);
      p.used_high = p.used;
      return;
    default:
      fail(cudaErrorInvalidValue);
  }
}

}  // namespace

bool sim::leave_pool(uint64_t address) {
  const auto owner = owners().find(address);
  if (owner == owners().end()) return false;
  if (owner->second) owner->second->used -= find_allocation(address)->bytes;
  owners().erase(owner);
  return true;
}

SIM_API cudaError_t cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t stream) {
  return api(__func__, [&](Lock& lock) {
    check(pointer, cudaErrorInvalidValue);
    Pool& pool = *pools_of(find_stream(stream, current_device()).device).current;
    *pointer = allocate_async(lock, pool, bytes, stream, "cudaMallocAsync");
  });
}

SIM_API cudaError_t cudaMallocFromPoolAsync(void** pointer, size_t bytes, cudaMemPool_t pool,
                                            cudaStream_t stream) {
  return api(__func__, [&](Lock& lock) {
    check(pointer, cudaErrorInvalidValue);
    *pointer = allocate_async(lock, pool_of(pool), bytes, stream, "cudaMallocFromPoolAsync");
  });
}

SIM_API cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
  return api(__func__, [&](Lock&) {
    if (pointer) free_async(pointer, stream);
  });
}

SIM_API cudaError_t cudaMemPoolCreate(cudaMemPool_t* handle, const cudaMemPoolProps* props) {
  return api(__func__, [&](Lock&) {
    check(handle && props, cudaErrorInvalidValue);
    check_location(&props->location, props->allocType);
    check(props->handleTypes == cudaMemHandleTypeNone, cudaErrorNotSupported);
    *handle = handle_of(pools().add(new_pool(props->location.id)));
  });
}

/// Allocations that are left stay usable; the device falls back to its default pool.
SIM_API cudaError_t cudaMemPoolDestroy(cudaMemPool_t handle) {
  return api(__func__, [&](Lock&) {
    Pool& pool = pool_of(handle);
    check(!pool.is_default, cudaErrorInvalidValue);
    DevicePools& all = pools_of(pool.device);
    if (all.current == &pool) all.current = all.initial;
    for (auto& [address, owner] : owners())
      if (owner == &pool) owner = nullptr;
    pools().take(handle, cudaErrorInvalidValue);
  });
}

SIM_API cudaError_t cudaMemPoolTrimTo(cudaMemPool_t handle, size_t) {
  return api(__func__, [&](Lock&) { pool_of(handle); });
}

SIM_API cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t handle, cudaMemPoolAttr attribute,
                                            void* value) {
  return api(__func__, [&](Lock&) {
    check(value, cudaErrorInvalidValue);
    get_attribute(pool_of(handle), attribute, value);
  });
}

SIM_API cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t handle, cudaMemPoolAttr attribute,
                                            void* value) {
  return api(__func__, [&](Lock&) {
    check(value, cudaErrorInvalidValue);
    set_attribute(pool_of(handle), attribute, value);
  });
}

SIM_API cudaError_t cudaMemPoolSetAccess(cudaMemPool_t handle, const cudaMemAccessDesc* list,
                                         size_t count) {
  return api(__func__, [&](Lock& lock) {
    const Pool& pool = pool_of(handle);
    check(count == 0 || list, cudaErrorInvalidValue);
    for (size_t i = 0; i < count; i++) check_access(pool, list[i]);
    if (settings().devices > 1) Executor::get().wait_all(lock, -1);  // it ran with what it had
    for (size_t i = 0; i < count; i++)
      let_reach(list[i].location.id, pool.owner, list[i].flags != cudaMemAccessFlagsProtNone);
  });
}

SIM_API cudaError_t cudaMemPoolGetAccess(cudaMemAccessFlags* flags, cudaMemPool_t handle,
                                         cudaMemLocation* location) {
  return api(__func__, [&](Lock&) {
    check(flags && location, cudaErrorInvalidValue);
    const Pool& pool = pool_of(handle);
    check(location->type == cudaMemLocationTypeDevice, cudaErrorInvalidValue);
    check_device(location->id);
    *flags = reaches(location->id, pool.owner) ? cudaMemAccessFlagsProtReadWrite
                                               : cudaMemAccessFlagsProtNone;
  });
}

SIM_API cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* handle, int device) {
  return api(__func__, [&](Lock&) {
    check(handle, cudaErrorInvalidValue);
    check_device(device);
    *handle = handle_of(pools_of(device).initial);
  });
}

SIM_API cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* handle, int device) {
  return api(__func__, [&](Lock&) {
    check(handle, cudaErrorInvalidValue);
    check_device(device);
    *handle = handle_of(pools_of(device).current);
  });
}

SIM_API cudaError_t cudaDeviceSetMemPool(int device, cudaMemPool_t handle) {
  return api(__func__, [&](Lock&) {
    check_device(device);
    Pool& pool = pool_of(handle);
    check(pool.device == device, cudaErrorInvalidValue);
    pools_of(device).current = &pool;
  });
}

SIM_API cudaError_t cudaMemGetDefaultMemPool(cudaMemPool_t* handle, cudaMemLocation* location,
                                             cudaMemAllocationType type) {
  return api(__func__, [&](Lock&) {
    check(handle, cudaErrorInvalidValue);
    check_location(location, type);
    *handle = handle_of(pools_of(location->id).initial);
  });
}

SIM_API cudaError_t cudaMemGetMemPool(cudaMemPool_t* handle, cudaMemLocation* location,
                                      cudaMemAllocationType type) {
  return api(__func__, [&](Lock&) {
    check(handle, cudaErrorInvalidValue);
    check_location(location, type);
    *handle = handle_of(pools_of(location->id).current);
  });
}

SIM_API cudaError_t cudaMemSetMemPool(cudaMemLocation* location, cudaMemAllocationType type,
                                      cudaMemPool_t handle) {
  return api(__func__, [&](Lock&) {
    check_location(location, type);
    Pool& pool = pool_of(handle);
    check(pool.device == location->id, cudaErrorInvalidValue);
    pools_of(location->id).current = &pool;
  });
}
