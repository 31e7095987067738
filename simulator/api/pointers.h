// What kind of memory a pointer of the program leads to.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>

#include "simulator/memory/transfer.h"
#include "simulator/stream/task.h"

namespace sim {

struct Stream;

/// Part of what cudaHostRegister was given.
bool is_registered(uint64_t address);
/// Where kernels reach registered memory; null before cudaHostGetDevicePointer asked for it.
void* device_view(uint64_t address);
/// What cudaHostAlloc was asked for, by address.
std::map<uint64_t, unsigned>& pinned_flags();

/// Checks that a copy may be asked for so: directions, pitches, ranges. Faults where the ranges are
/// not allocated; with SIM_CHECKS=off that is cudaErrorInvalidValue.
void check_copy(const Copy& copy, cudaMemcpyKind kind);
void check_fill(const Fill& fill);

/// Throws the Fault of freeing what was freed before.
[[noreturn]] void report_double_free(const char* call, uint64_t address);
/// Stream-ordered memory that is about to be freed leaves its pool. False for any other memory.
bool leave_pool(uint64_t address);

/// cudaErrorInvalidValue for a range that is not all of one managed allocation.
void check_managed_range(const void* pointer, size_t bytes);
/// Advice and prefetches that cudaMemRangeGetAttribute tells of; forgotten when memory is new.
void note_advice(const void* pointer, size_t bytes, cudaMemoryAdvise advice,
                 const cudaMemLocation& location);
void note_prefetch(const void* pointer, size_t bytes, const cudaMemLocation& location);
void forget_advice(uint64_t base, uint64_t bytes);
/// Reads what a copy is to bring now: later the program may have changed it.
void take_source(Copy& copy);

/// Enqueues a checked copy. It waits as the manual's "API synchronization behavior" says.
void submit_copy(Lock& lock, Stream& stream, Copy copy, bool async);
void submit_fill(Lock& lock, Stream& stream, Fill fill, bool async);

}  // namespace sim
