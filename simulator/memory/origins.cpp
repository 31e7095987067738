#include "simulator/memory/origins.h"

#include <map>
#include <mutex>

namespace sim {
namespace {

constexpr size_t kMost = 1 << 16;

struct Origins {
  std::mutex mutex;
  std::map<uint64_t, std::shared_ptr<const Fault>> by_address;
};
Origins& origins() {
  static auto* const all = new Origins;  // kernels may run while the process ends
  return *all;
}

}  // namespace

void remember_origin(uint64_t address, std::shared_ptr<const Fault> fault) {
  const std::lock_guard lock(origins().mutex);
  auto& all = origins().by_address;
  if (all.size() < kMost || all.contains(address)) all[address] = std::move(fault);
}

std::shared_ptr<const Fault> origin_of(uint64_t address) {
  const std::lock_guard lock(origins().mutex);
  const auto it = origins().by_address.find(address);
  return it == origins().by_address.end() ? nullptr : it->second;
}

void forget_origins(uint64_t address, uint64_t bytes) {
  const std::lock_guard lock(origins().mutex);
  auto& all = origins().by_address;
  all.erase(all.lower_bound(address), all.lower_bound(address + bytes));
}

}  // namespace sim
