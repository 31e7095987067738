// Streams and capture.
#include "simulator/stream/stream.h"

#include <algorithm>
#include <map>

#include "simulator/api/api.h"
#include "simulator/api/nodes.h"
#include "simulator/memory/memory.h"
#include "simulator/stream/capture.h"

using namespace sim;

namespace {

Stream& stream_of(cudaStream_t handle) { return find_stream(handle, current_device()); }

void create(cudaStream_t* out, unsigned flags, int priority) {
  check(out && (flags & ~unsigned(cudaStreamNonBlocking)) == 0, cudaErrorInvalidValue);
  Stream* s = create_stream(current_device(), flags, std::clamp(priority, -5, 0));
  *out = reinterpret_cast<cudaStream_t>(s);
}

cudaStreamCaptureStatus status_of(const Stream& s) {
  if (!s.capture) return cudaStreamCaptureStatusNone;
  return s.capture->invalid ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
}

}  // namespace

SIM_API cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return api(__func__, [&](Lock&) { create(stream, cudaStreamDefault, 0); });
}

SIM_API cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return api(__func__, [&](Lock&) { create(stream, flags, 0); });
}

SIM_API cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags,
                                                 int priority) {
  return api(__func__, [&](Lock&) { create(stream, flags, priority); });
}

/// Work that is left runs all the same, when something waits for it.
SIM_API cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return api(__func__, [&](Lock&) { destroy_stream(stream); });
}

SIM_API cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return api(__func__, [&](Lock& lock) {
    Stream& s = stream_of(stream);
    check_sync(s);
    Executor::get().wait(lock, marker(s));
  });
}

SIM_API cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return api(__func__, [&](Lock& lock) {
    Stream& s = stream_of(stream);
    check_sync(s);
    check(Executor::get().poll(lock, marker(s)), cudaErrorNotReady);
  });
}

SIM_API cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  return api(__func__, [&](Lock&) {
    check((flags & ~unsigned(cudaEventWaitExternal)) == 0, cudaErrorInvalidValue);
    Event& e = events().get(event, cudaErrorInvalidResourceHandle);
    Stream& s = stream_of(stream);
    if (flags == cudaEventWaitExternal) {
      check(s.capture != nullptr, cudaErrorIllegalState);
      capture_operation(s, {s.device, EventOp{&e, false}});
    } else {
      wait_event(s, e);
    }
  });
}

SIM_API cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  return api(__func__, [&](Lock&) {
    check(priority, cudaErrorInvalidValue);
    *priority = stream_of(stream).priority;
  });
}

SIM_API cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned* flags) {
  return api(__func__, [&](Lock&) {
    check(flags, cudaErrorInvalidValue);
    *flags = stream_of(stream).flags;
  });
}

SIM_API cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long* id) {
  return api(__func__, [&](Lock&) {
    check(id, cudaErrorInvalidValue);
    const Stream& s = stream_of(stream);
    *id = s.legacy ? 1 : s.id;
  });
}

SIM_API cudaError_t cudaStreamGetDevice(cudaStream_t stream, int* device) {
  return api(__func__, [&](Lock&) {
    check(device, cudaErrorInvalidValue);
    *device = stream_of(stream).device;
  });
}

/// Of all of an allocation, which its length may say or 0. To a stream only where it has a handle.
SIM_API cudaError_t cudaStreamAttachMemAsync(cudaStream_t stream, void* pointer, size_t bytes,
                                             unsigned flags) {
  return api(__func__, [&](Lock&) {
    Stream& s = stream_of(stream);
    const auto address = reinterpret_cast<uint64_t>(pointer);
    const auto a = find_allocation(address);
    check(a && a->kind == MemoryKind::managed && a->base == address, cudaErrorInvalidValue);
    check(bytes == 0 || bytes == a->bytes, cudaErrorInvalidValue);
    check(
        flags == cudaMemAttachGlobal || flags == cudaMemAttachHost || flags == cudaMemAttachSingle,
        cudaErrorInvalidValue);
    check(flags != cudaMemAttachSingle || !s.legacy, cudaErrorInvalidValue);
    enqueue(s, {s.device, {}});
  });
}

