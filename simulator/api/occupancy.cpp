// How many blocks of a kernel an SM holds at once.
#include <algorithm>

#include "simulator/api/api.h"
#include "simulator/api/launch.h"
#include "simulator/device/model.h"

using namespace sim;

namespace {

void occupancy(int* blocks, const void* function, int threads, size_t dynamic_shared) {
  check(blocks && threads > 0, cudaErrorInvalidValue);
  const LoadedKernel k = load_kernel(function, current_device());
  *blocks = resident_blocks(k.info, threads, dynamic_shared);
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
    check(resident_blocks(k.info, threads, 0) >= blocks, cudaErrorInvalidValue);
    const uint64_t each = m.shared_per_sm / uint64_t(blocks) / m.shared_unit * m.shared_unit;
    const uint64_t taken = k.info.static_shared + m.shared_reserved;
    *bytes =
        std::min<uint64_t>(each > taken ? each - taken : 0, m.shared_optin - k.info.static_shared);
  });
}
