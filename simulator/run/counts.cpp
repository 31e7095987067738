#include "simulator/run/counts.h"

#include <algorithm>
#include <bit>

namespace sim {
namespace {

uint64_t count(uint64_t bits) { return uint64_t(std::popcount(bits)); }

uint64_t scaled(uint64_t value, uint64_t all, uint64_t sample) {
  return uint64_t(static_cast<unsigned __int128>(value) * all / sample);
}

}  // namespace

void TrafficModel::add(uint64_t order, const BlockTraffic& block) {
  const uint64_t distinct = block.through_distinct;
  const uint64_t lost = distinct > caches_.l1_sectors ? distinct - caches_.l1_sectors : 0;
  l2_sectors += distinct + block.past_l1;
  if (lost) l2_sectors += scaled(block.through_l1 - distinct, lost, distinct);

  Wave& wave = waves_[order / caches_.wave_blocks];
  block.sectors.each([&](const SectorGroup& g) {
    SectorGroup& to = wave.sectors.group(g.key);
    to.read |= g.read;
    to.written |= g.written;
  });
  ++wave.blocks;
  for (auto it = waves_.begin();
       it != waves_.end() && it->first == next_ && it->second.blocks == caches_.wave_blocks;
       it = waves_.erase(it), ++next_)
    settle(it->second.sectors);
}

void TrafficModel::settle(const SectorSet& wave) {
  wave.each([&](const SectorGroup& g) { touched_ += count(g.read | g.written); });
  wave.each([&](const SectorGroup& g) {
    SectorGroup& before = seen_.group(g.key);
    const bool kept = before.mark != 0 && touched_ - before.mark <= caches_.l2_sectors;
    dram_read += count(g.read & ~(kept ? before.read | before.written : 0));
    dram_written += count(g.written & ~(kept ? before.written : 0));
    before.read |= g.read;
    before.written |= g.written;
    before.mark = touched_;
  });
}

void TrafficModel::finish() {
  for (const auto& [number, wave] : waves_) settle(wave.sectors);
  waves_.clear();
  distinct_read = distinct_written = 0;
  seen_.each([&](const SectorGroup& g) {
    distinct_read += count(g.read);
    distinct_written += count(g.written);
  });
}

void LaunchCounts::block_done(uint64_t order, const BlockTraffic& block) {
  const std::lock_guard lock(mutex);
  ++blocks_done;
  traffic.add(order, block);
}

void LaunchCounts::thread_done(const Tally& tally) {
  const std::lock_guard lock(mutex);
  for (const auto& [code, counters] : tally.codes()) {
    auto& sum = codes[code];
    if (sum.empty()) sum.resize(counters.size());
    for (size_t k = 0; k < counters.size(); ++k)
      for (const auto& [name, field] : kCounts) sum[k].*field += counters[k].*field;
  }
  if (tally.meetings().empty()) return;
  meetings.resize(tally.meetings().size());
  for (size_t k = 0; k < meetings.size(); ++k) meetings[k] += tally.meetings()[k];
}

void LaunchCounts::scale(uint64_t all, uint64_t sample) {
  if (all == sample) return;
  for (auto& [code, counters] : codes)
    for (Counter& c : counters)
      for (const auto& [name, field] : kCounts) c.*field = scaled(c.*field, all, sample);
  for (uint64_t& n : meetings) n = scaled(n, all, sample);
  for (uint64_t* n : {&traffic.l2_sectors, &traffic.dram_read, &traffic.dram_written,
                      &traffic.distinct_read, &traffic.distinct_written})
    *n = scaled(*n, all, sample);
}

uint64_t LaunchCounts::hottest() const {
  return meetings.empty() ? 0 : *std::max_element(meetings.begin(), meetings.end());
}

}  // namespace sim
