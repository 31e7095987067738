// Devices and their properties.
#include <cstdio>
#include <cstring>

#include "simulator/api/api.h"
#include "simulator/api/pointers.h"
#include "simulator/api/registry.h"
#include "simulator/device/properties.h"
#include "simulator/device/settings.h"
#include "simulator/memory/heap.h"
#include "simulator/memory/memory.h"
#include "simulator/stream/capture.h"
#include "simulator/stream/graph.h"
#include "simulator/stream/stream.h"

using namespace sim;

namespace {

thread_local unsigned device_flags = 0;

size_t& limit(cudaLimit which) {
  static size_t limits[] = {1024, 1 << 20, size_t(heap_limit()), 0, 2048, 64, 0};
  check(which >= 0 && which < int(std::size(limits)), cudaErrorInvalidValue);
  check(which != cudaLimitDevRuntimeSyncDepth, cudaErrorUnsupportedLimit);
  return limits[which];
}

/// Whether cudaDeviceReset frees it.
bool ends_with_device(const Allocation& a) {
  return !is_variable(a) && a.name != "cudaHostRegister" && !a.name.ends_with("Async") &&
         !is_graph_memory(a.base);
}

}  // namespace

SIM_API cudaError_t cudaGetDeviceCount(int* count) {
  return api(__func__, [&](Lock&) {
    check(count, cudaErrorInvalidValue);
    *count = settings().devices;
  });
}

SIM_API cudaError_t cudaSetDevice(int device) {
  return api(__func__, [&](Lock&) {
    check_device(device);
    current_device() = device;
  });
}

SIM_API cudaError_t cudaGetDevice(int* device) {
  return api(__func__, [&](Lock&) {
    check(device, cudaErrorInvalidValue);
    *device = current_device();
  });
}

SIM_API cudaError_t cudaInitDevice(int device, unsigned device_flags, unsigned flags) {
  return api(__func__, [&](Lock&) {
    check_device(device);
    check((flags & ~unsigned(cudaInitDeviceFlagsAreValid)) == 0, cudaErrorInvalidValue);
    check(!flags || (device_flags & ~unsigned(cudaDeviceMask)) == 0, cudaErrorInvalidValue);
  });
}

SIM_API cudaError_t cudaSetValidDevices(int* devices, int count) {
  return api(__func__, [&](Lock&) {
    check(count >= 0 && count <= settings().devices, cudaErrorInvalidValue);
    check(count == 0 || devices, cudaErrorInvalidValue);
    for (int i = 0; i < count; i++) check_device(devices[i]);
  });
}

SIM_API cudaError_t cudaGetDeviceProperties(cudaDeviceProp* prop, int device) {
  return api(__func__, [&](Lock&) {
    check(prop, cudaErrorInvalidValue);
    check_device(device);
    *prop = properties_of(device_model(), device);
  });
}

SIM_API cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return api(__func__, [&](Lock&) {
    check(value, cudaErrorInvalidValue);
    check_device(device);
    const auto found = attribute_of(device_model(), device, attribute);
    check(found.has_value(), cudaErrorInvalidValue);
    *value = *found;
  });
}

SIM_API cudaError_t cudaChooseDevice(int* device, const cudaDeviceProp* prop) {
  return api(__func__, [&](Lock&) {
    check(device && prop, cudaErrorInvalidValue);
    *device = 0;
  });
}

SIM_API cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int device) {
  return api(__func__, [&](Lock&) {
    check(id && length > 12, cudaErrorInvalidValue);
    check_device(device);
    std::snprintf(id, size_t(length), "0000:%02x:00.0", unsigned(device + 1) & 0xff);
  });
}

SIM_API cudaError_t cudaDeviceGetByPCIBusId(int* device, const char* id) {
  return api(__func__, [&](Lock&) {
    check(device && id, cudaErrorInvalidValue);
    unsigned domain = 0, bus = 0, slot = 0;
    if (std::sscanf(id, "%x:%x:%x", &domain, &bus, &slot) != 3)
      std::sscanf(id, "%x:%x", &bus, &slot);
    check_device(int(bus) - 1);
    *device = int(bus) - 1;
  });
}

