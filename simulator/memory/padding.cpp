#include "simulator/memory/padding.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "simulator/memory/memory.h"

namespace sim {
namespace {

constexpr size_t kLargestStruct = 512, kLargestMember = 16;

bool all_ready(const uint8_t* shadow, size_t bytes) {
  return std::all_of(shadow, shadow + bytes, [](uint8_t s) { return s == kReady; });
}

/// A member of `align` bytes lies right behind the gap, or, where the gap ends the element, in it.
bool explains(const uint8_t* shadow, size_t period, size_t end, size_t align) {
  if (period % align != 0 || period < 2 * align || end % align != 0) return false;
  if (end < period) return all_ready(shadow + end, align);
  for (size_t at = 0; at < period; at += align)
    if (all_ready(shadow + at, align)) return true;
  return false;
}

/// An element of `period` bytes whose gaps are all padding.
bool is_struct(const uint8_t* shadow, size_t period, bool alone) {
  for (size_t at = 0; at < period; ++at) {
    if (shadow[at] == kReady) continue;
    size_t end = at;
    while (end < period && shadow[end] == kAddressable) ++end;
    const size_t gap = end - at;
    if (gap == 0 || (alone && std::has_single_bit(gap))) return false;
    bool explained = false;
    for (size_t align = std::bit_ceil(gap + 1); align <= kLargestMember; align *= 2)
      explained |= explains(shadow, period, end, align);
    if (!explained) return false;
    at = end - 1;
  }
  return true;
}

}  // namespace

bool is_padding(const uint8_t* shadow, size_t bytes) {
  for (size_t period = 4; period <= std::min(bytes, kLargestStruct); period += 4) {
    if (bytes % period != 0 || !is_struct(shadow, period, period == bytes)) continue;
    if (std::memcmp(shadow, shadow + period, bytes - period) == 0) return true;
  }
  return false;
}

}  // namespace sim
