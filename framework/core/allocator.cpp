#include "framework/core/allocator.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>

#include "framework/core/check.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cuda/runtime.h"

namespace noisette {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kUseMalloc = true;  // so that AddressSanitizer sees the bounds of every tensor
#else
constexpr bool kUseMalloc = false;
#endif
constexpr std::size_t kAlign = 64;

struct Tags {
  std::mutex mutex;
  std::vector<std::string> names{"unnamed"};
  std::unordered_map<std::string, MemoryTag> ids{{"unnamed", 0}};
};
Tags& tags() {
  static Tags* t = new Tags;  // outlives every static tensor
  return *t;
}

/// Live and peak bytes, in all and by tag. The caller holds the lock.
class Ledger {
 public:
  void add(std::size_t bytes, MemoryTag tag) {
    by_tag(tag) += int64_t(bytes);
    live_ += int64_t(bytes);
    ++allocations_;
    if (live_ > peak_) {
      peak_ = live_;
      at_peak_ = by_tag_;
    }
  }
  void remove(std::size_t bytes, MemoryTag tag) {
    by_tag(tag) -= int64_t(bytes);
    live_ -= int64_t(bytes);
  }
  void retag(std::size_t bytes, MemoryTag from, MemoryTag to) {
    by_tag(from) -= int64_t(bytes);
    by_tag(to) += int64_t(bytes);
  }
  void reset_peak() {
    peak_ = live_;
    at_peak_ = by_tag_;
  }
  int64_t live() const { return live_; }

  MemoryStats stats() const {
    MemoryStats s;
    s.live_bytes = live_;
    s.peak_bytes = peak_;
    s.allocations = allocations_;
    s.live_by_tag = sorted(by_tag_);
    s.peak_by_tag = sorted(at_peak_);
    return s;
  }

 private:
  int64_t& by_tag(MemoryTag tag) {
    if (by_tag_.size() <= tag) by_tag_.resize(tag + 1u);
    return by_tag_[tag];
  }
  static std::vector<std::pair<std::string, int64_t>> sorted(const std::vector<int64_t>& bytes) {
    std::vector<std::pair<std::string, int64_t>> rows;
    const std::lock_guard lock(tags().mutex);
    for (std::size_t i = 0; i < bytes.size(); ++i)
      if (bytes[i] != 0) rows.emplace_back(tags().names[i], bytes[i]);
    std::stable_sort(rows.begin(), rows.end(),
                     [](auto& a, auto& b) { return a.second > b.second; });
    return rows;
  }

  std::vector<int64_t> by_tag_, at_peak_;
  int64_t live_ = 0, peak_ = 0, allocations_ = 0;
};

/// Where a caching allocator takes its segments from.
class Source {
 public:
  virtual ~Source() = default;
  /// Null where there is not enough.
  virtual void* segment(std::size_t bytes) = 0;
  virtual void release(void* data, std::size_t bytes) = 0;
  virtual std::size_t capacity() const = 0;
  /// What is taken at a time, where there is room for it.
  virtual std::size_t step() const = 0;
};

class HostMemory final : public Source {
 public:
  void* segment(std::size_t bytes) override {
    void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) return nullptr;
    madvise(data, bytes, MADV_HUGEPAGE);
    return data;
  }
  void release(void* data, std::size_t bytes) override { munmap(data, bytes); }
  std::size_t capacity() const override {
    return std::size_t(sysconf(_SC_PHYS_PAGES)) * std::size_t(sysconf(_SC_PAGE_SIZE));
  }
  std::size_t step() const override { return std::size_t(1) << 30; }  // touched only when used
};

constexpr std::size_t kDeviceStep = std::size_t(1) << 28;

/// Addresses alone, of a device that has as many as are asked for.
class NoMemory final : public Source {
 public:
  void* segment(std::size_t bytes) override {
    next_ += bytes;
    return reinterpret_cast<void*>(next_ - bytes);
  }
  void release(void*, std::size_t) override {}
  std::size_t capacity() const override { return 0; }
  std::size_t step() const override { return kDeviceStep; }

 private:
  std::uintptr_t next_ = kDeviceStep;
};

#ifdef NOISETTE_CUDA
class CudaMemory final : public Source {
 public:
  explicit CudaMemory(int device) : device_(device) {}
  void* segment(std::size_t bytes) override {
    cuda::use_device(device_);
    return cuda::reserve(bytes);
  }
  void release(void* data, std::size_t) override {
    cuda::use_device(device_);
    cuda::release(data);
  }
  std::size_t capacity() const override { return std::size_t(cuda::device_info(device_).memory); }
  std::size_t step() const override { return kDeviceStep; }

 private:
  int device_;
};
#endif

/// The pool that the calling thread's tensors come from, of one device at a time.
thread_local int pool_in_use = 0;
thread_local const Allocator* pool_of = nullptr;

