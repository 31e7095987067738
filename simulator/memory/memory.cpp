#include "simulator/memory/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>

#include "simulator/device/settings.h"
#include "simulator/memory/heap.h"
#include "simulator/memory/lazy_shadow.h"
#include "simulator/memory/origins.h"

namespace sim {
namespace {

// Allocations own whole pages with one between them, so that all of them can go back to the system.
constexpr uint64_t kPage = 4096;
// Freed memory says so in its shadow up to this many bytes, and in reports up to this many blocks;
// what was freed before reads as never mapped.
constexpr uint64_t kFreedShadow = 256 << 20;
constexpr size_t kFreedBlocks = 1 << 16;

uint64_t round_up(uint64_t n, uint64_t unit) { return (n + unit - 1) / unit * unit; }

struct Span {
  uint64_t begin = 0, end = 0;
};

class Memory {
 public:
  Memory();
  std::optional<uint64_t> allocate(Allocation a, uint64_t limit, bool written);
  FreeResult release(uint64_t base);
  std::optional<Allocation> find(uint64_t address);
  std::string describe(uint64_t address);
  std::vector<Allocation> live();
  uint64_t live_bytes(int device);
  bool map_to(uint64_t base, uint64_t host, uint64_t bytes);

 private:
  std::optional<uint64_t> place(uint64_t bytes);
  void forget_freed(Span s);
  void bury(Span s);

