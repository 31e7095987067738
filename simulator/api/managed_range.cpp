// What the program said of parts of managed memory: advice and prefetches. It changes nothing here,
// but can be asked for.
#include <iterator>
#include <map>

#include "simulator/api/api.h"
#include "simulator/api/pointers.h"
#include "simulator/device/settings.h"
#include "simulator/memory/memory.h"

using namespace sim;

namespace {

struct Said {
  bool read_mostly = false;
  uint32_t accessed_by = 0;  // a bit for each device
  cudaMemLocation preferred = {cudaMemLocationTypeInvalid, cudaInvalidDeviceId};
  cudaMemLocation fetched = {cudaMemLocationTypeInvalid, cudaInvalidDeviceId};
};

/// Each entry holds from its address to that of the next one.
std::map<uint64_t, Said>& said() {
  static auto* const all = new std::map<uint64_t, Said>{{0, {}}};
  return *all;
}

/// The entry that begins at an address, split off where there was none.
std::map<uint64_t, Said>::iterator entry_at(uint64_t address) {
  const auto it = std::prev(said().upper_bound(address));
  return it->first == address ? it : said().emplace(address, it->second).first;
}

template <class Change>
void change(uint64_t begin, uint64_t end, Change&& to) {
  const auto last = entry_at(end), first = entry_at(begin);
  for (auto it = first; it != last; ++it) to(it->second);
}

/// What all of a range have in common.
Said common(uint64_t begin, uint64_t end) {
  const auto differs = [](const cudaMemLocation& a, const cudaMemLocation& b) {
    return a.type != b.type || a.id != b.id;
  };
  auto it = std::prev(said().upper_bound(begin));
  Said all = it->second;
  for (++it; it != said().end() && it->first < end; ++it) {
    all.read_mostly &= it->second.read_mostly;
    all.accessed_by &= it->second.accessed_by;
    if (differs(all.preferred, it->second.preferred)) all.preferred = Said{}.preferred;
    if (differs(all.fetched, it->second.fetched)) all.fetched = Said{}.fetched;
  }
  return all;
}

/// As a number of the old form: a device, cudaCpuDeviceId or cudaInvalidDeviceId.
int number_of(const cudaMemLocation& l) {
  if (l.type == cudaMemLocationTypeDevice) return l.id;
  return l.type == cudaMemLocationTypeInvalid ? cudaInvalidDeviceId : cudaCpuDeviceId;
}

void fill_devices(const Said& s, int* out, size_t count) {
  size_t found = 0;
  for (int device = 0; device < settings().devices && found < count; device++)
    if (s.accessed_by >> device & 1) out[found++] = device;
  while (found < count) out[found++] = cudaInvalidDeviceId;
}

void get(void* data, size_t bytes, cudaMemRangeAttribute attribute, const Said& s) {
  check(data && bytes > 0 && bytes % 4 == 0, cudaErrorInvalidValue);
  int* const out = static_cast<int*>(data);
  if (attribute == cudaMemRangeAttributeAccessedBy) return fill_devices(s, out, bytes / 4);
  check(bytes == 4, cudaErrorInvalidValue);
  switch (attribute) {
    case cudaMemRangeAttributeReadMostly:
      *out = s.read_mostly;
      return;
    case cudaMemRangeAttributePreferredLocation:
      *out = number_of(s.preferred);
      return;
    case cudaMemRangeAttributePreferredLocationType:
      *out = s.preferred.type;
      return;
    case cudaMemRangeAttributePreferredLocationId:
      *out = s.preferred.id;
      return;
    case cudaMemRangeAttributeLastPrefetchLocation:
      *out = number_of(s.fetched);
      return;
    case cudaMemRangeAttributeLastPrefetchLocationType:
      *out = s.fetched.type;
      return;
    case cudaMemRangeAttributeLastPrefetchLocationId:
      *out = s.fetched.id;
      return;
    default:
      fail(cudaErrorInvalidValue);
  }
}

}  // namespace

void sim::note_advice(const void* pointer, size_t bytes, cudaMemoryAdvise advice,
                      const cudaMemLocation& location) {
  const auto begin = reinterpret_cast<uint64_t>(pointer);
  const uint32_t device = location.type == cudaMemLocationTypeDevice ? 1u << location.id : 0;
  change(begin, begin + bytes, [&](Said& s) {
    if (advice == cudaMemAdviseSetReadMostly) s.read_mostly = true;
    if (advice == cudaMemAdviseUnsetReadMostly) s.read_mostly = false;
    if (advice == cudaMemAdviseSetPreferredLocation) s.preferred = location;
    if (advice == cudaMemAdviseUnsetPreferredLocation) s.preferred = Said{}.preferred;
    if (advice == cudaMemAdviseSetAccessedBy) s.accessed_by |= device;
    if (advice == cudaMemAdviseUnsetAccessedBy) s.accessed_by &= ~device;
  });
}

void sim::note_prefetch(const void* pointer, size_t bytes, const cudaMemLocation& location) {
  const auto begin = reinterpret_cast<uint64_t>(pointer);
  change(begin, begin + bytes, [&](Said& s) { s.fetched = location; });
}

void sim::forget_advice(uint64_t base, uint64_t bytes) {
  change(base, base + bytes, [](Said& s) { s = {}; });
}

SIM_API cudaError_t cudaMemRangeGetAttribute(void* data, size_t size,
                                             cudaMemRangeAttribute attribute, const void* pointer,
                                             size_t bytes) {
  return api(__func__, [&](Lock&) {
    check_managed_range(pointer, bytes);
    const auto begin = reinterpret_cast<uint64_t>(pointer);
    get(data, size, attribute, common(begin, begin + bytes));
  });
}

SIM_API cudaError_t cudaMemRangeGetAttributes(void** data, size_t* sizes,
                                              cudaMemRangeAttribute* attributes, size_t count,
                                              const void* pointer, size_t bytes) {
  return api(__func__, [&](Lock&) {
    check(data && sizes && attributes && count > 0, cudaErrorInvalidValue);
    check_managed_range(pointer, bytes);
    const auto begin = reinterpret_cast<uint64_t>(pointer);
    const Said all = common(begin, begin + bytes);
    for (size_t i = 0; i < count; i++) get(data[i], sizes[i], attributes[i], all);
  });
}