/// Best fit with coalescing over large segments. On a device all work of a thread goes to one
/// stream, so that memory may be handed on as soon as its last tensor is gone.
class CachingAllocator final : public Allocator {
 public:
  CachingAllocator(Device device, std::unique_ptr<Source> source)
      : device_(device), source_(std::move(source)) {
    machine_ = source_->capacity();
    set_limit(0);
  }

  void* allocate(std::size_t bytes, MemoryTag tag) override {
    if (bytes == 0) return nullptr;
    const std::lock_guard lock(mutex_);
    const std::size_t size = rounded(bytes);
    std::byte* data = nullptr;
    if (std::size_t(ledger_.live()) + size <= limit_)
      data = by_malloc() ? static_cast<std::byte*>(std::aligned_alloc(kAlign, size)) : take(size);
    if (data == nullptr) fail("[memory] {}", shortage_of(bytes));
    ledger_.add(size, tag);
    return data;
  }

  void free(void* data, std::size_t bytes, MemoryTag tag) override {
    if (data == nullptr) return;
    const std::lock_guard lock(mutex_);
    ledger_.remove(rounded(bytes), tag);
    if (by_malloc())
      std::free(data);
    else
      give(static_cast<std::byte*>(data));
  }

  /// Memory of a kernel's call, beside the accounting: what it is, the number of threads decides.
  void* lend(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const std::size_t size = rounded(bytes);
    void* data = by_malloc() ? std::aligned_alloc(kAlign, size) : take(size);
    if (data == nullptr) fail("[memory] {}", shortage_of(bytes));
    return data;
  }
  void take_back(void* data) {
    const std::lock_guard lock(mutex_);
    if (by_malloc())
      std::free(data);
    else
      give(static_cast<std::byte*>(data));
  }

  void retag(std::size_t bytes, MemoryTag from, MemoryTag to) override {
    if (bytes == 0 || from == to) return;
    const std::lock_guard lock(mutex_);
    ledger_.retag(rounded(bytes), from, to);
  }

  MemoryStats stats() const override {
    const std::lock_guard lock(mutex_);
    MemoryStats s = ledger_.stats();
    s.reserved_bytes = int64_t(reserved_);
    s.peak_reserved_bytes = int64_t(peak_reserved_);
    return s;
  }

  std::string shortage(std::size_t bytes) const override {
    const std::lock_guard lock(mutex_);
    return shortage_of(bytes);
  }

  std::size_t capacity() const override { return machine_; }

  void reset_peak() override {
    const std::lock_guard lock(mutex_);
    ledger_.reset_peak();
    peak_reserved_ = reserved_;
  }

  void set_limit(std::size_t bytes) override {
    const std::size_t most = machine_ == 0 ? std::numeric_limits<std::size_t>::max() : machine_;
    limit_ = bytes == 0 ? most : bytes;
  }

  void trim() override {
    const std::lock_guard lock(mutex_);
    trim_pool(pool_here());
  }

  int new_pool() override {
    const std::lock_guard lock(mutex_);
    return ++pools_;
  }
  int use_pool(int pool) override {
    const int before = pool_here();
    pool_of = this;
    pool_in_use = pool;
    return before;
  }
  void drop_pool(int pool) override {
    const std::lock_guard lock(mutex_);
    const int heir = pool_here() == pool ? 0 : pool_here();
    for (auto& [data, block] : blocks_)
      if (block.pool == pool) block.pool = heir;
    free_[heir].merge(free_[pool]);
    free_.erase(pool);
  }

 private:
  struct Block {
    std::size_t size;
    bool is_free;
    bool first;  // of its segment: never joined with what lies before it
    int pool;    // its segment's
  };
  using Blocks = std::map<std::byte*, Block>;
  using FreeBlocks = std::set<std::pair<std::size_t, std::byte*>>;  // by size

