// What kind of memory a pointer of the program leads to.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>

#include "simulator/memory/transfer.h"
#include "simulator/stream/task.h"

namespace sim {

struct Stream;

/// Part of what cudaHostRegister was given.
bool is_registered(uint64_t address);

/// Checks that a copy may be asked for so: directions, pitches, ranges. Faults where the ranges are
/// not allocated; with SIM_CHECKS=off that is cudaErrorInvalidValue.
void check_copy(const Copy& copy, cudaMemcpyKind kind);
void check_fill(const Fill& fill);

/// Enqueues a checked copy. It waits as the manual's "API synchronization behavior" says.
void submit_copy(Lock& lock, Stream& stream, Copy copy, bool async);
void submit_fill(Lock& lock, Stream& stream, Fill fill, bool async);

}  // namespace sim
