// What a choice needs of the device. Tests have one in the memory of the host.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>

namespace noisette::cuda::providers {

class Card {
 public:
  virtual ~Card() = default;
  /// Whether the calling thread computes on this device.
  virtual bool current() const = 0;
  /// Whether the thread's work is recorded (kernels/cuda/graph.h) and does not run now.
  virtual bool recording() const = 0;
  virtual void* reserve(std::size_t bytes) = 0;  // null where there is not enough
  virtual void release(void* data) = 0;
  virtual void write(void* to, const void* from, std::size_t bytes) = 0;
  virtual void read(void* to, const void* from, std::size_t bytes) = 0;
  /// Median of a few calls, after one that does not count.
  virtual double seconds(const std::function<void()>& call) = 0;
};

/// The device of that number.
std::unique_ptr<Card> real_card(int device);

}  // namespace noisette::cuda::providers
