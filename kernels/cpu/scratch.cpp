#include "kernels/cpu/scratch.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <new>

namespace noisette::cpu {
namespace {

constexpr std::align_val_t kAlign{64};
constexpr std::size_t kSmallestBlock = std::size_t(1) << 16;

ScratchSource source{[](std::size_t bytes) { return ::operator new(bytes, kAlign); },
                     [](void* data, std::size_t) { ::operator delete(data, kAlign); }};

/// Blocks from kLargeBlock bytes on are whole large pages: kernels that write many rows at once
/// (the points of winograd.h) touch more small pages than the processor remembers. They come from
/// the system and go back to it, where a heap would keep the holes between them.
constexpr std::size_t kLargePage = std::size_t(1) << 21, kLargeBlock = std::size_t(1) << 18;

std::byte* map_large(std::size_t bytes) {
  const std::size_t with_edge = bytes + kLargePage;
  void* const all =
      mmap(nullptr, with_edge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) throw std::bad_alloc();
  auto* const begin = static_cast<std::byte*>(all);
  const std::size_t before = -reinterpret_cast<std::uintptr_t>(begin) % kLargePage;
  if (before > 0) munmap(begin, before);
  munmap(begin + before + bytes, kLargePage - before);
  madvise(begin + before, bytes, MADV_HUGEPAGE);
  return begin + before;
}

class Block {
 public:
  explicit Block(std::size_t wanted) : bytes_(wanted), large_(wanted >= kLargeBlock) {
    if (large_) bytes_ = (bytes_ + kLargePage - 1) / kLargePage * kLargePage;
    data_ = large_ ? map_large(bytes_) : static_cast<std::byte*>(::operator new(bytes_, kAlign));
  }
  ~Block() {
    if (large_)
      munmap(data_, bytes_);
    else
      ::operator delete(data_, kAlign);
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_;
  bool large_;
  std::byte* data_;
};

/// A stack over a few blocks. Blocks never move while something is taken from them; once the stack
/// is empty they are replaced by one for the most that was ever taken.
struct Stack {
  std::deque<Block> blocks;
  std::size_t block = 0;            // the one in use
  std::size_t used = 0;             // of that block
  std::size_t taken = 0, most = 0;  // of all blocks: now, and at most so far
};
thread_local Stack stack;

void merge_blocks() {
  if (stack.blocks.size() < 2) return;
  stack.blocks.clear();
  stack.blocks.emplace_back(stack.most);
}

}  // namespace

void use_scratch_source(ScratchSource s) { source = s; }

Scratch::Scratch() : block_(stack.block), used_(stack.used), taken_(stack.taken) {}

Scratch::~Scratch() {
  for (const auto& [data, bytes] : large_) source.give(data, bytes);
  stack.block = block_;
  stack.used = used_;
  stack.taken = taken_;
  if (block_ == 0 && used_ == 0) merge_blocks();
}

void* Scratch::take_bytes(std::size_t bytes) {
  constexpr auto kLine = std::size_t(kAlign);
  bytes = (bytes + kLine - 1) / kLine * kLine;
  if (bytes >= kLarge) {
    void* const data = source.take(bytes);
    large_.emplace_back(data, bytes);
    return data;
  }
  while (stack.block < stack.blocks.size() &&
         stack.used + bytes > stack.blocks[stack.block].bytes()) {
    ++stack.block;
    stack.used = 0;
  }
  if (stack.block == stack.blocks.size())
    stack.blocks.emplace_back(std::max(bytes, kSmallestBlock));
  void* data = stack.blocks[stack.block].data() + stack.used;
  stack.used += bytes;
  stack.taken += bytes;
  stack.most = std::max(stack.most, stack.taken);
  return data;
}

std::size_t Scratch::kept() {
  std::size_t bytes = 0;
  for (const Block& b : stack.blocks) bytes += b.bytes();
  return bytes;
}

}  // namespace noisette::cpu
