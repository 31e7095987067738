// How temporary memory of kernels is handed out: a stack over a few blocks that are never given
// back. The CUDA backend's scratch (kernels/cuda/scratch.h) is one; another, without memory, counts
// what a step would need.
#pragma once
#include <cstddef>
#include <vector>

namespace noisette {

class ScratchStack {
 public:
  struct Place {
    std::size_t block = 0, offset = 0;
  };
  Place top() const { return top_; }
  /// Takes back what was taken since then.
  void back_to(Place top) { top_ = top; }

  /// Where `bytes` lie. add(size) is called for a new block, behind those there are.
  template <class F>
  Place take(std::size_t bytes, const F& add) {
    constexpr std::size_t kAlign = 256, kSmallestBlock = std::size_t(1) << 20;
    bytes = (bytes + kAlign - 1) / kAlign * kAlign;
    while (top_.block < blocks_.size() && top_.offset + bytes > blocks_[top_.block])
      top_ = {top_.block + 1, 0};
    if (top_.block == blocks_.size()) {
      const std::size_t size = bytes < kSmallestBlock ? kSmallestBlock : bytes;
      add(size);
      blocks_.push_back(size);
    }
    const Place place = top_;
    top_.offset += bytes;
    return place;
  }

  /// Of all blocks.
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const std::size_t size : blocks_) sum += size;
    return sum;
  }

 private:
  std::vector<std::size_t> blocks_;
  Place top_;
};

}  // namespace noisette
