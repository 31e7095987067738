// Hints about managed memory, which lies where it lies here; and what only the driver has.
#include "simulator/api/api.h"
#include "simulator/api/pointers.h"
#include "simulator/memory/memory.h"
#include "simulator/stream/stream.h"

using namespace sim;

void sim::check_managed_range(const void* pointer, size_t bytes) {
  const auto address = reinterpret_cast<uint64_t>(pointer);
  const auto a = find_allocation(address);
  check(a && a->kind == MemoryKind::managed && bytes > 0, cudaErrorInvalidValue);
  check(bytes <= a->base + a->bytes - address, cudaErrorInvalidValue);
}

namespace {

void check_location(const cudaMemLocation& location) {
  check(location.type >= cudaMemLocationTypeDevice &&
            location.type <= cudaMemLocationTypeHostNumaCurrent,
        cudaErrorInvalidValue);
  if (location.type == cudaMemLocationTypeDevice) check_device(location.id);
}

/// There is no driver: nothing is found, which is a result and not an error.
void no_entry(const char* symbol, void** function, cudaDriverEntryPointQueryResult* result) {
  check(symbol && function, cudaErrorInvalidValue);
  *function = nullptr;
  check(result, cudaErrorSymbolNotFound);
  *result = cudaDriverEntryPointSymbolNotFound;
}

}  // namespace

SIM_API cudaError_t cudaMemAdvise(const void* pointer, size_t bytes, cudaMemoryAdvise advice,
                                  cudaMemLocation location) {
  return api(__func__, [&](Lock&) {
    check_managed_range(pointer, bytes);
    check(advice >= cudaMemAdviseSetReadMostly && advice <= cudaMemAdviseUnsetAccessedBy,
          cudaErrorInvalidValue);
    const bool anywhere = advice == cudaMemAdviseSetReadMostly ||
                          advice == cudaMemAdviseUnsetReadMostly ||
                          advice == cudaMemAdviseUnsetPreferredLocation;
    if (!anywhere) check_location(location);
    note_advice(pointer, bytes, advice, location);
  });
}

SIM_API cudaError_t cudaMemPrefetchAsync(const void* pointer, size_t bytes,
                                         cudaMemLocation location, unsigned flags,
                                         cudaStream_t stream) {
  return api(__func__, [&](Lock&) {
    check(flags == 0, cudaErrorInvalidValue);
    check_managed_range(pointer, bytes);
    check_location(location);
    Stream& s = find_stream(stream, current_device());
    note_prefetch(pointer, bytes, location);
    enqueue(s, {s.device, {}});
  });
}

SIM_API cudaError_t cudaGetDriverEntryPoint(const char* symbol, void** function, unsigned long long,
                                            cudaDriverEntryPointQueryResult* result) {
  return api(__func__, [&](Lock&) { no_entry(symbol, function, result); });
}

SIM_API cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned,
                                                     unsigned long long,
                                                     cudaDriverEntryPointQueryResult* result) {
  return api(__func__, [&](Lock&) { no_entry(symbol, function, result); });
}