  int pool_here() const { return pool_of == this ? pool_in_use : 0; }
  bool by_malloc() const { return kUseMalloc && device_.is_cpu(); }
  static std::size_t rounded(std::size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

  std::byte* take(std::size_t size) {
    const int pool = pool_here();
    FreeBlocks& free = free_[pool];
    auto fit = free.lower_bound({size, nullptr});
    if (fit == free.end()) {
      if (!grow(size, pool)) return nullptr;
      fit = free.lower_bound({size, nullptr});
    }
    std::byte* data = fit->second;
    free.erase(fit);
    Block& block = blocks_.at(data);
    if (block.size > size) {  // keep the rest
      blocks_[data + size] = {block.size - size, true, false, pool};
      free.insert({block.size - size, data + size});
      block.size = size;
    }
    block.is_free = false;
    return data;
  }

  void give(std::byte* data) {
    auto block = blocks_.find(data);
    FreeBlocks& free = free_[block->second.pool];
    block->second.is_free = true;
    auto next = std::next(block);
    if (next != blocks_.end() && next->second.is_free && !next->second.first) {
      free.erase({next->second.size, next->first});
      block->second.size += next->second.size;
      blocks_.erase(next);
    }
    if (!block->second.first) {
      auto before = std::prev(block);
      if (before->second.is_free) {
        free.erase({before->second.size, before->first});
        before->second.size += block->second.size;
        blocks_.erase(block);
        block = before;
      }
    }
    free.insert({block->second.size, block->first});
  }

  void trim_pool(int pool) {
    for (auto at = blocks_.begin(); at != blocks_.end();) {
      const auto [data, block] = *at;
      const auto next = std::next(at);
      const bool whole = block.first && (next == blocks_.end() || next->second.first);
      if (whole && block.is_free && block.pool == pool) {
        free_[pool].erase({block.size, data});
        source_->release(data, block.size);
        reserved_ -= block.size;
        blocks_.erase(at);
      }
      at = next;
    }
  }

  bool grow(std::size_t size, int pool) {
    for (const bool again : {false, true}) {
      // What is free is too small; given back, it may be enough. Not so another pool's: recorded
      // work uses memory that nobody holds.
      if (again && pool != 0) break;
      if (again) trim_pool(pool);
      for (std::size_t want : {std::max(size, source_->step()), size})
        if (add_segment((want + 0x1fffff) & ~std::size_t(0x1fffff), pool)) return true;
    }
    return false;
  }
  bool add_segment(std::size_t bytes, int pool) {
    auto* const begin = static_cast<std::byte*>(source_->segment(bytes));
    if (begin == nullptr) return false;
    blocks_[begin] = {bytes, true, true, pool};
    free_[pool].insert({bytes, begin});
    reserved_ += bytes;
    peak_reserved_ = std::max(peak_reserved_, reserved_);
    return true;
  }

  std::string shortage_of(std::size_t bytes) const {
    std::string largest;
    const MemoryStats s = ledger_.stats();
    for (std::size_t i = 0; i < std::min<std::size_t>(s.live_by_tag.size(), 5); ++i)
      largest += fmt::format("{}{} {:.1f} MB", i ? ", " : "", s.live_by_tag[i].first,
                             double(s.live_by_tag[i].second) / 1e6);
    return fmt::format(
        "out of memory on {}: wanted {:.1f} MB with {:.1f} MB live of {:.1f} MB; largest: {}",
        device_.is_cpu() ? "cpu" : device_.str(), double(bytes) / 1e6, double(s.live_bytes) / 1e6,
        double(limit_) / 1e6, largest);
  }

  Device device_;
  std::unique_ptr<Source> source_;
  mutable std::mutex mutex_;
  Ledger ledger_;
  Blocks blocks_;
  std::map<int, FreeBlocks> free_;  // by pool
  int pools_ = 0;
  std::size_t reserved_ = 0, peak_reserved_ = 0, limit_ = 0, machine_ = 0;
};

/// The host's, which lends its memory to kernels.
CachingAllocator& host() {
  static auto* allocator = [] {
    auto* made = new CachingAllocator(kCpu, std::make_unique<HostMemory>());
    cpu::use_scratch_source({[](std::size_t bytes) { return host().lend(bytes); },
                             [](void* data, std::size_t) { host().take_back(data); }});
    return made;
  }();
  return *allocator;
}

}  // namespace

MemoryTag memory_tag(std::string_view name) {
  Tags& t = tags();
  const std::lock_guard lock(t.mutex);
  const auto [it, fresh] = t.ids.try_emplace(std::string(name), MemoryTag(t.names.size()));
  if (fresh) t.names.emplace_back(name);
  return it->second;
}

Allocator& Allocator::of(Device device) {
  // Never destroyed: tensors with static lifetime free through them.
  static Allocator* meta = new CachingAllocator(kMeta, std::make_unique<NoMemory>());
  if (device.type != DeviceType::cuda) return device.is_meta() ? *meta : host();
#ifdef NOISETTE_CUDA
  static std::mutex mutex;
  static auto* of_device = new std::map<int, CachingAllocator>;
  const std::lock_guard lock(mutex);
  if (const auto at = of_device->find(device.index); at != of_device->end()) return at->second;
  const int count = cuda::device_count();
  check(device.index >= 0 && device.index < count,
        "[memory] there is no {}; CUDA devices on this machine: {}", device, count);
  cuda::use_reserve([](int index) { Allocator::of({DeviceType::cuda, index}).trim(); });
  return of_device->try_emplace(device.index, device, std::make_unique<CudaMemory>(device.index))
      .first->second;
#else
  fail("[memory] {} was asked for, but this build has no CUDA", device);
#endif
}

}  // namespace noisette
