// Copies between host and device that run beside the host, and what orders them. Plain C++ without
// the toolkit's headers, as runtime.h.
//
// A device has two streams: `compute`, for kernels, and `copy`, whose uploads overlap them. Nothing
// orders the two but events.
#pragma once
#include <cstddef>
#include <memory>

namespace noisette::cuda {

enum class Queue { compute, copy };

/// Host memory that the device reads and writes by itself.
class Pinned {
 public:
  explicit Pinned(std::size_t bytes);
  ~Pinned();
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_;
};

/// A moment in a queue of the calling thread's device: the end of all work asked for before it.
class Event {
 public:
  Event();
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(Queue queue);
  /// Later work of `queue` begins after it. Nothing if it was never recorded.
  void hold(Queue queue) const;
  /// The host waits for it.
  void wait() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// In the order of the queue; the pinned memory is in use until an event after it.
void upload(Queue queue, void* to, const Pinned& from, std::size_t bytes);
void download(Queue queue, Pinned& to, std::size_t offset, const void* from, std::size_t bytes);

}  // namespace noisette::cuda
