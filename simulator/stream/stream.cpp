#include "simulator/stream/stream.h"

#include <algorithm>
#include <map>
#include <utility>

#include "simulator/stream/capture.h"

namespace sim {
namespace {

/// Of one device: the legacy default stream, and the ends of blocking streams that were destroyed.
struct Default {
  Stream legacy;
  std::vector<TaskPtr> orphans;
};

Default& device_default(int device) {
  static auto* const all = new std::map<int, Default>;
  Default& d = (*all)[device];
  d.legacy.device = device;
  d.legacy.legacy = true;
  return d;
}

uint64_t next_id() {
  static uint64_t last = 2;  // 1 and 2 are the handles of the default streams
  return ++last;
}

/// The default streams of a thread, one per device, made when first used.
using ThreadStreams = std::map<int, Stream*>;
thread_local ThreadStreams* thread_streams = nullptr;

/// They go with the thread; destructors of the program's own may ask for others after that.
struct ThreadEnd {
  ~ThreadEnd() {
    const std::unique_ptr<ThreadStreams> mine(std::exchange(thread_streams, nullptr));
    if (!mine || in_child()) return;
    std::lock_guard lock(state_mutex());
    for (auto& [device, stream] : *mine) destroy_stream(stream);
  }
};

Stream& thread_stream(int device) {
  thread_local ThreadEnd end;
  (void)&end;
  if (!thread_streams) thread_streams = new ThreadStreams;
  Stream*& stream = (*thread_streams)[device];
  if (!stream) stream = create_stream(device, cudaStreamDefault, 0);
  stream->of_thread = true;
  return *stream;
}

thread_local bool zero_is_per_thread = false;

/// What new work on the stream comes after. The legacy stream and blocking ones wait for each
/// other.
std::vector<TaskPtr> predecessors(Stream& stream) {
  std::vector<TaskPtr> after{stream.last};
  Default& d = device_default(stream.device);
  if (stream.blocking()) after.push_back(d.legacy.last);
  if (!stream.legacy) return after;
  for (TaskPtr& t : d.orphans) after.push_back(std::move(t));
  d.orphans.clear();
  std::map<uint64_t, TaskPtr> ends;  // in the order of the streams' making: a seed repeats itself
  streams().each([&](Stream& s) {
    if (s.device == stream.device && s.blocking()) ends[s.id] = s.last;
  });
  for (auto& [id, end] : ends) after.push_back(end);
  return after;
}

/// True where a task is one of those, or comes after it, for all of them.
bool covers(const TaskPtr& task, const std::vector<TaskPtr>& all) {
  if (!task || task->done) return false;
  return std::all_of(all.begin(), all.end(), [&](const TaskPtr& t) {
    return t == task || std::count(task->after.begin(), task->after.end(), t) > 0;
  });
}

}  // namespace

Handles<Stream>& streams() {
  static auto* const all = new Handles<Stream>;
  return *all;
}

Handles<Event>& events() {
  static auto* const all = new Handles<Event>;
  return *all;
}

Stream* create_stream(int device, unsigned flags, int priority) {
  auto stream = std::make_unique<Stream>();
  stream->device = device;
  stream->flags = flags;
  stream->priority = priority;
  stream->id = next_id();
  return streams().add(std::move(stream));
}

void destroy_stream(const void* handle) {
  auto stream = streams().take(handle, cudaErrorInvalidResourceHandle);
  leave_capture(*stream);
  if (stream->blocking() && stream->last && !stream->last->done)
    device_default(stream->device).orphans.push_back(stream->last);
}

void destroy_streams_and_events(int device) {
  std::vector<const Stream*> ours;
  std::vector<const Event*> recorded;
  streams().each([&](Stream& s) {
    if (s.device == device && !s.of_thread) ours.push_back(&s);
  });
  events().each([&](Event& e) {
    if (e.device == device) recorded.push_back(&e);
  });
  for (const Stream* s : ours) destroy_stream(s);
  for (const Event* e : recorded) events().take(e, cudaErrorInvalidResourceHandle);
}

Stream& find_stream(cudaStream_t handle, int current_device) {
  if (handle == cudaStreamPerThread || (handle == nullptr && zero_is_per_thread))
    return thread_stream(current_device);
  if (handle == nullptr || handle == cudaStreamLegacy) return device_default(current_device).legacy;
  return streams().get(handle, cudaErrorInvalidResourceHandle);
}

PerThreadDefault::PerThreadDefault() : before_(zero_is_per_thread) { zero_is_per_thread = true; }
PerThreadDefault::~PerThreadDefault() { zero_is_per_thread = before_; }

TaskPtr enqueue(Stream& stream, Operation op) {
  if (stream.legacy) check_legacy_use(stream.device);
  if (stream.capture) {
    capture_operation(stream, std::move(op));
    return nullptr;
  }
  const int device = stream.device;
  const bool host = std::holds_alternative<HostOp>(op.work);
  auto work = [op = std::move(op)] { run(op); };
  append(stream, Executor::get().submit(std::move(work), device, predecessors(stream), host));
  return stream.last;
}

TaskPtr marker(Stream& stream) {
  std::vector<TaskPtr> after = predecessors(stream);
  std::erase(after, nullptr);
  const auto done = [](const TaskPtr& t) { return t->done; };
  if (!std::all_of(after.begin(), after.end(), done)) std::erase_if(after, done);
  if (after.size() > 1) {
    if (covers(stream.last, after)) return stream.last;  // a program may query for ever
    after = {Executor::get().submit(nullptr, stream.device, after)};
  }
  stream.last = after.empty() ? nullptr : after[0];
  return stream.last;
}

void append(Stream& stream, TaskPtr task) { stream.last = std::move(task); }

void record_event(Event& event, Stream& stream) {
  if (stream.legacy) check_legacy_use(stream.device);
  if (stream.capture) return capture_record(event, stream);
  event.capture.reset();
  event.nodes.clear();
  event.task = Executor::get().submit(nullptr, stream.device, predecessors(stream));
  append(stream, event.task);
}

void wait_event(Stream& stream, Event& event) {
  if (stream.legacy) check_legacy_use(stream.device);
  if (stream.capture || event.capture) return capture_wait(stream, event);
  if (!event.task) return;
  std::vector<TaskPtr> after = predecessors(stream);
  after.push_back(event.task);
  append(stream, Executor::get().submit(nullptr, stream.device, after));
}

}  // namespace sim
