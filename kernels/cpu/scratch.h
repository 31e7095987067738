// Temporary memory of one kernel call.
#pragma once
#include <cstddef>
#include <cstdint>

namespace noisette::cpu {

/// Hands out uninitialised, 64-byte aligned memory that is taken back when the Scratch ends. The
/// memory belongs to the calling thread and is kept for its next call, so that a training step
/// allocates nothing. Scratches nest like the calls they serve; the memory may be used by the
/// threads of a parallel loop inside the call.
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
  std::size_t block_;  // where the thread's stack stood before
  std::size_t used_;
};

}  // namespace noisette::cpu
