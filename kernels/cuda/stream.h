// The stream and the error checks that launchers and the runtime share.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>

namespace noisette::cuda {

/// The calling thread's device.
int current_device();
/// The compute stream of the calling thread's device.
cudaStream_t stream();
/// Its stream for copies that overlap kernels (transfer.h).
cudaStream_t copy_stream();

/// Throws std::runtime_error "[name] text" unless status is success.
void check(cudaError_t status, const char* name);
/// Whether NOISETTE_SYNC=1 is set: every kernel is waited for, and none recorded, so that the one
/// that fails is named.
bool waits_for_kernels();
/// Throws for a kernel that could not be started, or fails where it is waited for.
void check_launch(const char* name, dim3 grid, dim3 block, std::size_t shared);

}  // namespace noisette::cuda
