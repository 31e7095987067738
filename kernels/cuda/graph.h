// A sequence of kernels, recorded once and run again with one call. Plain C++ without the toolkit's
// headers, as runtime.h.
//
// What is recorded does not run: kernels and copies on the device of the calling thread's compute
// stream go into the graph with the addresses and numbers that they were given. A copy from or to
// the host, or waiting for the device, cannot be recorded and throws.
#pragma once
#include <cstdint>
#include <memory>

namespace noisette::cuda {

class Graph {
 public:
  Graph();  // empty
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// From here the thread's work is recorded, until end(). One graph at a time.
  void begin();
  /// Makes it ready to run. Throws std::runtime_error when something was asked for that cannot be
  /// recorded.
  void end();
  /// Forgets what was recorded so far; never throws.
  void abandon();
  /// Runs all of it, in the compute stream.
  void replay() const;

  int64_t kernels() const { return kernels_; }
  int64_t copies() const { return copies_; }  // on the device

 private:
  struct State;
  std::unique_ptr<State> state_;
  int64_t kernels_ = 0, copies_ = 0;
};

/// Whether the calling thread records.
bool recording();

}  // namespace noisette::cuda
