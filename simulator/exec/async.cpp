#include "simulator/exec/async.h"

#include <cstring>

#include "simulator/exec/lanes.h"
#include "simulator/memory/memory.h"
#include "simulator/run/block.h"

namespace sim {

MbarrierState MbarrierState::from(uint64_t word) {
  MbarrierState s;
  s.pending = uint32_t(word & kMaxArrivals);
  s.expected = uint32_t(word >> 20 & kMaxArrivals);
  s.owed = int32_t(uint32_t(word >> 40) << 10) >> 10;
  s.phase = word >> 63;
  return s;
}

uint64_t MbarrierState::word() const {
  return uint64_t(pending) | uint64_t(expected) << 20 | uint64_t(uint32_t(owed) & 0x3fffff) << 40 |
         uint64_t(phase) << 63;
}

const char* MbarrierState::arrive(uint32_t count) {
  if (count > pending) return "more threads arrive than the phase expects";
  pending -= count;
  return expect(0);
}

const char* MbarrierState::expect(int64_t bytes) {
  const int64_t sum = owed + bytes;
  if (sum > int64_t(kMaxArrivals) || sum < -int64_t(kMaxArrivals))
    return "a phase counts at most 1048575 bytes of copies";
  owed = int32_t(sum);
  if (bytes <= 0 && pending == 0 && owed == 0) {
    phase = !phase;
    pending = expected;
  }
  return nullptr;
}

namespace {

/// Applies f to the state of a barrier.
template <class F>
void change(Warp* w, uint8_t* barrier, F&& f) {
  uint64_t word;
  std::memcpy(&word, barrier, sizeof word);
  MbarrierState state = MbarrierState::from(word);
  const char* wrong = f(state);
  if (wrong && w)
    throw w->at({"mbarrier misused", std::string(wrong) + ", when a copy has landed"}, 0);
  word = state.word();
  std::memcpy(barrier, &word, sizeof word);
}

}  // namespace

void AsyncCopies::Copy::land() const {
  if (filled) std::memcpy(to, read ? read->data() : from, filled);
  if (filled < bytes) std::memset(to + filled, 0, bytes - filled);
  if (marks) std::memset(marks, kReady, bytes);
}

void AsyncCopies::begin(Kind kind, uint32_t thread, const Copy& copy) {
  Queue& queue = queues_[kind][thread];
  queue.steps.push_back({copy});
  ++queue.open;
}

void AsyncCopies::commit(Kind kind, uint32_t thread) {
  Queue& queue = queues_[kind][thread];
  queue.groups.push_back(std::exchange(queue.open, 0));
}

void AsyncCopies::wait(Warp& w, Kind kind, uint32_t thread, size_t left) {
  Queue& queue = queues_[kind][thread];
  while (queue.groups.size() > left) {
    land(&w, queue, queue.groups.front(), thread);
    queue.groups.erase(queue.groups.begin());
  }
}

void AsyncCopies::read(uint32_t thread, size_t left) {
  Queue& queue = queues_[bulk][thread];
  size_t count = 0;
  for (size_t k = 0; k + left < queue.groups.size(); ++k) count += queue.groups[k];
  for (size_t k = 0; k < count; ++k) {
    Copy& copy = queue.steps[k].copy;
    if (!copy.read)
      copy.read = std::make_shared<const std::vector<uint8_t>>(copy.from, copy.from + copy.filled);
  }
}

namespace {

/// Who may see the bytes of a copy that has landed: `thread`, which waited for it, or all who
/// learnt so from an mbarrier.
void tell_races(Warp& w, const AsyncCopies::Copy& copy, std::optional<uint32_t> thread) {
  Races* races = w.block().races_or_none();
  const auto& shared = w.block().shared();
  if (!races || copy.to < shared.data() || copy.to >= shared.data() + shared.size()) return;
  const auto at = uint64_t(copy.to - shared.data());
  if (thread)
    races->landed(*thread, at, copy.bytes, copy.line);
  else
    races->forget(at, copy.bytes);
}

}  // namespace

/// The oldest `count` steps.
void AsyncCopies::land(Warp* w, Queue& queue, size_t count, std::optional<uint32_t> thread) {
  for (size_t k = 0; k < count; ++k) {
    const Step& step = queue.steps[k];
    if (step.barrier)
      change(w, step.barrier, [](MbarrierState& s) { return s.arrive(1); });
    else
      step.copy.land();
    if (!step.barrier && w) tell_races(*w, step.copy, thread);
  }
  queue.steps.erase(queue.steps.begin(), queue.steps.begin() + std::ptrdiff_t(count));
  for (size_t& group : queue.groups) {
    const size_t of_group = std::min(count, group);
    group -= of_group;
    count -= of_group;
  }
  queue.open -= count;
}

void AsyncCopies::arrive_later(uint32_t thread, uint8_t* barrier) {
  Queue& queue = queues_[plain][thread];
  queue.steps.push_back({{}, barrier});
  ++queue.open;
  arrivals_[barrier].push_back(thread);
}

void AsyncCopies::wait_at(Warp& w, uint8_t* barrier) {
  if (const auto it = arrivals_.find(barrier); it != arrivals_.end()) {
    for (const uint32_t thread : it->second) {
      Queue& queue = queues_[plain][thread];
      size_t count = queue.steps.size();
      while (count > 0 && queue.steps[count - 1].barrier != barrier) --count;
      land(&w, queue, count, std::nullopt);
    }
    arrivals_.erase(it);
  }
  if (const auto it = owed_.find(barrier); it != owed_.end()) {
    for (const Copy& copy : it->second) {
      copy.land();
      tell_races(w, copy, std::nullopt);
      change(&w, barrier, [&](MbarrierState& s) { return s.expect(-int64_t(copy.bytes)); });
    }
    owed_.erase(it);
  }
}

void AsyncCopies::finish() {
  for (Queue& queue : queues_[bulk]) land(nullptr, queue, queue.steps.size(), std::nullopt);
  for (Queues& queues : queues_)
    for (Queue& queue : queues) queue.steps.clear(), queue.groups.clear(), queue.open = 0;
  arrivals_.clear();
  owed_.clear();
}

}  // namespace sim
