#include "simulator/api/node_params.h"

#include "simulator/api/launch.h"
#include "simulator/api/pointers.h"
#include "simulator/report/api_error.h"
#include "simulator/stream/stream.h"

namespace sim {
namespace {

Place place_of(const cudaPitchedPtr& p, const cudaPos& at) {
  const size_t slice = p.pitch * p.ysize;
  return {reinterpret_cast<uint64_t>(p.ptr) + at.x + at.y * p.pitch + at.z * slice, p.pitch, slice};
}

void check_same_kind(const Operation& a, const Operation& b) {
  check(node_type(a) == node_type(b), cudaErrorInvalidValue);
}

}  // namespace

Operation kernel_node(const cudaKernelNodeParams* p, int device) {
  check(p && !p->extra, cudaErrorInvalidValue);
  return {device, prepare_launch(p->func, device, p->gridDim, p->blockDim, p->kernelParams,
                                 p->sharedMemBytes)};
}

Operation copy_node(const cudaMemcpy3DParms* p, int device) {
  check(p, cudaErrorInvalidValue);
  check(!p->srcArray && !p->dstArray, cudaErrorNotSupported);  // arrays are not simulated
  const Box box{p->extent.width, p->extent.height, p->extent.depth};
  Copy c{place_of(p->dstPtr, p->dstPos), place_of(p->srcPtr, p->srcPos), box, "a memcpy node",
         nullptr};
  check_copy(c, p->kind);
  return {device, std::move(c)};
}

Operation copy_node(void* dst, const void* src, size_t bytes, cudaMemcpyKind kind, int device) {
  const auto to = reinterpret_cast<uint64_t>(dst), from = reinterpret_cast<uint64_t>(src);
  Copy c{{to, bytes, bytes}, {from, bytes, bytes}, {bytes}, "a memcpy node", nullptr};
  check_copy(c, kind);
  return {device, std::move(c)};
}

Operation fill_node(const cudaMemsetParams* p, int device) {
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

Operation host_node(const cudaHostNodeParams* p, int device) {
  check(p && p->fn, cudaErrorInvalidValue);
  return {device, HostOp{p->fn, p->userData}};
}

Operation event_node(cudaEvent_t event, bool record, int device) {
  return {device, EventOp{&events().get(event, cudaErrorInvalidResourceHandle), record}};
}

Operation child_node(cudaGraph_t child, int device) {
  const Graph& graph = find_graph(child);
  check(!has_memory_nodes(graph), cudaErrorInvalidValue);
  return {device, GraphOp{clone(graph)}};
}

void change(Node& node, Operation op) {
  check_same_kind(op, node.op);
  node.op = std::move(op);
}

void change(ExecNode& node, Operation op) {
  check_same_kind(op, node.op);
  node.op = std::move(op);
}

}  // namespace sim
