// Nodes of graphs: adding one of each kind, and reading and changing what it does.
#include <algorithm>

#include "simulator/api/api.h"
#include "simulator/api/launch.h"
#include "simulator/api/nodes.h"
#include "simulator/api/pointers.h"
#include "simulator/stream/graph.h"

using namespace sim;

namespace {

Operation kernel_of(const cudaKernelNodeParams* p, int device) {
  check(p && !p->extra, cudaErrorInvalidValue);
  return {device, prepare_launch(p->func, device, p->gridDim, p->blockDim, p->kernelParams,
                                 p->sharedMemBytes)};
}

Place place_of(const cudaPitchedPtr& p, const cudaPos& at) {
  const size_t slice = p.pitch * p.ysize;
  return {reinterpret_cast<uint64_t>(p.ptr) + at.x + at.y * p.pitch + at.z * slice, p.pitch, slice};
}

Operation copy_of(const cudaMemcpy3DParms* p, int device) {
  check(p, cudaErrorInvalidValue);
  check(!p->srcArray && !p->dstArray, cudaErrorNotSupported);  // arrays are not simulated
  const Box box{p->extent.width, p->extent.height, p->extent.depth};
  Copy c{place_of(p->dstPtr, p->dstPos), place_of(p->srcPtr, p->srcPos), box, "a memcpy node",
         nullptr};
  check_copy(c, p->kind);
  return {device, std::move(c)};
}

Operation copy_of(void* dst, const void* src, size_t bytes, cudaMemcpyKind kind, int device) {
  const auto to = reinterpret_cast<uint64_t>(dst), from = reinterpret_cast<uint64_t>(src);
  Copy c{{to, bytes, bytes}, {from, bytes, bytes}, {bytes}, "a memcpy node", nullptr};
  check_copy(c, kind);
  return {device, std::move(c)};
}

Operation fill_of(const cudaMemsetParams* p, int device) {
  check(p, cudaErrorInvalidValue);
  const unsigned e = p->elementSize;
  check(e == 1 || e == 2 || e == 4, cudaErrorInvalidValue);
  const uint32_t value = e == 4 ? p->value : p->value & ((1u << (8 * e)) - 1);
  Fill f{{reinterpret_cast<uint64_t>(p->dst), p->pitch, p->pitch * p->height},
         {p->width * e, p->height},
         value,
         e,
         "a memset node"};
  check_fill(f);
  return {device, f};
}

Operation host_of(const cudaHostNodeParams* p, int device) {
  check(p && p->fn, cudaErrorInvalidValue);
  return {device, HostOp{p->fn, p->userData}};
}

template <class Make>
cudaError_t add(const char* call, cudaGraphNode_t* out, cudaGraph_t graph,
                const cudaGraphNode_t* after, size_t count, Make&& make) {
  return api(call, [&](Lock&) {
    check(out, cudaErrorInvalidValue);
    Graph& g = graphs().get(graph, cudaErrorInvalidValue);
    *out = handle_of(add_node(g, make(current_device()), nodes_of(after, count)));
  });
}

/// Changes what a node of a graph does; not its kind.
template <class Make>
cudaError_t set(const char* call, cudaGraphNode_t node, Make&& make) {
  return api(call, [&](Lock&) {
    Node& n = find_node(node);
    Operation op = make(n.op.device);
    check(op.work.index() == n.op.work.index(), cudaErrorInvalidValue);
    n.op = std::move(op);
  });
}

template <class Make>
cudaError_t set(const char* call, cudaGraphExec_t exec, cudaGraphNode_t node, Make&& make) {
  return api(call, [&](Lock&) {
    ExecNode& n = exec_node(graph_execs().get(exec, cudaErrorInvalidValue), find_node(node));
    Operation op = make(n.op.device);
    check(op.work.index() == n.op.work.index(), cudaErrorInvalidValue);
    n.op = std::move(op);
  });
}

template <class Op>
Op& work_of(cudaGraphNode_t node) {
  Op* op = std::get_if<Op>(&find_node(node).op.work);
  check(op, cudaErrorInvalidValue);
  return *op;
}

Event* event_of(cudaEvent_t event) { return &events().get(event, cudaErrorInvalidResourceHandle); }

}  // namespace

SIM_API cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                           const cudaGraphNode_t* after, size_t count,
                                           const cudaKernelNodeParams* p) {
  return add(__func__, node, graph, after, count, [&](int device) { return kernel_of(p, device); });
}

SIM_API cudaError_t cudaGraphAddMemcpyNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                           const cudaGraphNode_t* after, size_t count,
                                           const cudaMemcpy3DParms* p) {
  return add(__func__, node, graph, after, count, [&](int device) { return copy_of(p, device); });
}

