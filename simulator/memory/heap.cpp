#include "simulator/memory/heap.h"

#include <algorithm>
#include <map>
#include <mutex>

namespace sim {
namespace {

constexpr const char* kName = "malloc in a kernel";

std::mutex mutex;
uint64_t most = 8 << 20;
std::map<int, uint64_t> used;  // by device

/// What a request takes: its memory is aligned to 16 bytes. How much a card's heap takes to manage
/// it is not documented.
uint64_t taken_by(uint64_t bytes) { return (bytes + 15) / 16 * 16; }

}  // namespace

uint64_t heap_limit() {
  const std::lock_guard lock(mutex);
  return most;
}
void set_heap_limit(uint64_t bytes) {
  const std::lock_guard lock(mutex);
  most = bytes;
}

bool is_of_heap(const Allocation& a) { return a.name == kName; }

std::optional<uint64_t> heap_allocate(uint64_t bytes, int device) {
  const std::lock_guard lock(mutex);
  uint64_t& held = used[device];
  if (bytes > most || held > most || taken_by(bytes) > most - held) return std::nullopt;
  bytes = std::max<uint64_t>(bytes, 1);
  const auto at = allocate(bytes, device, MemoryKind::device, kName);
  if (at) held += taken_by(bytes);
  return at;
}

FreeResult heap_release(uint64_t address) {
  const std::lock_guard lock(mutex);
  const auto a = find_allocation(address);
  if (a && a->base == address && !is_of_heap(*a)) return FreeResult::unknown;
  const FreeResult result = release(address);
  if (result == FreeResult::done) used[a->device] -= taken_by(a->bytes);
  return result;
}

}  // namespace sim