SIM_API cudaError_t cudaDeviceSynchronize() {
  return api(__func__, [&](Lock& lock) {
    check_device_sync(current_device());
    Executor::get().wait_all(lock, current_device());
  });
}

/// As the manual says: streams, events and memory are gone, but for stream-ordered memory, which
/// has to be freed still. Registered memory is the program's own. Variables have their first
/// values.
SIM_API cudaError_t cudaDeviceReset() {
  return api(__func__, [&](Lock& lock) {
    check_device_sync(current_device());
    Executor::get().wait_all(lock, current_device());
    destroy_streams_and_events(current_device());
    for (const Allocation& a : live_allocations())
      if (a.device == current_device() && ends_with_device(a))
        is_of_heap(a) ? heap_release(a.base) : release(a.base);
    reset_modules(current_device());
    for (int peer = 0; peer < settings().devices; peer++)
      let_reach(current_device(), uint8_t(kFirstDevice + peer), false);
  });
}

SIM_API cudaError_t cudaDeviceGetLimit(size_t* value, cudaLimit which) {
  return api(__func__, [&](Lock&) {
    check(value, cudaErrorInvalidValue);
    *value = limit(which);
  });
}

SIM_API cudaError_t cudaDeviceSetLimit(cudaLimit which, size_t value) {
  return api(__func__, [&](Lock&) {
    limit(which) = value;
    if (which == cudaLimitMallocHeapSize) set_heap_limit(value);
  });
}

SIM_API cudaError_t cudaDeviceGetCacheConfig(cudaFuncCache* config) {
  return api(__func__, [&](Lock&) {
    check(config, cudaErrorInvalidValue);
    *config = cudaFuncCachePreferNone;
  });
}

SIM_API cudaError_t cudaDeviceSetCacheConfig(cudaFuncCache) {
  return api(__func__, [](Lock&) {});
}

SIM_API cudaError_t cudaDeviceGetSharedMemConfig(cudaSharedMemConfig* config) {
  return api(__func__, [&](Lock&) {
    check(config, cudaErrorInvalidValue);
    *config = cudaSharedMemBankSizeFourByte;
  });
}

SIM_API cudaError_t cudaDeviceSetSharedMemConfig(cudaSharedMemConfig) {
  return api(__func__, [](Lock&) {});
}

SIM_API cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return api(__func__, [&](Lock&) {
    if (least) *least = 0;
    if (greatest) *greatest = -5;
  });
}

SIM_API cudaError_t cudaSetDeviceFlags(unsigned flags) {
  return api(__func__, [&](Lock&) {
    check((flags & ~unsigned(cudaDeviceMask)) == 0, cudaErrorInvalidValue);
    device_flags = flags;
  });
}

SIM_API cudaError_t cudaGetDeviceFlags(unsigned* flags) {
  return api(__func__, [&](Lock&) {
    check(flags, cudaErrorInvalidValue);
    *flags = device_flags | cudaDeviceMapHost;
  });
}

SIM_API cudaError_t cudaDriverGetVersion(int* version) {
  return api(__func__, [&](Lock&) {
    check(version, cudaErrorInvalidValue);
    *version = CUDART_VERSION;
  });
}

SIM_API cudaError_t cudaRuntimeGetVersion(int* version) {
  return api(__func__, [&](Lock&) {
    check(version, cudaErrorInvalidValue);
    *version = CUDART_VERSION;
  });
}

SIM_API cudaError_t cudaProfilerStart() { return cudaSuccess; }
SIM_API cudaError_t cudaProfilerStop() { return cudaSuccess; }
SIM_API cudaError_t cudaCtxResetPersistingL2Cache() { return cudaSuccess; }
