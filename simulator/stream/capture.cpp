#include "simulator/stream/capture.h"

#include <algorithm>
#include <unordered_set>

namespace sim {
namespace {

std::vector<std::shared_ptr<Capture>>& active() {
  static auto* const all = new std::vector<std::shared_ptr<Capture>>;
  return *all;
}

thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

void spoil(Capture& capture) { capture.invalid = true; }

void join(Stream& stream, const std::shared_ptr<Capture>& capture) {
  stream.capture = capture;
  capture->streams.push_back(&stream);
}

void add_to(std::vector<Node*>& tail, const std::vector<Node*>& nodes) {
  for (Node* n : nodes)
    if (std::find(tail.begin(), tail.end(), n) == tail.end()) tail.push_back(n);
}

/// True where all that other streams captured comes before the end of the origin's work.
bool all_joined(const Capture& capture) {
  std::unordered_set<const Node*> reached;
  std::vector<Node*> open = capture.origin->tail;
  while (!open.empty()) {
    Node* n = open.back();
    open.pop_back();
    if (!reached.insert(n).second) continue;
    open.insert(open.end(), n->after.begin(), n->after.end());
  }
  return std::all_of(capture.streams.begin(), capture.streams.end(), [&](const Stream* s) {
    return std::all_of(s->tail.begin(), s->tail.end(),
                       [&](Node* n) { return reached.count(n) > 0; });
  });
}

void finish(Capture& capture) {
  capture.ended = true;
  for (Stream* s : capture.streams) {
    s->tail.clear();
    s->capture.reset();
  }
  capture.streams.clear();
  std::erase_if(active(), [&](const auto& c) { return c.get() == &capture; });
}

}  // namespace

void begin_capture(Stream& stream, cudaStreamCaptureMode mode, Graph* into,
                   std::vector<Node*> after) {
  check(mode >= cudaStreamCaptureModeGlobal && mode <= cudaStreamCaptureModeRelaxed,
        cudaErrorInvalidValue);
  check(!stream.legacy, cudaErrorStreamCaptureUnsupported);
  check(!stream.capture, cudaErrorIllegalState);
  static uint64_t count = 0;
  auto capture = std::make_shared<Capture>();
  capture->id = ++count;
  capture->mode = mode;
  capture->thread = std::this_thread::get_id();
  capture->origin = &stream;
  capture->owned = !into;
  capture->graph = into ? into : graphs().add(std::make_unique<Graph>());
  join(stream, capture);
  stream.tail = std::move(after);
  active().push_back(capture);
}

Graph* end_capture(Stream& stream) {
  const std::shared_ptr<Capture> capture = stream.capture;
  check(capture != nullptr, cudaErrorIllegalState);
  check(capture->origin == &stream, cudaErrorStreamCaptureUnmatched);
  check(capture->mode == cudaStreamCaptureModeRelaxed ||
            capture->thread == std::this_thread::get_id(),
        cudaErrorStreamCaptureWrongThread);
  const bool joined = all_joined(*capture);
  finish(*capture);
  if (!capture->invalid && joined) return capture->graph;
  if (capture->owned) graphs().take(capture->graph, cudaErrorUnknown);
  fail(capture->invalid ? cudaErrorStreamCaptureInvalidated : cudaErrorStreamCaptureUnjoined);
}

void leave_capture(Stream& stream) {
  const std::shared_ptr<Capture> capture = stream.capture;
  if (!capture) return;
  spoil(*capture);
  if (capture->origin == &stream) {
    finish(*capture);
    if (capture->owned) graphs().take(capture->graph, cudaErrorUnknown);
  } else {
    std::erase(capture->streams, &stream);
  }
}

bool is_being_captured(const Graph& graph) {
  return std::any_of(active().begin(), active().end(),
                     [&](const auto& c) { return c->graph == &graph; });
}

Node* capture_operation(Stream& stream, Operation op) {
  check(!stream.capture->invalid, cudaErrorStreamCaptureInvalidated);
  Node* node = add_node(*stream.capture->graph, std::move(op), stream.tail);
  stream.tail = {node};
  return node;
}

void capture_record(Event& event, Stream& stream) {
  check(!stream.capture->invalid, cudaErrorStreamCaptureInvalidated);
  event.task.reset();
  event.capture = stream.capture;
  event.nodes = stream.tail;
}

void capture_wait(Stream& stream, Event& event) {
  if (stream.capture && stream.capture->invalid) fail(cudaErrorStreamCaptureInvalidated);
  if (!event.capture) {
    spoil(*stream.capture);
    fail(cudaErrorStreamCaptureIsolation);
  }
  check(!event.capture->ended, cudaErrorCapturedEvent);
  check(!event.capture->invalid, cudaErrorStreamCaptureInvalidated);
  if (stream.legacy) {
    spoil(*event.capture);
    fail(cudaErrorStreamCaptureImplicit);
  }
  if (stream.capture && stream.capture != event.capture) {
    spoil(*stream.capture);
    spoil(*event.capture);
    fail(cudaErrorStreamCaptureMerge);
  }
  if (!stream.capture) join(stream, event.capture);
  add_to(stream.tail, event.nodes);
}

void check_sync(Stream& stream) {
  if (stream.legacy) check_legacy_use(stream.device);
  if (!stream.capture) return check_unsafe();
  const bool was_valid = !stream.capture->invalid;
  spoil(*stream.capture);
  fail(was_valid ? cudaErrorStreamCaptureUnsupported : cudaErrorStreamCaptureInvalidated);
}

void check_sync(Event& event) {
  if (!event.capture) return check_unsafe();
  spoil(*event.capture);
  fail(cudaErrorCapturedEvent);
}

void check_device_sync(int device) {
  bool found = false;
  for (const auto& c : active()) {
    if (c->origin->device != device) continue;
    spoil(*c);
    found = true;
  }
  check(!found, cudaErrorStreamCaptureUnsupported);
}

void check_legacy_use(int device) {
  bool found = false;
  for (const auto& c : active())
    for (const Stream* s : c->streams)
      if (s->device == device && s->blocking()) {
        spoil(*c);
        found = true;
      }
  check(!found, cudaErrorStreamCaptureImplicit);
}

void check_unsafe() {
  if (thread_mode == cudaStreamCaptureModeRelaxed) return;
  bool found = false;
  for (const auto& c : active()) {
    const bool mine = c->thread == std::this_thread::get_id();
    const bool forbids =
        mine ? c->mode != cudaStreamCaptureModeRelaxed
             : c->mode == cudaStreamCaptureModeGlobal && thread_mode == cudaStreamCaptureModeGlobal;
    if (!forbids) continue;
    spoil(*c);
    found = true;
  }
  check(!found, cudaErrorStreamCaptureUnsupported);
}

cudaStreamCaptureMode exchange_mode(cudaStreamCaptureMode mode) {
  check(mode >= cudaStreamCaptureModeGlobal && mode <= cudaStreamCaptureModeRelaxed,
        cudaErrorInvalidValue);
  std::swap(mode, thread_mode);
  return mode;
}

}  // namespace sim
