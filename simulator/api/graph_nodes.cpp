// Nodes of graphs: adding one of each kind, and reading what it does.
#include "simulator/api/api.h"
#include "simulator/api/node_params.h"
#include "simulator/api/nodes.h"

using namespace sim;

namespace {

template <class Make>
cudaError_t add(const char* call, cudaGraphNode_t* out, cudaGraph_t graph,
                const cudaGraphNode_t* after, size_t count, Make&& make) {
  return api(call, [&](Lock&) {
    check(out, cudaErrorInvalidValue);
    Graph& g = find_graph(graph);
    *out = handle_of(add_node(g, make(current_device()), nodes_of(after, count)));
  });
}

template <class Op>
Op& work_of(cudaGraphNode_t node) {
  Op* op = std::get_if<Op>(&find_node(node).op.work);
  check(op, cudaErrorInvalidValue);
  return *op;
}

}  // namespace

SIM_API cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                           const cudaGraphNode_t* after, size_t count,
                                           const cudaKernelNodeParams* p) {
  return add(__func__, node, graph, after, count,
             [&](int device) { return kernel_node(p, device); });
}

SIM_API cudaError_t cudaGraphAddMemcpyNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                           const cudaGraphNode_t* after, size_t count,
                                           const cudaMemcpy3DParms* p) {
  return add(__func__, node, graph, after, count, [&](int device) { return copy_node(p, device); });
}

SIM_API cudaError_t cudaGraphAddMemcpyNode1D(cudaGraphNode_t* node, cudaGraph_t graph,
                                             const cudaGraphNode_t* after, size_t count, void* dst,
                                             const void* src, size_t bytes, cudaMemcpyKind kind) {
  return add(__func__, node, graph, after, count,
             [&](int device) { return copy_node(dst, src, bytes, kind, device); });
}

SIM_API cudaError_t cudaGraphAddMemsetNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                           const cudaGraphNode_t* after, size_t count,
                                           const cudaMemsetParams* p) {
  return add(__func__, node, graph, after, count, [&](int device) { return fill_node(p, device); });
}

SIM_API cudaError_t cudaGraphAddHostNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                         const cudaGraphNode_t* after, size_t count,
                                         const cudaHostNodeParams* p) {
  return add(__func__, node, graph, after, count, [&](int device) { return host_node(p, device); });
}

SIM_API cudaError_t cudaGraphAddEmptyNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                          const cudaGraphNode_t* after, size_t count) {
  return add(__func__, node, graph, after, count, [](int device) { return Operation{device, {}}; });
}

SIM_API cudaError_t cudaGraphAddChildGraphNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                               const cudaGraphNode_t* after, size_t count,
                                               cudaGraph_t child) {
  return add(__func__, node, graph, after, count,
             [&](int device) { return child_node(child, device); });
}

SIM_API cudaError_t cudaGraphAddEventRecordNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                                const cudaGraphNode_t* after, size_t count,
                                                cudaEvent_t event) {
  return add(__func__, node, graph, after, count,
             [&](int device) { return event_node(event, true, device); });
}

SIM_API cudaError_t cudaGraphAddEventWaitNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                              const cudaGraphNode_t* after, size_t count,
                                              cudaEvent_t event) {
  return add(__func__, node, graph, after, count,
             [&](int device) { return event_node(event, false, device); });
}

SIM_API cudaError_t cudaGraphKernelNodeGetParams(cudaGraphNode_t node, cudaKernelNodeParams* out) {
  return api(__func__, [&](Lock&) {
    check(out, cudaErrorInvalidValue);
    auto& op = work_of<KernelOp>(node);
    Node& n = find_node(node);
    const KernelInfo* info = find_kernel(*op.launch.program, op.launch.kernel);
    n.params.clear();
    for (uint64_t offset : info->param_offsets)
      n.params.push_back(op.launch.params.data() + offset);
    *out = {};
    out->func = const_cast<void*>(op.function);
    out->gridDim = {op.launch.grid.x, op.launch.grid.y, op.launch.grid.z};
    out->blockDim = {op.launch.block.x, op.launch.block.y, op.launch.block.z};
    out->sharedMemBytes = unsigned(op.launch.dynamic_shared);
    out->kernelParams = n.params.data();
  });
}

SIM_API cudaError_t cudaGraphMemsetNodeGetParams(cudaGraphNode_t node, cudaMemsetParams* out) {
  return api(__func__, [&](Lock&) {
    check(out, cudaErrorInvalidValue);
    const auto& f = work_of<Fill>(node);
    *out = {reinterpret_cast<void*>(f.dst.address),
            f.dst.pitch,
            f.value,
            f.element,
            f.box.width / f.element,
            f.box.height};
  });
}

SIM_API cudaError_t cudaGraphMemcpyNodeGetParams(cudaGraphNode_t node, cudaMemcpy3DParms* out) {
  return api(__func__, [&](Lock&) {
    check(out, cudaErrorInvalidValue);
    const auto& c = work_of<Copy>(node);
    auto pitched = [&](const Place& p) {
      const size_t rows = p.pitch ? p.slice / p.pitch : 0;
      return cudaPitchedPtr{reinterpret_cast<void*>(p.address), p.pitch, c.box.width, rows};
    };
    *out = {};
    out->dstPtr = pitched(c.dst);
    out->srcPtr = pitched(c.src);
    out->extent = {c.box.width, c.box.height, c.box.depth};
    out->kind = cudaMemcpyDefault;
  });
}

SIM_API cudaError_t cudaGraphHostNodeGetParams(cudaGraphNode_t node, cudaHostNodeParams* out) {
  return api(__func__, [&](Lock&) {
    check(out, cudaErrorInvalidValue);
    const auto& h = work_of<HostOp>(node);
    *out = {h.function, h.data};
  });
}

SIM_API cudaError_t cudaGraphEventRecordNodeGetEvent(cudaGraphNode_t node, cudaEvent_t* out) {
  return api(__func__, [&](Lock&) {
    check(out, cudaErrorInvalidValue);
    *out = reinterpret_cast<cudaEvent_t>(work_of<EventOp>(node).event);
  });
}

SIM_API cudaError_t cudaGraphEventWaitNodeGetEvent(cudaGraphNode_t node, cudaEvent_t* out) {
  return cudaGraphEventRecordNodeGetEvent(node, out);
}
