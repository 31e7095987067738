// Temporary device memory of one kernel launcher.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/cuda/cuts.h"
#include "kernels/scratch_stack.h"

namespace noisette::cuda {

/// Hands out uninitialised device memory, aligned to 256 bytes, that is taken back when the Scratch
/// ends. It belongs to the calling thread and its device and is kept for later calls; since they
/// work in the same stream, none writes to it before earlier ones have read. Scratches nest.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  template <class T>
  T* take(int64_t count) {
    return static_cast<T*>(take_bytes(std::size_t(count) * sizeof(T)));
  }
  void* take_bytes(std::size_t bytes);

 private:
  int device_;
  ScratchStack::Place top_;  // where the device's stack stood before
};

/// Counters of the calling thread's device that are zero, for last_to_arrive() of reduce.cuh; a
/// kernel leaves them zero. The next kernel of the stream may have the same ones.
using cuts::kMostArrivals;
unsigned* arrivals();
/// Memory for a plan of a library (providers/) that wants `bytes`, at most kWorkspace of
/// scratch_need.h; null for none. Apart, and always the same: in a scratch, which is never given
/// back, pieces of every size would add up.
void* workspace(std::size_t bytes);
/// What the calling thread's scratches of its device have reserved by now.
std::size_t scratch_bytes();

}  // namespace noisette::cuda
