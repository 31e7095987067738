// Allocation and free nodes of graphs, and what graphs hold.
#include <algorithm>

#include "simulator/api/api.h"
#include "simulator/api/nodes.h"
#include "simulator/device/model.h"
#include "simulator/memory/memory.h"

using namespace sim;

namespace {

Graph& graph_of(cudaGraph_t handle) { return find_graph(handle); }

const AllocOp& alloc_of(cudaGraphNode_t node) {
  const auto* op = std::get_if<AllocOp>(&find_node(node).op.work);
  check(op, cudaErrorInvalidValue);
  return *op;
}

uint64_t* figure(int device, cudaGraphMemAttributeType attribute) {
  GraphMemory& m = graph_memory(device);
  switch (attribute) {
    case cudaGraphMemAttrUsedMemCurrent:
    case cudaGraphMemAttrReservedMemCurrent:
      return &m.used;
    case cudaGraphMemAttrUsedMemHigh:
    case cudaGraphMemAttrReservedMemHigh:
      return &m.used_high;
    default:
      fail(cudaErrorInvalidValue);
  }
}

}  // namespace

Node* sim::add_alloc_node(Graph& graph, const std::vector<Node*>& after,
                          const cudaMemPoolProps& pool, size_t bytes, void** address,
                          bool shared_too) {
  check(pool.allocType == cudaMemAllocationTypePinned && bytes > 0, cudaErrorInvalidValue);
  check(pool.handleTypes == cudaMemHandleTypeNone, cudaErrorNotSupported);
  check(pool.location.type == cudaMemLocationTypeDevice, cudaErrorNotSupported);
  check_device(pool.location.id);
  const int device = pool.location.id;
  const auto base =
      allocate_for(graph, bytes, device, "cudaGraphAddMemAllocNode", device_model().memory_bytes);
  check(base.has_value(), cudaErrorMemoryAllocation);
  if (shared_too) set_owner(*base, bytes, kNobody);
  *address = reinterpret_cast<void*>(*base);
  return add_node(graph, {device, AllocOp{*base, bytes}}, after);
}

/// Of memory that an allocation node gave, once in a graph.
Node* sim::add_free_node(Graph& graph, const std::vector<Node*>& after, void* pointer) {
  const auto address = reinterpret_cast<uint64_t>(pointer);
  check(is_graph_memory(address), cudaErrorInvalidValue);
  for (const auto& n : graph.nodes) {
    const auto* op = std::get_if<FreeOp>(&n->op.work);
    check(!op || op->address != address, cudaErrorInvalidValue);
  }
  return add_node(graph, {find_allocation(address)->device, FreeOp{address, true}}, after);
}

SIM_API cudaError_t cudaGraphAddMemAllocNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                             const cudaGraphNode_t* after, size_t count,
                                             cudaMemAllocNodeParams* p) {
  return api(__func__, [&](Lock&) {
    check(node && p, cudaErrorInvalidValue);
    *node = handle_of(add_alloc_node(graph_of(graph), nodes_of(after, count), p->poolProps,
                                     p->bytesize, &p->dptr, p->accessDescCount > 0));
  });
}

SIM_API cudaError_t cudaGraphAddMemFreeNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                            const cudaGraphNode_t* after, size_t count,
                                            void* pointer) {
  return api(__func__, [&](Lock&) {
    check(node, cudaErrorInvalidValue);
    *node = handle_of(add_free_node(graph_of(graph), nodes_of(after, count), pointer));
  });
}

SIM_API cudaError_t cudaGraphMemAllocNodeGetParams(cudaGraphNode_t node,
                                                   cudaMemAllocNodeParams* out) {
  return api(__func__, [&](Lock&) {
    check(out, cudaErrorInvalidValue);
    const AllocOp& op = alloc_of(node);
    *out = {};
    out->poolProps.allocType = cudaMemAllocationTypePinned;
    out->poolProps.location = {cudaMemLocationTypeDevice, find_node(node).op.device};
    out->bytesize = op.bytes;
    out->dptr = reinterpret_cast<void*>(op.address);
  });
}

SIM_API cudaError_t cudaGraphMemFreeNodeGetParams(cudaGraphNode_t node, void* out) {
  return api(__func__, [&](Lock&) {
    const auto* op = std::get_if<FreeOp>(&find_node(node).op.work);
    check(op && out, cudaErrorInvalidValue);
    *static_cast<void**>(out) = reinterpret_cast<void*>(op->address);
  });
}

/// Nothing is kept back that could be given back.
SIM_API cudaError_t cudaDeviceGraphMemTrim(int device) {
  return api(__func__, [&](Lock&) { check_device(device); });
}

SIM_API cudaError_t cudaDeviceGetGraphMemAttribute(int device, cudaGraphMemAttributeType attribute,
                                                   void* value) {
  return api(__func__, [&](Lock&) {
    check(value, cudaErrorInvalidValue);
    check_device(device);
    *static_cast<uint64_t*>(value) = *figure(device, attribute);
  });
}

/// The high marks can be set back to what is used now.
SIM_API cudaError_t cudaDeviceSetGraphMemAttribute(int device, cudaGraphMemAttributeType attribute,
                                                   void* value) {
  return api(__func__, [&](Lock&) {
    check(value && *static_cast<uint64_t*>(value) == 0, cudaErrorInvalidValue);
    check_device(device);
    const bool high =
        attribute == cudaGraphMemAttrUsedMemHigh || attribute == cudaGraphMemAttrReservedMemHigh;
    check(high, cudaErrorInvalidValue);
    *figure(device, attribute) = graph_memory(device).used;
  });
}
