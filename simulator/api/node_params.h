// From what the program says of a node to the operation that it does.
#pragma once
#include <cuda_runtime_api.h>

#include "simulator/stream/graph.h"
#include "simulator/stream/operation.h"

namespace sim {

/// Each checks its parameters as the API's calls of the same kind do.
Operation kernel_node(const cudaKernelNodeParams* params, int device);
Operation copy_node(const cudaMemcpy3DParms* params, int device);
Operation copy_node(void* dst, const void* src, size_t bytes, cudaMemcpyKind kind, int device);
Operation fill_node(const cudaMemsetParams* params, int device);
Operation host_node(const cudaHostNodeParams* params, int device);
Operation event_node(cudaEvent_t event, bool record, int device);
/// The child is cloned: later changes of the original do not reach it.
Operation child_node(cudaGraph_t child, int device);

/// A node changes what it does, but not its kind.
void change(Node& node, Operation op);
void change(ExecNode& node, Operation op);

}  // namespace sim
