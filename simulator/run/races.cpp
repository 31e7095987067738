#include "simulator/run/races.h"

#include <algorithm>
#include <bit>

namespace sim {
namespace {

constexpr uint32_t kStrong = 0x80000000;
constexpr uint32_t kManyTicks = 0xf0000000;  // the count begins anew with the next block

template <size_t N>
void join(std::array<uint32_t, N>& to, const std::array<uint32_t, N>& from) {
  for (size_t k = 0; k < N; ++k) to[k] = std::max(to[k], from[k]);
}

}  // namespace

void Races::start(uint32_t threads, uint64_t shared_bytes, uint32_t unit) {
  warps_ = (threads + kLanes - 1) / kLanes;
  const uint64_t units = (shared_bytes + unit - 1) / unit;
  unit_ = unit;
  shift_ = std::countr_zero(unit);
  // Ticks only grow, so what an earlier block left behind is before all that this one does.
  if (units_.size() < units || reads_.size() < units * warps_ || now_ > kManyTicks) {
    now_ = 0;
    units_.assign(units, {});
    reads_.assign(units * warps_, 0);
  }
  sync_all();
  for (auto& l : lanes_) l.reset();
  reads_done_.fill(floor_);
  handed_ = {};
  barriers_ = {};
  mbarriers_.clear();
}

void Races::sync_all() {
  floor_ = ++now_;
  tick_.fill(++now_);
  for (uint32_t w = 0; w < warps_; ++w) seen_[w].fill(floor_);
}

bool Races::ordered(uint32_t warp, int lane, uint32_t thread, uint32_t tick) const {
  const uint32_t other = thread / kLanes, other_lane = thread % kLanes;
  if (tick <= seen_[warp][other]) return true;
  if (other != warp) return false;
  return other_lane == uint32_t(lane) ||
         (lanes_[warp] && tick <= lanes_[warp]->known[size_t(lane)][other_lane]);
}

bool Races::read(const Touch& a, Conflict& found) {
  const Clock& seen = seen_[a.warp];
  const uint64_t count = (a.bytes + unit_ - 1) >> shift_;
  const uint32_t tick = tick_[a.warp];
  const uint64_t now = uint64_t(tick) << 32;
  has_read_ |= 1u << a.warp;
  for (uint32_t rest = a.lanes; rest; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const uint64_t first = a.at[lane] >> shift_;
    for (uint64_t u = first; u < first + count; ++u) {
      Unit& unit = units_[u];
      if (unit.tick > floor_) {
        const uint32_t writer = unit.thread & ~kStrong;
        if (unit.tick > seen[writer / kLanes] && !(a.strong && unit.thread & kStrong) &&
            !ordered(a.warp, lane, writer, unit.tick)) {
          found = {lane, u << shift_, writer, true, false, unit.line};
          return true;
        }
      }
      if (a.strong) continue;
      uint64_t& mine = reads_[u * warps_ + a.warp];
      mine = now | (mine >= now ? uint32_t(mine) : 0) | uint64_t(1) << lane;
      unit.read_tick = std::max(unit.read_tick, tick);
      unit.read_line = a.line;
    }
  }
  return false;
}

/// Whether another thread has read the unit and nothing orders that before this write.
bool Races::read_conflicts(const Touch& a, int lane, uint64_t unit, Conflict& found) const {
  const uint64_t* reads = &reads_[unit * warps_];
  const Clock& seen = seen_[a.warp];
  uint32_t late = 0;
  for (uint32_t v = 0; v < warps_; ++v) late |= uint32_t(reads[v] >> 32) > seen[v] ? ~0u : 0u;
  if (!late) return false;
  for (uint32_t v = 0; v < warps_; ++v) {
    const auto tick = uint32_t(reads[v] >> 32);
    if (tick <= seen[v] || (v == a.warp && tick <= reads_done_[v])) continue;
    for (auto lanes = uint32_t(reads[v]); lanes; lanes &= lanes - 1) {
      const uint32_t reader = v * kLanes + uint32_t(std::countr_zero(lanes));
      if (ordered(a.warp, lane, reader, uint32_t(reads[v] >> 32))) continue;
      found = {lane, unit << shift_, reader, false, false, units_[unit].read_line};
      return true;
    }
  }
  return false;
}

void Races::write(const Touch& a, std::vector<Conflict>& found) {
  const Clock& seen = seen_[a.warp];
  const uint64_t count = (a.bytes + unit_ - 1) >> shift_;
  const uint32_t now = tick_[a.warp];
  uint32_t done = 0;
  for (uint32_t rest = a.lanes; rest; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const uint32_t thread = a.warp * kLanes + uint32_t(lane);
    const uint64_t first = a.at[lane] >> shift_;
    bool known = false;
    for (uint64_t u = first; u < first + count; ++u) {
      Unit& unit = units_[u];
      const uint32_t writer = unit.thread & ~kStrong;
      Conflict c;
      if (!known && unit.tick > floor_ && unit.tick > seen[writer / kLanes] &&
          !(a.strong && unit.thread & kStrong) && !ordered(a.warp, lane, writer, unit.tick)) {
        const bool together = unit.tick == now && unit.line == a.line && writer != thread &&
                              writer / kLanes == a.warp && (done >> (writer % kLanes) & 1);
        found.push_back({lane, u << shift_, writer, true, together, unit.line});
        known = true;
      } else if (!known && unit.read_tick > floor_ && read_conflicts(a, lane, u, c)) {
        found.push_back(c);
        known = true;
      }
      unit.tick = now;
      unit.thread = thread | (a.strong ? kStrong : 0);
      unit.line = a.line;
    }
    done |= 1u << lane;
  }
}

void Races::forget(uint64_t at, uint64_t bytes) {
  for (uint64_t u = at >> shift_; u < (at + bytes + unit_ - 1) >> shift_; ++u) units_[u].tick = 0;
}

void Races::landed(uint32_t thread, uint64_t at, uint64_t bytes, uint32_t line) {
  for (uint64_t u = at >> shift_; u < (at + bytes + unit_ - 1) >> shift_; ++u)
    units_[u].tick = tick_[thread / kLanes], units_[u].thread = thread, units_[u].line = line;
}

void Races::release(uint32_t warp, Clock& to) {
  join(to, seen_[warp]);
  to[warp] = std::max(to[warp], tick_[warp]);
}

/// Of itself a warp learns nothing: what its lanes know is another matter.
void Races::acquire(uint32_t warp, const Clock& from) {
  const uint32_t own = seen_[warp][warp];
  join(seen_[warp], from);
  seen_[warp][warp] = own;
}

Races::Lanes& Races::lanes_of(uint32_t warp) {
  if (!lanes_[warp]) lanes_[warp] = std::make_unique<Lanes>();
  return *lanes_[warp];
}

/// The lanes know from now on what each of them did before, and what was handed on.
void Races::hand_on(uint32_t warp, uint32_t lanes, bool all, std::array<uint32_t, kLanes>* handed) {
  if (all) {
    seen_[warp][warp] = tick_[warp];
  } else {
    Lanes& l = lanes_of(warp);
    std::array<uint32_t, kLanes> sum{};
    if (handed) sum = *handed;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
      const auto lane = size_t(std::countr_zero(rest));
      join(sum, l.known[lane]);
      sum[lane] = tick_[warp];
    }
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
      l.known[size_t(std::countr_zero(rest))] = sum;
    if (handed) *handed = sum;
  }
  tick_[warp] = ++now_;
}