  std::mutex mutex_;
  int file_ = -1;
  std::map<uint64_t, Allocation> live_, freed_;  // by base
  std::map<int, uint64_t> device_bytes_;
  std::deque<Span> buried_;  // freed, with kFreed in the shadow; oldest first
  uint64_t buried_bytes_ = 0;
  std::deque<uint64_t> graves_;  // the bases in freed_, oldest first
  uint64_t next_ = kDeviceBase + kPage;
  bool went_round_ = false;
  uint64_t count_ = 0;
};

[[noreturn]] void cannot_map(const char* what) {
  std::fprintf(stderr, "sim: cannot reserve addresses for %s: %s\n", what, std::strerror(errno));
  std::_Exit(2);
}

void map_at(uint64_t where, uint64_t bytes, int protection, int flags, int file, const char* what) {
  void* want = reinterpret_cast<void*>(where);
  void* got = mmap(want, bytes, protection, flags | MAP_NORESERVE | MAP_FIXED_NOREPLACE, file, 0);
  if (got != want) cannot_map(what);
  madvise(got, bytes, MADV_DONTDUMP);
}

Memory::Memory() {
  file_ = memfd_create("simulated device memory", MFD_CLOEXEC);
  if (file_ < 0 || ftruncate(file_, off_t(kWindow)) != 0) cannot_map("device memory");
  map_at(kDeviceBase, kWindow, PROT_NONE, MAP_SHARED, file_, "device memory");
  map_at(kDeviceBase + kToRaw, kWindow, PROT_READ | PROT_WRITE, MAP_SHARED, file_, "device memory");
  const uint64_t shadow_base = kDeviceBase + kToShadow;
  map_at(shadow_base, kWindow, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
         "the shadow");
  madvise(reinterpret_cast<void*>(shadow_base), kWindow, MADV_HUGEPAGE);
  map_at(kSummaryBase, kWindow / kSummed + kWindow / kOwnedPage, PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS, -1, "the shadow");
}

bool host_may_touch(MemoryKind kind) {
  return kind == MemoryKind::pinned || kind == MemoryKind::managed;
}

/// Memory of the card, as opposed to the host's or a module's.
bool counts(const Allocation& a) {
  return a.kind == MemoryKind::device || a.kind == MemoryKind::managed;
}

uint64_t footprint(const Allocation& a) { return round_up(std::max<uint64_t>(a.bytes, 1), kPage); }
uint64_t end_of(const Allocation& a) { return a.base + footprint(a); }

/// Next fit: addresses come round again only when the whole window was used.
std::optional<uint64_t> Memory::place(uint64_t bytes) {
  for (int round = 0; round < 2; round++) {
    uint64_t at = next_;
    auto after = live_.upper_bound(at);
    if (after != live_.begin()) at = std::max(at, end_of(std::prev(after)->second) + kPage);
    for (; after != live_.end() && at + bytes + kPage > after->first; after++)
      at = end_of(after->second) + kPage;
    if (at + bytes + kPage <= kDeviceBase + kWindow) return at;
    next_ = kDeviceBase + kPage;
    went_round_ = true;
  }
  return std::nullopt;
}

/// Makes the shadow say that nothing was ever there, and takes no memory for it.
void clear_shadow(Span s) {
  madvise(shadow(s.begin), s.end - s.begin, MADV_DONTNEED);
  forget_summary(s.begin, s.end - s.begin);
}

void Memory::forget_freed(Span s) {
  auto it = freed_.lower_bound(s.begin);
  if (it != freed_.begin() && end_of(std::prev(it)->second) > s.begin) it--;
  while (it != freed_.end() && it->first < s.end) it = freed_.erase(it);
  std::erase_if(buried_, [&](const Span& b) {
    if (b.end <= s.begin || s.end <= b.begin) return false;
    buried_bytes_ -= b.end - b.begin;
    clear_shadow(b);
    return true;
  });
}

/// Of large ones the whole pages cost nothing until they are written.
void mark_new(uint64_t base, uint64_t bytes, uint8_t state) {
  const uint64_t pages = bytes / kPage * kPage;
  const bool lazy = pages >= kLazyShadow && show_state(base, pages, state);
  const uint64_t done = lazy ? pages : 0;
  mark(base + done, bytes - done, state);
}

std::optional<uint64_t> Memory::allocate(Allocation a, uint64_t limit, bool written) {
  std::lock_guard lock(mutex_);
  if (a.bytes > kWindow) return std::nullopt;
  uint64_t& used = device_bytes_[a.device];
  if (counts(a) && (a.bytes > limit || used > limit - a.bytes)) return std::nullopt;
  const bool open = host_may_touch(a.kind);
  const uint64_t size = footprint(a);
  const auto base = place(size);
  if (!base) return std::nullopt;

  if (went_round_) forget_freed({*base, *base + size});
  void* view = reinterpret_cast<void*>(*base);
  if (open && mprotect(view, size, PROT_READ | PROT_WRITE) != 0) return std::nullopt;
  const bool ready = open || written || settings().sample != 0;
  mark_new(*base, a.bytes, ready ? kReady : kAddressable);
  forget_origins(*base, a.bytes);
  set_owner(*base, size, open ? uint8_t(kNobody) : uint8_t(kFirstDevice + a.device));
  next_ = *base + size + kPage;
  if (counts(a)) used += a.bytes;
  a.base = *base;
  a.number = ++count_;
  live_[*base] = std::move(a);
  return base;
}

void Memory::bury(Span s) {
  const uint64_t bytes = s.end - s.begin;
  if (bytes > kFreedShadow) return clear_shadow(s);
  mark(s.begin, bytes, kFreed);
  buried_.push_back(s);
  buried_bytes_ += bytes;
  while (buried_bytes_ > kFreedShadow) {
    clear_shadow(buried_.front());
    buried_bytes_ -= buried_.front().end - buried_.front().begin;
    buried_.pop_front();
  }
}

FreeResult Memory::release(uint64_t base) {
  std::lock_guard lock(mutex_);
  auto it = live_.find(base);
  if (it == live_.end()) {
    if (freed_.count(base)) return FreeResult::already_freed;
    auto next = live_.upper_bound(base);
    const bool inside = next != live_.begin() && base < end_of(std::prev(next)->second);
    return inside ? FreeResult::not_a_base : FreeResult::unknown;
  }
  Allocation a = std::move(it->second);
  live_.erase(it);
  const Span pages{base, end_of(a)};
  if (counts(a)) device_bytes_[a.device] -= a.bytes;
  if (host_may_touch(a.kind)) mprotect(reinterpret_cast<void*>(base), pages.end - base, PROT_NONE);
  fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off_t(base - kDeviceBase),
            off_t(pages.end - base));
  if (pages.end - base >= kLazyShadow) show_nothing(base, pages.end - base);
  bury(pages);
  a.freed = true;
  freed_[base] = std::move(a);
  graves_.push_back(base);
  if (graves_.size() > kFreedBlocks) {
    freed_.erase(graves_.front());
    graves_.pop_front();
  }
  return FreeResult::done;
}

std::optional<Allocation> Memory::find(uint64_t address) {
  std::lock_guard lock(mutex_);
  auto it = live_.upper_bound(address);
  if (it == live_.begin()) return std::nullopt;
  const Allocation& a = std::prev(it)->second;
  if (address - a.base >= a.bytes) return std::nullopt;
  return a;
}

uint64_t distance(const Allocation& a, uint64_t address) {
  if (address < a.base) return a.base - address;
  return address - a.base < a.bytes ? 0 : address - (a.base + a.bytes) + 1;
}

std::string count_of(uint64_t n) { return std::to_string(n) + (n == 1 ? " byte" : " bytes"); }

std::string text_of(const Allocation& a) {
  char base[32];
  std::snprintf(base, sizeof base, "0x%llx", static_cast<unsigned long long>(a.base));
  std::string text = "allocation " + std::to_string(a.number);
  if (is_variable(a)) text = (is_of_heap(a) ? "memory of " : "variable ") + a.name;
  text += ", " + count_of(a.bytes) + " at " + base;
  if (!is_variable(a)) text += " by " + a.name;
  return text + (a.freed ? " (freed)" : "");
}

std::string Memory::describe(uint64_t address) {
  std::lock_guard lock(mutex_);
  const Allocation* best = nullptr;
  auto consider = [&](const Allocation& a) {
    if (!best || distance(a, address) < distance(*best, address)) best = &a;
  };
  for (const auto* map : {&live_, &freed_}) {
    auto it = map->upper_bound(address);
    if (it != map->end()) consider(it->second);
    if (it != map->begin()) consider(std::prev(it)->second);
  }
  if (!best || distance(*best, address) > kWindow) return "no allocation is near";
  if (address < best->base) return count_of(best->base - address) + " before " + text_of(*best);
  const uint64_t offset = address - best->base;
  if (offset < best->bytes) return "byte " + std::to_string(offset) + " of " + text_of(*best);
  return count_of(offset - best->bytes) + " after " + text_of(*best);
}

bool Memory::map_to(uint64_t base, uint64_t host, uint64_t bytes) {
  return mmap(reinterpret_cast<void*>(host), bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
              file_, off_t(base - kDeviceBase)) != MAP_FAILED;
}

std::vector<Allocation> Memory::live() {
  std::lock_guard lock(mutex_);
  std::vector<Allocation> all;
  for (const auto& [base, a] : live_) all.push_back(a);
  std::sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.number < b.number; });
  return all;
}

