// Changing what nodes do: of a graph, and of what was made of one.
#include "simulator/api/api.h"
#include "simulator/api/node_params.h"
#include "simulator/api/nodes.h"

using namespace sim;

namespace {

template <class Make>
cudaError_t set(const char* call, cudaGraphNode_t node, Make&& make) {
  return api(call, [&](Lock&) {
    Node& n = find_node(node);
    change(n, make(n.op.device));
  });
}

template <class Make>
cudaError_t set(const char* call, cudaGraphExec_t exec, cudaGraphNode_t node, Make&& make) {
  return api(call, [&](Lock&) {
    ExecNode& n = exec_node(graph_execs().get(exec, cudaErrorInvalidValue), find_node(node));
    change(n, make(n.op.device));
  });
}

}  // namespace

SIM_API cudaError_t cudaGraphKernelNodeSetParams(cudaGraphNode_t node,
                                                 const cudaKernelNodeParams* p) {
  return set(__func__, node, [&](int device) { return kernel_node(p, device); });
}

SIM_API cudaError_t cudaGraphMemcpyNodeSetParams(cudaGraphNode_t node, const cudaMemcpy3DParms* p) {
  return set(__func__, node, [&](int device) { return copy_node(p, device); });
}

SIM_API cudaError_t cudaGraphMemcpyNodeSetParams1D(cudaGraphNode_t node, void* dst, const void* src,
                                                   size_t bytes, cudaMemcpyKind kind) {
  return set(__func__, node, [&](int device) { return copy_node(dst, src, bytes, kind, device); });
}

SIM_API cudaError_t cudaGraphMemsetNodeSetParams(cudaGraphNode_t node, const cudaMemsetParams* p) {
  return set(__func__, node, [&](int device) { return fill_node(p, device); });
}

SIM_API cudaError_t cudaGraphHostNodeSetParams(cudaGraphNode_t node, const cudaHostNodeParams* p) {
  return set(__func__, node, [&](int device) { return host_node(p, device); });
}

SIM_API cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                     const cudaKernelNodeParams* p) {
  return set(__func__, exec, node, [&](int device) { return kernel_node(p, device); });
}

SIM_API cudaError_t cudaGraphExecMemcpyNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                     const cudaMemcpy3DParms* p) {
  return set(__func__, exec, node, [&](int device) { return copy_node(p, device); });
}

SIM_API cudaError_t cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                       void* dst, const void* src, size_t bytes,
                                                       cudaMemcpyKind kind) {
  return set(__func__, exec, node,
             [&](int device) { return copy_node(dst, src, bytes, kind, device); });
}

SIM_API cudaError_t cudaGraphExecMemsetNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                     const cudaMemsetParams* p) {
  return set(__func__, exec, node, [&](int device) { return fill_node(p, device); });
}

SIM_API cudaError_t cudaGraphExecHostNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                   const cudaHostNodeParams* p) {
  return set(__func__, exec, node, [&](int device) { return host_node(p, device); });
}

SIM_API cudaError_t cudaGraphExecEventRecordNodeSetEvent(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                         cudaEvent_t event) {
  return set(__func__, exec, node, [&](int device) { return event_node(event, true, device); });
}

SIM_API cudaError_t cudaGraphExecEventWaitNodeSetEvent(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                       cudaEvent_t event) {
  return set(__func__, exec, node, [&](int device) { return event_node(event, false, device); });
}

SIM_API cudaError_t cudaGraphEventRecordNodeSetEvent(cudaGraphNode_t node, cudaEvent_t event) {
  return set(__func__, node, [&](int device) { return event_node(event, true, device); });
}

SIM_API cudaError_t cudaGraphEventWaitNodeSetEvent(cudaGraphNode_t node, cudaEvent_t event) {
  return set(__func__, node, [&](int device) { return event_node(event, false, device); });
}
