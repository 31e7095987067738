// Temporary memory of one kernel call.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace noisette::cpu {

/// Where the memory of large takes comes from and goes back to. Thread-safe.
struct ScratchSource {
  /// 64-byte aligned; throws where there is not enough.
  void* (*take)(std::size_t bytes);
  void (*give)(void* data, std::size_t bytes);
};

/// From here on; not while a kernel runs. framework/core gives the allocator of tensors: what a
/// kernel needs for a moment then lies where tensors have been, instead of beside all of them. The
/// heap serves before that.
void use_scratch_source(ScratchSource source);

/// Hands out uninitialised, 64-byte aligned memory that is taken back when the Scratch ends. Takes
/// of less than kLarge bytes come from a stack that belongs to the calling thread and is kept for
/// its next call: it is in the caches then (with every take from the source a training step of the
/// demo's network ran 0.87 to 0.97 times as fast). Scratches nest like the calls they serve; the
/// memory may be used by the threads of a parallel loop inside the call.
class Scratch {
 public:
  static constexpr std::size_t kLarge = std::size_t(4) << 20;

  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  template <class T>
  T* take(int64_t count) {
    return static_cast<T*>(take_bytes(std::size_t(count) * sizeof(T)));
  }
  void* take_bytes(std::size_t bytes);

  /// Bytes that the calling thread keeps for its next calls.
  static std::size_t kept();

 private:
  std::size_t block_, used_, taken_;  // where the thread's stack stood before
  std::vector<std::pair<void*, std::size_t>> large_;
};

}  // namespace noisette::cpu