/// Hints of streams are accepted and have no effect.
SIM_API cudaError_t cudaStreamSetAttribute(cudaStream_t stream, cudaLaunchAttributeID,
                                           const cudaLaunchAttributeValue* value) {
  return api(__func__, [&](Lock&) {
    check(value, cudaErrorInvalidValue);
    stream_of(stream);
  });
}

SIM_API cudaError_t cudaStreamGetAttribute(cudaStream_t stream, cudaLaunchAttributeID id,
                                           cudaLaunchAttributeValue* value) {
  return api(__func__, [&](Lock&) {
    check(value, cudaErrorInvalidValue);
    const Stream& s = stream_of(stream);
    *value = {};
    if (id == cudaLaunchAttributePriority) value->priority = s.priority;
  });
}

SIM_API cudaError_t cudaStreamCopyAttributes(cudaStream_t dst, cudaStream_t src) {
  return api(__func__, [&](Lock&) {
    stream_of(dst);
    stream_of(src);
  });
}

SIM_API cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return api(__func__, [&](Lock&) { begin_capture(stream_of(stream), mode, nullptr, {}); });
}

SIM_API cudaError_t cudaStreamBeginCaptureToGraph(cudaStream_t stream, cudaGraph_t graph,
                                                  const cudaGraphNode_t* nodes,
                                                  const cudaGraphEdgeData*, size_t count,
                                                  cudaStreamCaptureMode mode) {
  return api(__func__, [&](Lock&) {
    Graph& g = find_graph(graph);
    begin_capture(stream_of(stream), mode, &g, nodes_of(nodes, count));
  });
}

SIM_API cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  return api(__func__, [&](Lock&) {
    check(graph, cudaErrorInvalidValue);
    *graph = nullptr;
    *graph = reinterpret_cast<cudaGraph_t>(end_capture(stream_of(stream)));
  });
}

SIM_API cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return api(__func__, [&](Lock&) {
    check(status, cudaErrorInvalidValue);
    Stream& s = stream_of(stream);
    if (s.legacy) check_legacy_use(s.device);
    *status = status_of(s);
  });
}

SIM_API cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                             unsigned long long* id, cudaGraph_t* graph,
                                             const cudaGraphNode_t** nodes,
                                             const cudaGraphEdgeData** edges, size_t* count) {
  return api(__func__, [&](Lock&) {
    check(status, cudaErrorInvalidValue);
    Stream& s = stream_of(stream);
    if (s.legacy) check_legacy_use(s.device);
    *status = status_of(s);
    if (*status != cudaStreamCaptureStatusActive) return;
    if (id) *id = s.capture->id;
    if (graph) *graph = reinterpret_cast<cudaGraph_t>(s.capture->graph);
    if (nodes) *nodes = reinterpret_cast<const cudaGraphNode_t*>(s.tail.data());
    if (edges) *edges = nullptr;
    if (count) *count = s.tail.size();
  });
}

SIM_API cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t stream, cudaGraphNode_t* nodes,
                                                        const cudaGraphEdgeData*, size_t count,
                                                        unsigned flags) {
  return api(__func__, [&](Lock&) {
    Stream& s = stream_of(stream);
    check(s.capture && flags <= cudaStreamSetCaptureDependencies,
          s.capture ? cudaErrorInvalidValue : cudaErrorIllegalState);
    std::vector<Node*> tail = nodes_of(nodes, count);
    for (const Node* n : tail) check(n->graph == s.capture->graph, cudaErrorInvalidValue);
    if (flags == cudaStreamAddCaptureDependencies)
      for (Node* n : s.tail)
        if (std::find(tail.begin(), tail.end(), n) == tail.end()) tail.push_back(n);
    s.tail = std::move(tail);
  });
}

SIM_API cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  return api(__func__, [&](Lock&) {
    check(mode, cudaErrorInvalidValue);
    *mode = exchange_mode(*mode);
  });
}
