// From a launch as the program writes it to one that is checked and can run.
#pragma once
#include <cuda_runtime_api.h>

#include "simulator/api/registry.h"
#include "simulator/stream/operation.h"

namespace sim {

/// Throws the code that a card gives for a launch that it cannot do.
KernelOp prepare_launch(const void* function, int device, dim3 grid, dim3 block, void** args,
                        uint64_t shared, bool cooperative = false);

/// Blocks of a kernel that an SM holds at once; 0 where not even one fits.
int resident_blocks(const KernelInfo& info, uint32_t registers, int threads,
                    uint64_t dynamic_shared);
/// Bytes of dynamic shared memory that the kernel may be launched with.
uint64_t allowed_dynamic_shared(const Kernel& kernel, const KernelInfo& info, int device);

}  // namespace sim
