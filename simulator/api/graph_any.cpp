// Nodes of any kind by one call, and the attributes of kernel nodes.
#include "simulator/api/api.h"
#include "simulator/api/node_params.h"
#include "simulator/api/nodes.h"

using namespace sim;

namespace {

/// Everything but memory nodes, whose making gives an address.
Operation operation_of(const cudaGraphNodeParams* p, int device) {
  check(p, cudaErrorInvalidValue);
  switch (p->type) {
    case cudaGraphNodeTypeKernel: {
      const auto& k = p->kernel;
      const cudaKernelNodeParams params = {k.func,           k.gridDim,      k.blockDim,
                                           k.sharedMemBytes, k.kernelParams, k.extra};
      return kernel_node(&params, device);
    }
    case cudaGraphNodeTypeMemcpy:
      check(p->memcpy.flags == 0, cudaErrorInvalidValue);
      return copy_node(&p->memcpy.copyParams, device);
    case cudaGraphNodeTypeMemset: {
      const auto& m = p->memset;
      const cudaMemsetParams params = {m.dst, m.pitch, m.value, m.elementSize, m.width, m.height};
      return fill_node(&params, device);
    }
    case cudaGraphNodeTypeHost: {
      const cudaHostNodeParams params = {p->host.fn, p->host.userData};
      return host_node(&params, device);
    }
    case cudaGraphNodeTypeGraph:
      check(p->graph.ownership == cudaGraphChildGraphOwnershipClone, cudaErrorNotSupported);
      return child_node(p->graph.graph, device);
    case cudaGraphNodeTypeEmpty:
      return {device, {}};
    case cudaGraphNodeTypeWaitEvent:
      return event_node(p->eventWait.event, false, device);
    case cudaGraphNodeTypeEventRecord:
      return event_node(p->eventRecord.event, true, device);
    default:
      fail(cudaErrorNotSupported);
  }
}

Node* add_any(Graph& graph, const std::vector<Node*>& after, cudaGraphNodeParams& p) {
  if (p.type == cudaGraphNodeTypeMemAlloc)
    return add_alloc_node(graph, after, p.alloc.poolProps, p.alloc.bytesize, &p.alloc.dptr,
                          p.alloc.accessDescCount > 0);
  if (p.type == cudaGraphNodeTypeMemFree) return add_free_node(graph, after, p.free.dptr);
  return add_node(graph, operation_of(&p, current_device()), after);
}

void check_kernel(cudaGraphNode_t node) {
  check(node_type(find_node(node).op) == cudaGraphNodeTypeKernel, cudaErrorInvalidValue);
}

}  // namespace

SIM_API cudaError_t cudaGraphAddNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                     const cudaGraphNode_t* after, const cudaGraphEdgeData*,
                                     size_t count, cudaGraphNodeParams* p) {
  return api(__func__, [&](Lock&) {
    check(node && p, cudaErrorInvalidValue);
    Graph& g = find_graph(graph);
    *node = handle_of(add_any(g, nodes_of(after, count), *p));
  });
}

SIM_API cudaError_t cudaGraphNodeSetParams(cudaGraphNode_t node, cudaGraphNodeParams* p) {
  return api(__func__, [&](Lock&) {
    Node& n = find_node(node);
    change(n, operation_of(p, n.op.device));
  });
}

SIM_API cudaError_t cudaGraphExecNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                               cudaGraphNodeParams* p) {
  return api(__func__, [&](Lock&) {
    ExecNode& n = exec_node(graph_execs().get(exec, cudaErrorInvalidValue), find_node(node));
    check(node_type(n.op) != cudaGraphNodeTypeGraph, cudaErrorNotSupported);
    change(n, operation_of(p, n.op.device));
  });
}

/// The graph inside of the node, which may be read and changed but not destroyed.
SIM_API cudaError_t cudaGraphChildGraphNodeGetGraph(cudaGraphNode_t node, cudaGraph_t* out) {
  return api(__func__, [&](Lock&) {
    const auto* op = std::get_if<GraphOp>(&find_node(node).op.work);
    check(op && out, cudaErrorInvalidValue);
    *out = reinterpret_cast<cudaGraph_t>(op->graph.get());
  });
}

SIM_API cudaError_t cudaGraphExecChildGraphNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                         cudaGraph_t child) {
  return api(__func__, [&](Lock&) {
    ExecNode& n = exec_node(graph_execs().get(exec, cudaErrorInvalidValue), find_node(node));
    check(node_type(n.op) == cudaGraphNodeTypeGraph, cudaErrorInvalidValue);
    cudaGraphExecUpdateResultInfo info = {};
    check(update(n, find_graph(child), info), cudaErrorGraphExecUpdateFailure);
  });
}

/// Hints of kernel nodes are accepted and have no effect.
SIM_API cudaError_t cudaGraphKernelNodeSetAttribute(cudaGraphNode_t node, cudaLaunchAttributeID,
                                                    const cudaLaunchAttributeValue* value) {
  return api(__func__, [&](Lock&) {
    check(value, cudaErrorInvalidValue);
    check_kernel(node);
  });
}

SIM_API cudaError_t cudaGraphKernelNodeGetAttribute(cudaGraphNode_t node, cudaLaunchAttributeID id,
                                                    cudaLaunchAttributeValue* value) {
  return api(__func__, [&](Lock&) {
    check(value, cudaErrorInvalidValue);
    check_kernel(node);
    *value = {};
    const auto& op = std::get<KernelOp>(find_node(node).op.work);
    if (id == cudaLaunchAttributeCooperative) value->cooperative = op.launch.cooperative;
  });
}

SIM_API cudaError_t cudaGraphKernelNodeCopyAttributes(cudaGraphNode_t dst, cudaGraphNode_t src) {
  return api(__func__, [&](Lock&) {
    check_kernel(dst);
    check_kernel(src);
  });
}
