// The heap that malloc and free of kernels use: CUDA programming guide, "Dynamic global memory
// allocation". It has a fixed size, beyond which malloc gives a null pointer.
#pragma once
#include <cstdint>
#include <optional>

#include "simulator/memory/memory.h"

namespace sim {

/// Bytes that kernels of a device may hold, cudaLimitMallocHeapSize; 8 MiB at first.
uint64_t heap_limit();
void set_heap_limit(uint64_t bytes);

/// Nothing where the limit would be passed.
std::optional<uint64_t> heap_allocate(uint64_t bytes, int device);
FreeResult heap_release(uint64_t address);
/// Whether malloc of a kernel gave it.
bool is_of_heap(const Allocation& a);

}  // namespace sim
