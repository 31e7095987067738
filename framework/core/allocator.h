// Memory of tensors: one caching allocator per device, with live and peak statistics by op
// name.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "framework/core/device.h"

namespace noisette {

/// Interned name of what an allocation is for: the op that made it. 0 is "unnamed".
using MemoryTag = uint16_t;
MemoryTag memory_tag(std::string_view name);

struct MemoryStats {
  int64_t live_bytes = 0;           // held by tensors now
  int64_t peak_bytes = 0;           // largest live_bytes since the last reset_peak()
  int64_t reserved_bytes = 0;       // address space taken from the system
  int64_t peak_reserved_bytes = 0;  // largest reserved_bytes since the last reset_peak()
  int64_t allocations = 0;          // since the start
  std::vector<std::pair<std::string, int64_t>> live_by_tag;  // largest first
  std::vector<std::pair<std::string, int64_t>> peak_by_tag;  // at the moment of the peak
};

/// Best fit with coalescing over large segments; freed blocks are kept for reuse, so a training
/// step touches the same pages again and again. 64-byte aligned. Thread-safe. On CUDA memory is
/// handed on in the order of the device's stream (kernels/cuda/runtime.h). On `meta` only the
/// accounting happens, as it would on a CUDA device that never runs out of memory.
class Allocator {
 public:
  static Allocator& of(Device device);
  virtual ~Allocator() = default;

  /// Uninitialised memory, nullptr for zero bytes; on meta an address with nothing behind it. When
  /// there is not enough, an Error that lists the largest live tags.
  virtual void* allocate(std::size_t bytes, MemoryTag tag) = 0;
  virtual void free(void* data, std::size_t bytes, MemoryTag tag) = 0;

  /// Moves `bytes` of accounting from one tag to another.
  virtual void retag(std::size_t bytes, MemoryTag from, MemoryTag to) = 0;
  virtual MemoryStats stats() const = 0;
  /// Says that `bytes` more are not to be had, and which tags hold most.
  virtual std::string shortage(std::size_t bytes) const = 0;
  /// Bytes that the device has in all; 0 on meta.
  virtual std::size_t capacity() const = 0;
  virtual void reset_peak() = 0;
  /// Most bytes that live tensors may hold; for tests and for --memory-limit. 0: what the machine
  /// has, and on meta any number.
  virtual void set_limit(std::size_t bytes) = 0;

  /// Gives what nobody holds of the calling thread's pool back to the system, where it is a whole
  /// segment.
  virtual void trim() {}

  /// Memory that is handed on only inside of it (MemoryPool of framework/core/replay.h); pool 0 is
  /// everybody's. use_pool() is for what the calling thread allocates, and returns the pool before.
  /// What drop_pool() gives up goes to the calling thread's.
  virtual int new_pool() { return 0; }
  virtual int use_pool(int) { return 0; }
  virtual void drop_pool(int) {}
};

}  // namespace noisette
