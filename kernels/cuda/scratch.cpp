#include "kernels/cuda/scratch.h"

#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/cuda/runtime.h"
#include "kernels/cuda/stream.h"

namespace noisette::cuda {
namespace {

constexpr std::size_t kAlign = 256;
constexpr std::size_t kSmallestBlock = std::size_t(1) << 20;

struct Block {
  std::byte* data;
  std::size_t bytes;
};

/// A stack over a few blocks, which are never given back: what a step needs once it needs again.
struct Stack {
  unsigned* arrivals = nullptr;
  std::vector<Block> blocks;
  std::size_t block = 0;  // the one in use
  std::size_t used = 0;   // of that block
};

Stack& stack_of(int device) {
  thread_local std::vector<Stack> stacks;
  if (stacks.size() <= std::size_t(device)) stacks.resize(std::size_t(device) + 1);
  return stacks[std::size_t(device)];
}

}  // namespace

unsigned* arrivals() {
  Stack& s = stack_of(current_device());
  if (s.arrivals == nullptr) {
    constexpr std::size_t kBytes = std::size_t(kMostArrivals) * sizeof(unsigned);
    void* const data = reserve(kBytes);
    if (data == nullptr) throw std::runtime_error("[scratch] out of memory for counters");
    set_bytes(data, 0, kBytes);
    s.arrivals = static_cast<unsigned*>(data);
  }
  return s.arrivals;
}

Scratch::Scratch()
    : device_(current_device()), block_(stack_of(device_).block), used_(stack_of(device_).used) {}

Scratch::~Scratch() {
  Stack& s = stack_of(device_);
  s.block = block_;
  s.used = used_;
}

void* Scratch::take_bytes(std::size_t bytes) {
  Stack& s = stack_of(device_);
  bytes = (bytes + kAlign - 1) / kAlign * kAlign;
  while (s.block < s.blocks.size() && s.used + bytes > s.blocks[s.block].bytes) {
    ++s.block;
    s.used = 0;
  }
  if (s.block == s.blocks.size()) {
    const std::size_t size = bytes < kSmallestBlock ? kSmallestBlock : bytes;
    void* data = reserve(size);
    if (data == nullptr)
      throw std::runtime_error("[scratch] out of memory on cuda:" + std::to_string(device_) +
                               ": wanted " + std::to_string(size) + " bytes");
    s.blocks.push_back({static_cast<std::byte*>(data), size});
  }
  void* data = s.blocks[s.block].data + s.used;
  s.used += bytes;
  return data;
}

}  // namespace noisette::cuda