void Races::arrive(uint32_t barrier, uint32_t warp) {
  release(warp, barriers_[barrier].coming);
  tick_[warp] = ++now_;
}

void Races::open(uint32_t barrier) {
  Barrier& b = barriers_[barrier];
  b.opened = b.coming;
  b.coming = {};
}

void Races::leave(uint32_t barrier, uint32_t warp, uint32_t lanes, bool all) {
  acquire(warp, barriers_[barrier].opened);
  hand_on(warp, lanes, all, nullptr);
}

void Races::sync_lanes(uint32_t warp, uint32_t lanes, bool all) {
  hand_on(warp, lanes, all, nullptr);
}

void Races::met(uint32_t warp) {
  if (!(has_read_ >> warp & 1)) return;
  has_read_ &= ~(1u << warp);
  reads_done_[warp] = tick_[warp];
  tick_[warp] = ++now_;
}

void Races::order(uint32_t warp, uint32_t lanes, bool all, bool reads, bool writes) {
  if (reads) acquire(warp, handed_);
  if (writes) {
    release(warp, handed_);
    hand_on(warp, lanes, all, &lanes_of(warp).handed);
  } else if (!all && lanes_[warp]) {  // a read takes up what was handed on
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
      join(lanes_[warp]->known[size_t(std::countr_zero(rest))], lanes_[warp]->handed);
  }
}

void Races::arrive_at(uint64_t mbarrier, uint32_t warp, uint32_t lanes, bool all) {
  release(warp, mbarriers_[mbarrier]);
  hand_on(warp, lanes, all, &lanes_of(warp).handed);
}

void Races::wait_at(uint64_t mbarrier, uint32_t warp, uint32_t lanes, bool all) {
  if (const auto it = mbarriers_.find(mbarrier); it != mbarriers_.end()) acquire(warp, it->second);
  if (!all && lanes_[warp])
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
      join(lanes_[warp]->known[size_t(std::countr_zero(rest))], lanes_[warp]->handed);
}

}  // namespace sim
