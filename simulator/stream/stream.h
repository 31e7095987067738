// Streams and events, as the CUDA programming guide orders them. The state mutex guards all of it.
#pragma once
#include <cuda_runtime_api.h>

#include <memory>
#include <vector>

#include "simulator/stream/handles.h"
#include "simulator/stream/operation.h"
#include "simulator/stream/task.h"

namespace sim {

struct Capture;
struct Node;

struct Stream {
  int device = 0;
  unsigned flags = cudaStreamDefault;
  int priority = 0;
  uint64_t id = 0;
  bool legacy = false, of_thread = false;
  TaskPtr last;  // all that was enqueued is done when this is

  std::shared_ptr<Capture> capture;  // of which this stream is part now
  std::vector<Node*> tail;           // nodes that the next captured operation comes after

  bool blocking() const { return !legacy && !(flags & cudaStreamNonBlocking); }
};

struct Event {
  int device = 0;
  unsigned flags = 0;
  TaskPtr task;                      // of the last record; null: never recorded
  std::shared_ptr<Capture> capture;  // where the last record was captured
  std::vector<Node*> nodes;
};

Handles<Stream>& streams();
Handles<Event>& events();

Stream* create_stream(int device, unsigned flags, int priority);
void destroy_stream(const void* handle);
/// All streams and events that the program made on a device.
void destroy_streams_and_events(int device);

/// The stream that a handle means: 0 and cudaStreamLegacy the device's default stream,
/// cudaStreamPerThread the thread's. cudaErrorInvalidResourceHandle for one that does not live.
Stream& find_stream(cudaStream_t handle, int current_device);

/// While one lives on a thread, handle 0 means the thread's stream: the _ptsz and _ptds functions.
class PerThreadDefault {
 public:
  PerThreadDefault();
  ~PerThreadDefault();

 private:
  bool before_;
};

/// Puts work at the end of a stream, or into the graph that the stream captures (then null).
TaskPtr enqueue(Stream& stream, Operation op);
/// A task that is done when all is that a stream's next work would wait for; null if nothing is.
TaskPtr marker(Stream& stream);
/// Work that comes after what `marker` covers, and that the stream's next work waits for.
void append(Stream& stream, TaskPtr task);

void record_event(Event& event, Stream& stream);
void wait_event(Stream& stream, Event& event);

}  // namespace sim
