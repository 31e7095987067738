#include "simulator/exec/counters.h"

#include <algorithm>
#include <array>

#include "simulator/code/work.h"
#include "simulator/exec/lanes.h"
#include "simulator/exec/warp.h"
#include "simulator/run/block.h"

namespace sim {
namespace {

constexpr uint32_t kBanks = 32, kBankBytes = 4;
constexpr size_t kMeetings = 1 << 16;

/// A few numbers, each of which is wanted once.
template <size_t N>
struct Few {
  std::array<uint64_t, N> values;
  size_t count = 0;
  void add(uint64_t v) {
    if (count == 0 || values[count - 1] != v) values[count++] = v;
  }
  size_t distinct() {
    const auto end = values.begin() + std::ptrdiff_t(count);
    if (!std::is_sorted(values.begin(), end)) std::sort(values.begin(), end);
    return count = size_t(std::unique(values.begin(), end) - values.begin());
  }
};

void touch(BlockTraffic& t, const Counter& c, uint64_t sector, Use use) {
  SectorGroup& g = t.sectors.group(1 + sector / 64);
  const uint64_t bit = uint64_t(1) << (sector % 64);
  if (use != Use::write) g.read |= bit;
  if (use != Use::read) g.written |= bit;
  if (c.past_l1 || use != Use::read) {
    ++t.past_l1;
    return;
  }
  ++t.through_l1;
  t.through_distinct += (g.mark & bit) == 0;
  g.mark |= bit;
}

/// The most lanes at one address; each address' lanes are handed on.
template <class F>
uint32_t most_at_one(uint32_t mask, const Addresses& at, F&& each) {
  uint32_t most = 0;
  while (mask) {
    const uint64_t address = at[size_t(std::countr_zero(mask))];
    const uint32_t same = mask & lanes_where([&](int l) { return at[size_t(l)] == address; });
    const auto lanes = uint32_t(std::popcount(same));
    each(address, lanes);
    most = std::max(most, lanes);
    mask &= ~same;
  }
  return most;
}

void count_global(Warp& w, Counter& c, uint32_t mask, const Addresses& at, uint32_t bytes,
                  Use use) {
  const auto lanes = uint64_t(std::popcount(mask));
  ++c.requests;
  c.bytes += lanes * bytes;
  Few<kLanes> begins;
  Few<2 * kLanes> sectors;  // an access is no wider than 32 bytes
  each_lane(mask, [&](int l) {
    const uint64_t a = at[size_t(l)];
    begins.add(a);
    sectors.add(a / kSector);
    sectors.add((a + bytes - 1) / kSector);
  });
  c.least_sectors += (begins.distinct() * bytes + kSector - 1) / kSector;
  c.sectors += sectors.distinct();
  for (size_t k = 0; k < sectors.count; ++k) touch(w.block().traffic(), c, sectors.values[k], use);
  if (c.kind != Class::atomic) return;
  c.atomics += lanes;
  c.atomic_turns += most_at_one(
      mask, at, [&](uint64_t address, uint32_t n) { w.block().tally()->atomic(address, n); });
}

/// Turns of the banks for some lanes at once: in each bank as many as words are wanted of it. Lanes
/// that want the same word share it, but for atomic operations.
uint32_t turns(uint32_t mask, const Addresses& at, uint32_t bytes, bool share) {
  Few<4 * kLanes> words;
  std::array<uint8_t, kBanks> wanted{};
  uint32_t most = 0;
  each_lane(mask, [&](int l) {
    const uint64_t a = at[size_t(l)];
    for (uint64_t word = a / kBankBytes; word <= (a + bytes - 1) / kBankBytes; ++word)
      words.values[words.count++] = word;
  });
  if (share) words.distinct();
  for (size_t k = 0; k < words.count; ++k)
    most = std::max<uint32_t>(most, ++wanted[words.values[k] % kBanks]);
  return most;
}

/// The banks give 128 bytes a turn: accesses of 8 bytes go by half warps, of 16 by quarters.
void count_shared(Counter& c, uint32_t mask, const Addresses& at, uint32_t bytes) {
  const bool atomic = c.kind == Class::atomic;
  const uint32_t together = bytes <= 4 ? 32 : bytes <= 8 ? 16 : 8;
  c.shared_bytes += uint64_t(std::popcount(mask)) * bytes;
  for (uint32_t first = 0; first < kLanes; first += together) {
    const uint32_t part = mask & (together == 32 ? kAllLanes : ((1u << together) - 1) << first);
    if (part == 0) continue;
    c.wavefronts += turns(part, at, bytes, !atomic);
    ++c.least_wavefronts;
  }
  if (!atomic) return;
  c.atomics += uint64_t(std::popcount(mask));
  c.atomic_turns += most_at_one(mask, at, [](uint64_t, uint32_t) {});
}

/// Words of local memory at one offset lie side by side, a lane after another.
void count_local(Counter& c, uint32_t mask, const Addresses& at, uint32_t bytes) {
  c.local_bytes += uint64_t(std::popcount(mask)) * bytes;
  Few<8 * kLanes> sectors;
  for (uint32_t k = 0; k < bytes; k += 4)
    each_lane(mask, [&](int l) { sectors.add((at[size_t(l)] + k) / 4 * 4 + uint64_t(l) / 8); });
  c.local_sectors += sectors.distinct();
}

}  // namespace

Counter* Tally::of(const Code& code) {
  auto [it, added] = codes_.try_emplace(&code);
  if (added) {
    it->second.resize(code.insts.size());
    for (size_t k = 0; k < code.insts.size(); ++k) {
      const Inst& inst = code.insts[k];
      it->second[k].kind = inst.kind;
      it->second[k].past_l1 = work_of(code.function->code[inst.source], inst.kind).past_l1;
    }
  }
  return it->second.data();
}

void Tally::atomic(uint64_t address, uint64_t times) {
  if (meetings_.empty()) meetings_.resize(kMeetings);
  meetings_[address / 4 * 0x9e3779b97f4a7c15 >> 48] += times;
}

void count_access(Warp& w, const LanesBySpace& lanes, const Addresses& at, uint32_t bytes,
                  Use use) {
  Counter& c = *w.counter();
  if (lanes.global && c.kind != Class::constant) count_global(w, c, lanes.global, at, bytes, use);
  if (lanes.shared) count_shared(c, lanes.shared, at, bytes);
  if (lanes.local) count_local(c, lanes.local, at, bytes);
}

void count_run(Warp& w, uint64_t at, uint32_t bytes, Use use) {
  Counter& c = *w.counter();
  if (c.kind == Class::constant || bytes == 0) return;
  ++c.requests;
  c.bytes += bytes;
  c.least_sectors += (bytes + kSector - 1) / kSector;
  const uint64_t first = at / kSector, last = (at + bytes - 1) / kSector;
  c.sectors += last - first + 1;
  for (uint64_t s = first; s <= last; ++s) touch(w.block().traffic(), c, s, use);
}

void count_shared_run(Warp& w, uint32_t bytes) {
  Counter& c = *w.counter();
  const uint64_t full = (bytes + kBanks * kBankBytes - 1) / (kBanks * kBankBytes);
  c.shared_bytes += bytes;
  c.wavefronts += full;
  c.least_wavefronts += full;
}

}  // namespace sim
