// Events. Times are simulated: what the device's work would have taken, not what it takes here.
#include "simulator/api/api.h"
#include "simulator/stream/capture.h"
#include "simulator/stream/stream.h"

using namespace sim;

namespace {

Event& event_of(cudaEvent_t handle) { return events().get(handle, cudaErrorInvalidResourceHandle); }

void create(cudaEvent_t* out, unsigned flags) {
  constexpr unsigned known = cudaEventBlockingSync | cudaEventDisableTiming | cudaEventInterprocess;
  check(out && (flags & ~known) == 0, cudaErrorInvalidValue);
  check(!(flags & cudaEventInterprocess) || (flags & cudaEventDisableTiming),
        cudaErrorInvalidValue);
  auto event = std::make_unique<Event>();
  event->device = current_device();
  event->flags = flags;
  *out = reinterpret_cast<cudaEvent_t>(events().add(std::move(event)));
}

void record(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
  check((flags & ~unsigned(cudaEventRecordExternal)) == 0, cudaErrorInvalidValue);
  Event& e = event_of(event);
  Stream& s = find_stream(stream, current_device());
  check(e.device == s.device, cudaErrorInvalidResourceHandle);
  if (flags != cudaEventRecordExternal) return record_event(e, s);
  check(s.capture != nullptr, cudaErrorIllegalState);
  capture_operation(s, {s.device, EventOp{&e, true}});
}

}  // namespace

SIM_API cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return api(__func__, [&](Lock&) { create(event, cudaEventDefault); });
}

SIM_API cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return api(__func__, [&](Lock&) { create(event, flags); });
}

SIM_API cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return api(__func__, [&](Lock&) { events().take(event, cudaErrorInvalidResourceHandle); });
}

SIM_API cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return api(__func__, [&](Lock&) { record(event, stream, cudaEventRecordDefault); });
}

SIM_API cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream,
                                             unsigned flags) {
  return api(__func__, [&](Lock&) { record(event, stream, flags); });
}

SIM_API cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return api(__func__, [&](Lock& lock) {
    Event& e = event_of(event);
    check_sync(e);
    Executor::get().wait(lock, e.task);
  });
}

SIM_API cudaError_t cudaEventQuery(cudaEvent_t event) {
  return api(__func__, [&](Lock& lock) {
    Event& e = event_of(event);
    check_sync(e);
    check(Executor::get().poll(lock, e.task), cudaErrorNotReady);
  });
}

SIM_API cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return api(__func__, [&](Lock&) {
    check(milliseconds, cudaErrorInvalidValue);
    const Event &a = event_of(start), &b = event_of(end);
    check(!(a.flags & cudaEventDisableTiming) && !(b.flags & cudaEventDisableTiming),
          cudaErrorInvalidResourceHandle);
    check(a.device == b.device && a.task && b.task, cudaErrorInvalidResourceHandle);
    check(a.task->done && b.task->done, cudaErrorNotReady);
    *milliseconds = float((b.task->finish - a.task->finish) * 1e-6);
  });
}
