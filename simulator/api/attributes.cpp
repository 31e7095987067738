// Attributes of kernels.
#include <algorithm>

#include "simulator/api/api.h"
#include "simulator/api/launch.h"
#include "simulator/device/model.h"
#include "simulator/device/occupancy.h"

using namespace sim;

namespace {

void set_attribute(Kernel& kernel, const KernelInfo& info, cudaFuncAttribute attribute, int value,
                   int device) {
  const uint64_t room = device_model().shared_optin -
                        std::min<uint64_t>(device_model().shared_optin, info.static_shared);
  switch (attribute) {
    case cudaFuncAttributeMaxDynamicSharedMemorySize:
      check(value >= 0 && uint64_t(value) <= room, cudaErrorInvalidValue);
      kernel.dynamic_shared[device] = value;
      return;
    case cudaFuncAttributePreferredSharedMemoryCarveout:
      check(value >= -1 && value <= 100, cudaErrorInvalidValue);
      kernel.carveout = value;
      return;
    case cudaFuncAttributeNonPortableClusterSizeAllowed:
      return;
    default:
      fail(cudaErrorInvalidValue);
  }
}

}  // namespace

SIM_API cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* out, const void* function) {
  return api(__func__, [&](Lock&) {
    check(out, cudaErrorInvalidValue);
    const LoadedKernel k = load_kernel(function, current_device());
    const DeviceModel& m = device_model();
    const Resources r = resources_of(*k.program, k.info, m.arch());
    *out = {};
    out->sharedSizeBytes = k.info.static_shared;
    out->constSizeBytes = k.info.const_bytes;  // __constant__ variables that the kernel names
    out->localSizeBytes = r.local_bytes;
    out->maxThreadsPerBlock = int(
        std::min({k.info.max_threads, m.threads_per_block, threads_by_registers(m, r.registers)}));
    out->numRegs = int(r.registers);
    out->ptxVersion = int(k.info.arch);
    out->binaryVersion = m.arch();
    out->maxDynamicSharedSizeBytes =
        int(allowed_dynamic_shared(k.kernel, k.info, current_device()));
    out->preferredShmemCarveout = k.kernel.carveout;
  });
}

SIM_API cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute,
                                         int value) {
  return api(__func__, [&](Lock&) {
    const int device = current_device();
    const LoadedKernel k = load_kernel(function, device);
    set_attribute(k.kernel, k.info, attribute, value, device);
  });
}

SIM_API cudaError_t cudaKernelSetAttributeForDevice(cudaKernel_t kernel,
                                                    cudaFuncAttribute attribute, int value,
                                                    int device) {
  return api(__func__, [&](Lock&) {
    check_device(device);
    const LoadedKernel k = load_kernel(kernel, device);
    set_attribute(k.kernel, k.info, attribute, value, device);
  });
}

SIM_API cudaError_t cudaFuncSetCacheConfig(const void* function, cudaFuncCache) {
  return api(__func__, [&](Lock&) { find_kernel(function); });
}

SIM_API cudaError_t cudaFuncSetSharedMemConfig(const void* function, cudaSharedMemConfig) {
  return api(__func__, [&](Lock&) { find_kernel(function); });
}

SIM_API cudaError_t cudaFuncGetName(const char** name, const void* function) {
  return api(__func__, [&](Lock&) {
    check(name, cudaErrorInvalidValue);
    *name = find_kernel(function).name.c_str();
  });
}

SIM_API cudaError_t cudaFuncGetParamInfo(const void* function, size_t index, size_t* offset,
                                         size_t* size) {
  return api(__func__, [&](Lock&) {
    const LoadedKernel k = load_kernel(function, current_device());
    check(offset && index < k.info.param_sizes.size(), cudaErrorInvalidValue);
    *offset = k.info.param_offsets[index];
    if (size) *size = k.info.param_sizes[index];
  });
}

SIM_API cudaError_t cudaGetKernel(cudaKernel_t* handle, const void* function) {
  return api(__func__, [&](Lock&) {
    check(handle, cudaErrorInvalidValue);
    *handle = reinterpret_cast<cudaKernel_t>(&find_kernel(function));
  });
}

SIM_API cudaError_t cudaGetFuncBySymbol(cudaFunction_t* handle, const void* function) {
  return api(__func__, [&](Lock&) {
    check(handle, cudaErrorInvalidValue);
    *handle = reinterpret_cast<cudaFunction_t>(&load_kernel(function, current_device()).kernel);
  });
}
