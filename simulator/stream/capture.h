// Stream capture: work that is asked of a stream becomes nodes of a graph.
#pragma once
#include <cuda_runtime_api.h>

#include <memory>
#include <thread>
#include <vector>

#include "simulator/stream/graph.h"
#include "simulator/stream/stream.h"

namespace sim {

struct Capture {
  uint64_t id = 0;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
  Stream* origin = nullptr;
  std::vector<Stream*> streams;  // origin too
  Graph* graph = nullptr;
  bool owned = true;  // by the capture, until it ends
  bool invalid = false, ended = false;
};

void begin_capture(Stream& stream, cudaStreamCaptureMode mode, Graph* into,
                   std::vector<Node*> after);
/// The graph, which is the program's from here on. Throws where the capture was not whole.
Graph* end_capture(Stream& stream);
void leave_capture(Stream& stream);

/// A capture that has not ended adds to it.
bool is_being_captured(const Graph& graph);

Node* capture_operation(Stream& stream, Operation op);
void capture_record(Event& event, Stream& stream);
void capture_wait(Stream& stream, Event& event);

/// Calls that a capture forbids. Each throws the documented code, and the captures become invalid.
void check_sync(Stream& stream);  // synchronise with, or query, a stream
void check_sync(Event& event);
void check_device_sync(int device);
void check_legacy_use(int device);  // would wait for blocking streams
void check_unsafe();                // cudaMalloc and the like
cudaStreamCaptureMode exchange_mode(cudaStreamCaptureMode mode);

}  // namespace sim
