// How many blocks of a kernel an SM holds at once.
#include <algorithm>

#include "simulator/api/api.h"
#include "simulator/api/launch.h"
#include "simulator/device/model.h"

using namespace sim;

namespace {

uint32_t registers_of(const LoadedKernel& k) {
  return resources_of(*k.program, k.info, device_model().arch()).registers;
}

void occupancy(int* blocks, const void* function, int threads, size_t dynamic_shared) {
  check(blocks && threads > 0, cudaErrorInvalidValue);
  const LoadedKernel k = load_kernel(function, current_device());
  const bool allowed = dynamic_shared <= allowed_dynamic_shared(k.kernel, k.info, current_device());
  *blocks = allowed ? resident_blocks(k.info, registers_of(k), threads, dynamic_shared) : 0;
}

/// Clusters of one block are all that is simulated.
int active_clusters(const void* function, const cudaLaunchConfig_t& config) {
  check(config.numAttrs == 0 || config.attrs, cudaErrorInvalidValue);
  for (unsigned i = 0; i < config.numAttrs; i++) {
    if (config.attrs[i].id != cudaLaunchAttributeClusterDimension) continue;
    const auto& c = config.attrs[i].val.clusterDim;
    check(c.x && c.y && c.z, cudaErrorInvalidClusterSize);
    check(c.x == 1 && c.y == 1 && c.z == 1, cudaErrorNotSupported);
  }
  int blocks = 0;
  const dim3& b = config.blockDim;
  occupancy(&blocks, function, int(b.x * b.y * b.z), config.dynamicSmemBytes);
  return blocks * device_model().sms;
}

}  // namespace

SIM_API cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function,
                                                                  int threads,
                                                                  size_t dynamic_shared) {
  return api(__func__, [&](Lock&) { occupancy(blocks, function, threads, dynamic_shared); });
}

SIM_API cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    int* blocks, const void* function, int threads, size_t dynamic_shared, unsigned flags) {
  return api(__func__, [&](Lock&) {
    check(flags <= cudaOccupancyDisableCachingOverride, cudaErrorInvalidValue);
    occupancy(blocks, function, threads, dynamic_shared);
  });
}

/// The most that still lets `blocks` blocks be resident.
SIM_API cudaError_t cudaOccupancyAvailableDynamicSMemPerBlock(size_t* bytes, const void* function,
                                                              int blocks, int threads) {
  return api(__func__, [&](Lock&) {
    check(bytes && blocks > 0 && threads > 0, cudaErrorInvalidValue);
    const LoadedKernel k = load_kernel(function, current_device());
    const DeviceModel& m = device_model();
    check(resident_blocks(k.info, registers_of(k), threads, 0) >= blocks, cudaErrorInvalidValue);
    const uint64_t each = m.shared_per_sm / uint64_t(blocks) / m.shared_unit * m.shared_unit;
    const uint64_t taken = k.info.static_shared + m.shared_reserved;
    *bytes = std::min<uint64_t>(each > taken ? each - taken : 0,
                                allowed_dynamic_shared(k.kernel, k.info, current_device()));
  });
}

SIM_API cudaError_t cudaOccupancyMaxPotentialClusterSize(int* size, const void* function,
                                                         const cudaLaunchConfig_t* config) {
  return api(__func__, [&](Lock&) {
    check(size && config, cudaErrorInvalidValue);
    load_kernel(function, current_device());
    *size = 1;
  });
}

SIM_API cudaError_t cudaOccupancyMaxActiveClusters(int* count, const void* function,
                                                   const cudaLaunchConfig_t* config) {
  return api(__func__, [&](Lock&) {
    check(count && config, cudaErrorInvalidValue);
    *count = active_clusters(function, *config);
  });
}
