// Sets of 32-byte sectors of device memory, as masks of 64 neighbours (2 KiB).
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sim {

inline constexpr uint64_t kSector = 32;
inline constexpr uint64_t kGroup = 64 * kSector;

struct SectorGroup {
  uint64_t key = 0;  // 1 + address / kGroup; 0: none
  uint64_t read = 0, written = 0;
  uint64_t mark = 0;  // of whoever keeps the set
};

/// Open addressing; grows, never shrinks.
class SectorSet {
 public:
  /// The group of a key, new and empty where it was not there.
  SectorGroup& group(uint64_t key) {
    if (groups_.empty()) groups_.resize(16);
    if (groups_[last_].key == key) return groups_[last_];
    last_ = find(key);
    if (groups_[last_].key == 0) {
      if (++size_ * 2 > groups_.size()) grow(), last_ = find(key);
      groups_[last_].key = key;
    }
    return groups_[last_];
  }
  template <class F>
  void each(F&& f) const {
    for (const SectorGroup& g : groups_)
      if (g.key != 0) f(g);
  }

 private:
  size_t find(uint64_t key) const {
    const size_t last = groups_.size() - 1;
    size_t at = size_t(key * 0x9e3779b97f4a7c15 >> 20) & last;
    while (groups_[at].key != 0 && groups_[at].key != key) at = (at + 1) & last;
    return at;
  }
  void grow() {
    std::vector<SectorGroup> old(groups_.size() * 2);
    old.swap(groups_);
    for (const SectorGroup& g : old)
      if (g.key != 0) groups_[find(g.key)] = g;
  }

  std::vector<SectorGroup> groups_;
  size_t size_ = 0, last_ = 0;
};

}  // namespace sim
