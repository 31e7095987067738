#include "kernels/cuda/scratch.h"

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/cuda/graph.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/scratch_need.h"
#include "kernels/cuda/stream.h"

namespace noisette::cuda {
namespace {

struct Memory {
  ScratchStack stack;
  unsigned* arrivals = nullptr;
  void* workspace = nullptr;
  std::vector<std::byte*> blocks;  // never given back: what a step needs once it needs again
};

Memory& memory_of(int device) {
  thread_local std::vector<Memory> all;
  if (all.size() <= std::size_t(device)) all.resize(std::size_t(device) + 1);
  return all[std::size_t(device)];
}

std::atomic<void (*)(int)> give_back = nullptr;

void* reserved(std::size_t bytes) {
  void* data = reserve(bytes);
  if (data == nullptr && give_back != nullptr && !recording()) {
    give_back.load()(current_device());
    data = reserve(bytes);
  }
  if (data == nullptr) throw OutOfMemory(bytes, current_device());
  return data;
}

}  // namespace

OutOfMemory::OutOfMemory(std::size_t bytes, int device)
    : runtime_error("[scratch] out of memory on cuda:" + std::to_string(device) + ": wanted " +
                    std::to_string(bytes) + " bytes"),
      bytes(bytes) {}

void use_reserve(void (*give)(int device)) { give_back = give; }

unsigned* arrivals() {
  Memory& s = memory_of(current_device());
  if (s.arrivals == nullptr) {
    constexpr std::size_t kBytes = std::size_t(kMostArrivals) * sizeof(unsigned);
    void* const data = reserved(kBytes);
    set_bytes(data, 0, kBytes);
    s.arrivals = static_cast<unsigned*>(data);
  }
  return s.arrivals;
}

Scratch::Scratch() : device_(current_device()), top_(memory_of(device_).stack.top()) {}

Scratch::~Scratch() { memory_of(device_).stack.back_to(top_); }

void* Scratch::take_bytes(std::size_t bytes) {
  Memory& m = memory_of(device_);
  const auto place = m.stack.take(bytes, [&](std::size_t size) {
    m.blocks.push_back(static_cast<std::byte*>(reserved(size)));
  });
  return m.blocks[place.block] + place.offset;
}

void* workspace(std::size_t bytes) {
  if (bytes == 0) return nullptr;
  if (bytes > std::size_t(kWorkspace))
    throw std::logic_error("[scratch] a plan wants a workspace of " + std::to_string(bytes) +
                           " bytes");
  Memory& m = memory_of(current_device());
  if (m.workspace == nullptr) m.workspace = reserved(std::size_t(kWorkspace));
  return m.workspace;
}

std::size_t scratch_bytes() {
  const Memory& m = memory_of(current_device());
  return m.stack.bytes() + (m.workspace != nullptr ? std::size_t(kWorkspace) : 0);
}

}  // namespace noisette::cuda
