#include "kernels/cpu/scratch.h"

#include <sys/mman.h>

#include <memory>
#include <new>
#include <vector>

namespace noisette::cpu {
namespace {

constexpr std::size_t kAlign = 64;
constexpr std::size_t kSmallestBlock = std::size_t(1) << 16;

/// Blocks from kLarge bytes on are whole large pages: kernels that write many rows at once (the
/// points of winograd.h) touch more small pages than the processor remembers.
constexpr std::size_t kLargePage = std::size_t(1) << 21, kLarge = std::size_t(1) << 18;

struct FreeAligned {
  std::align_val_t align;
  void operator()(std::byte* p) const { ::operator delete(p, align); }
};

struct Block {
  explicit Block(std::size_t wanted) : bytes(wanted) {
    const bool large = bytes >= kLarge;
    if (large) bytes = (bytes + kLargePage - 1) / kLargePage * kLargePage;
    const std::align_val_t align{large ? kLargePage : kAlign};
    data = {static_cast<std::byte*>(::operator new(bytes, align)), FreeAligned{align}};
    if (large) madvise(data.get(), bytes, MADV_HUGEPAGE);
  }
  std::size_t bytes;
  std::unique_ptr<std::byte, FreeAligned> data{nullptr, {}};
};

/// A stack over a few blocks. Blocks never move while something is taken from them; once the stack
/// is empty they are replaced by one that holds them all.
struct Stack {
  std::vector<Block> blocks;
  std::size_t block = 0;  // the one in use
  std::size_t used = 0;   // of that block
};
thread_local Stack stack;

void merge_blocks() {
  if (stack.blocks.size() < 2) return;
  std::size_t total = 0;
  for (const Block& b : stack.blocks) total += b.bytes;
  stack.blocks.clear();
  stack.blocks.emplace_back(total);
}

}  // namespace

Scratch::Scratch() : block_(stack.block), used_(stack.used) {}

Scratch::~Scratch() {
  stack.block = block_;
  stack.used = used_;
  if (block_ == 0 && used_ == 0) merge_blocks();
}

void* Scratch::take_bytes(std::size_t bytes) {
  bytes = (bytes + kAlign - 1) / kAlign * kAlign;
  while (stack.block < stack.blocks.size() &&
         stack.used + bytes > stack.blocks[stack.block].bytes) {
    ++stack.block;
    stack.used = 0;
  }
  if (stack.block == stack.blocks.size())
    stack.blocks.emplace_back(bytes < kSmallestBlock ? kSmallestBlock : bytes);
  void* data = stack.blocks[stack.block].data.get() + stack.used;
  stack.used += bytes;
  return data;
}

}  // namespace noisette::cpu