SIM_API cudaError_t cudaGraphAddMemcpyNode1D(cudaGraphNode_t* node, cudaGraph_t graph,
                                             const cudaGraphNode_t* after, size_t count, void* dst,
                                             const void* src, size_t bytes, cudaMemcpyKind kind) {
  return add(__func__, node, graph, after, count,
             [&](int device) { return copy_of(dst, src, bytes, kind, device); });
}

SIM_API cudaError_t cudaGraphAddMemsetNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                           const cudaGraphNode_t* after, size_t count,
                                           const cudaMemsetParams* p) {
  return add(__func__, node, graph, after, count, [&](int device) { return fill_of(p, device); });
}

SIM_API cudaError_t cudaGraphAddHostNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                         const cudaGraphNode_t* after, size_t count,
                                         const cudaHostNodeParams* p) {
  return add(__func__, node, graph, after, count, [&](int device) { return host_of(p, device); });
}

SIM_API cudaError_t cudaGraphAddEmptyNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                          const cudaGraphNode_t* after, size_t count) {
  return add(__func__, node, graph, after, count, [](int device) { return Operation{device, {}}; });
}

/// The child is cloned: later changes of the original do not reach it.
SIM_API cudaError_t cudaGraphAddChildGraphNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                               const cudaGraphNode_t* after, size_t count,
                                               cudaGraph_t child) {
  return add(__func__, node, graph, after, count, [&](int device) {
    return Operation{device, GraphOp{clone(graphs().get(child, cudaErrorInvalidValue))}};
  });
}

SIM_API cudaError_t cudaGraphAddEventRecordNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                                const cudaGraphNode_t* after, size_t count,
                                                cudaEvent_t event) {
  return add(__func__, node, graph, after, count, [&](int device) {
    return Operation{device, EventOp{event_of(event), true}};
  });
}

SIM_API cudaError_t cudaGraphAddEventWaitNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                              const cudaGraphNode_t* after, size_t count,
                                              cudaEvent_t event) {
  return add(__func__, node, graph, after, count, [&](int device) {
    return Operation{device, EventOp{event_of(event), false}};
  });
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

SIM_API cudaError_t cudaGraphKernelNodeSetParams(cudaGraphNode_t node,
                                                 const cudaKernelNodeParams* p) {
  return set(__func__, node, [&](int device) { return kernel_of(p, device); });
}

SIM_API cudaError_t cudaGraphMemcpyNodeSetParams(cudaGraphNode_t node, const cudaMemcpy3DParms* p) {
  return set(__func__, node, [&](int device) { return copy_of(p, device); });
}

SIM_API cudaError_t cudaGraphMemcpyNodeSetParams1D(cudaGraphNode_t node, void* dst, const void* src,
                                                   size_t bytes, cudaMemcpyKind kind) {
  return set(__func__, node, [&](int device) { return copy_of(dst, src, bytes, kind, device); });
}

SIM_API cudaError_t cudaGraphMemsetNodeSetParams(cudaGraphNode_t node, const cudaMemsetParams* p) {
  return set(__func__, node, [&](int device) { return fill_of(p, device); });
}

SIM_API cudaError_t cudaGraphHostNodeSetParams(cudaGraphNode_t node, const cudaHostNodeParams* p) {
  return set(__func__, node, [&](int device) { return host_of(p, device); });
}

SIM_API cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                     const cudaKernelNodeParams* p) {
  return set(__func__, exec, node, [&](int device) { return kernel_of(p, device); });
}

SIM_API cudaError_t cudaGraphExecMemcpyNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                     const cudaMemcpy3DParms* p) {
  return set(__func__, exec, node, [&](int device) { return copy_of(p, device); });
}

SIM_API cudaError_t cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                       void* dst, const void* src, size_t bytes,
                                                       cudaMemcpyKind kind) {
  return set(__func__, exec, node,
             [&](int device) { return copy_of(dst, src, bytes, kind, device); });
}

SIM_API cudaError_t cudaGraphExecMemsetNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                     const cudaMemsetParams* p) {
  return set(__func__, exec, node, [&](int device) { return fill_of(p, device); });
}

SIM_API cudaError_t cudaGraphExecHostNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                   const cudaHostNodeParams* p) {
  return set(__func__, exec, node, [&](int device) { return host_of(p, device); });
}

SIM_API cudaError_t cudaGraphExecEventRecordNodeSetEvent(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                         cudaEvent_t event) {
  return set(__func__, exec, node, [&](int device) {
    return Operation{device, EventOp{event_of(event), true}};
  });
}

SIM_API cudaError_t cudaGraphExecEventWaitNodeSetEvent(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                       cudaEvent_t event) {
  return set(__func__, exec, node, [&](int device) {
    return Operation{device, EventOp{event_of(event), false}};
  });
}
