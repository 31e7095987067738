// Copy nodes to and from __device__ and __constant__ variables.
#include "simulator/api/api.h"
#include "simulator/api/node_params.h"
#include "simulator/api/nodes.h"
#include "simulator/api/registry.h"

using namespace sim;

namespace {

Operation to_symbol(const void* symbol, const void* src, size_t bytes, size_t offset,
                    cudaMemcpyKind kind, int device) {
  const uint64_t dst = part_of_symbol(symbol, bytes, offset, device);
  return copy_node(reinterpret_cast<void*>(dst), src, bytes, kind, device);
}

Operation from_symbol(void* dst, const void* symbol, size_t bytes, size_t offset,
                      cudaMemcpyKind kind, int device) {
  const uint64_t src = part_of_symbol(symbol, bytes, offset, device);
  return copy_node(dst, reinterpret_cast<const void*>(src), bytes, kind, device);
}

Node* add(cudaGraph_t graph, const cudaGraphNode_t* after, size_t count, Operation op) {
  return add_node(find_graph(graph), std::move(op), nodes_of(after, count));
}

ExecNode& exec_node_of(cudaGraphExec_t exec, cudaGraphNode_t node) {
  return exec_node(graph_execs().get(exec, cudaErrorInvalidValue), find_node(node));
}

}  // namespace

SIM_API cudaError_t cudaGraphAddMemcpyNodeToSymbol(cudaGraphNode_t* node, cudaGraph_t graph,
                                                   const cudaGraphNode_t* after, size_t count,
                                                   const void* symbol, const void* src,
                                                   size_t bytes, size_t offset,
                                                   cudaMemcpyKind kind) {
  return api(__func__, [&](Lock&) {
    check(node, cudaErrorInvalidValue);
    *node = handle_of(
        add(graph, after, count, to_symbol(symbol, src, bytes, offset, kind, current_device())));
  });
}

SIM_API cudaError_t cudaGraphAddMemcpyNodeFromSymbol(cudaGraphNode_t* node, cudaGraph_t graph,
                                                     const cudaGraphNode_t* after, size_t count,
                                                     void* dst, const void* symbol, size_t bytes,
                                                     size_t offset, cudaMemcpyKind kind) {
  return api(__func__, [&](Lock&) {
    check(node, cudaErrorInvalidValue);
    *node = handle_of(
        add(graph, after, count, from_symbol(dst, symbol, bytes, offset, kind, current_device())));
  });
}

SIM_API cudaError_t cudaGraphMemcpyNodeSetParamsToSymbol(cudaGraphNode_t node, const void* symbol,
                                                         const void* src, size_t bytes,
                                                         size_t offset, cudaMemcpyKind kind) {
  return api(__func__, [&](Lock&) {
    Node& n = find_node(node);
    change(n, to_symbol(symbol, src, bytes, offset, kind, n.op.device));
  });
}

SIM_API cudaError_t cudaGraphMemcpyNodeSetParamsFromSymbol(cudaGraphNode_t node, void* dst,
                                                           const void* symbol, size_t bytes,
                                                           size_t offset, cudaMemcpyKind kind) {
  return api(__func__, [&](Lock&) {
    Node& n = find_node(node);
    change(n, from_symbol(dst, symbol, bytes, offset, kind, n.op.device));
  });
}

SIM_API cudaError_t cudaGraphExecMemcpyNodeSetParamsToSymbol(cudaGraphExec_t exec,
                                                             cudaGraphNode_t node,
                                                             const void* symbol, const void* src,
                                                             size_t bytes, size_t offset,
                                                             cudaMemcpyKind kind) {
  return api(__func__, [&](Lock&) {
    ExecNode& n = exec_node_of(exec, node);
    change(n, to_symbol(symbol, src, bytes, offset, kind, n.op.device));
  });
}

SIM_API cudaError_t cudaGraphExecMemcpyNodeSetParamsFromSymbol(cudaGraphExec_t exec,
                                                               cudaGraphNode_t node, void* dst,
                                                               const void* symbol, size_t bytes,
                                                               size_t offset, cudaMemcpyKind kind) {
  return api(__func__, [&](Lock&) {
    ExecNode& n = exec_node_of(exec, node);
    change(n, from_symbol(dst, symbol, bytes, offset, kind, n.op.device));
  });
}