uint64_t Memory::live_bytes(int device) {
  std::lock_guard lock(mutex_);
  return device_bytes_[device];
}

/// Whole pages: neighbours of what was registered too, which AddressSanitizer would not let go.
__attribute__((no_sanitize("address"))) void copy_pages(uint64_t to, uint64_t from,
                                                        uint64_t bytes) {
  auto* out = reinterpret_cast<volatile uint64_t*>(to);
  const auto* in = reinterpret_cast<const volatile uint64_t*>(from);
  for (uint64_t i = 0; i < bytes / sizeof *out; i++) out[i] = in[i];
}

/// Never destroyed: programs free memory in destructors that run at exit.
Memory& memory() {
  static Memory* const m = new Memory;
  return *m;
}

}  // namespace

void open_memory() { memory(); }

void set_owner(uint64_t base, uint64_t bytes, uint8_t owner) {
  void* const first = reinterpret_cast<void*>(kOwnersBase + (base - kDeviceBase) / kOwnedPage);
  std::memset(first, owner, (bytes + kOwnedPage - 1) / kOwnedPage);
}

namespace {

/// By owner: a bit for each device.
std::atomic<uint32_t> reached_by[256];

uint32_t own(uint8_t owner) {
  if (owner == kNobody) return ~0u;
  return owner < kFirstPool ? 1u << (owner - kFirstDevice) : 0;
}

}  // namespace

bool reaches(int device, uint8_t owner) {
  return (own(owner) | reached_by[owner].load(std::memory_order_relaxed)) >> device & 1;
}

void let_reach(int device, uint8_t owner, bool yes) {
  const uint32_t bit = 1u << device;
  if (yes)
    reached_by[owner] |= bit;
  else
    reached_by[owner] &= ~bit;
}

void forget_summary(uint64_t address, uint64_t bytes) {
  const uint64_t last = address + std::max<uint64_t>(bytes, 1) - 1;
  std::memset(summary(address), 0, size_t(summary(last) - summary(address)) + 1);
}

void mark(uint64_t address, uint64_t bytes, uint8_t state) {
  std::memset(shadow(address), state, bytes);
  if (state != kReady && bytes > 0) forget_summary(address, bytes);
}

bool sum_up(uint64_t address) {
  const uint64_t begin = address / kSummed * kSummed;
  uint64_t unready = 0;
  for (uint64_t k = 0; k < kSummed; k += 8) {
    uint64_t word;
    std::memcpy(&word, shadow(begin) + k, 8);
    unready |= word ^ 0x0303030303030303;
  }
  if (unready == 0) *summary(address) = 1;
  return unready == 0;
}

std::optional<uint64_t> allocate(uint64_t bytes, int device, MemoryKind kind, std::string name,
                                 uint64_t limit, bool written) {
  Allocation a;
  a.bytes = bytes;
  a.device = device;
  a.kind = kind;
  a.name = std::move(name);
  return memory().allocate(std::move(a), limit, written);
}

std::optional<uint64_t> show_host_memory(uint64_t pages, uint64_t page_bytes, uint64_t offset,
                                         uint64_t bytes, int device, std::string name) {
  const auto base = allocate(page_bytes, device, MemoryKind::pinned, std::move(name));
  if (!base) return base;
  std::memset(shadow(*base), kUnmapped, page_bytes);
  std::memset(shadow(*base + offset), kReady, bytes);
  copy_pages(*base + kToRaw, pages, page_bytes);
  if (memory().map_to(*base, pages, page_bytes)) return base;
  release(*base);
  return std::nullopt;
}

void hide_host_memory(uint64_t pages, uint64_t page_bytes, uint64_t base) {
  void* const host = reinterpret_cast<void*>(pages);
  mmap(host, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  copy_pages(pages, base + kToRaw, page_bytes);
  release(base);
}

FreeResult release(uint64_t base) { return memory().release(base); }
std::optional<Allocation> find_allocation(uint64_t address) { return memory().find(address); }
std::string describe_address(uint64_t address) { return memory().describe(address); }
std::vector<Allocation> live_allocations() { return memory().live(); }
uint64_t live_bytes(int device) { return memory().live_bytes(device); }

}  // namespace sim
