#include "simulator/exec/async.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "simulator/exec/access.h"
#include "simulator/exec/lanes.h"
#include "simulator/exec/wait_loop.h"
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
  if (!read) source_read();
}

void AsyncCopies::Copy::source_read() const {
  if (source_marks) std::memset(source_marks, kReady, bytes);
}

template <class F>
const AsyncCopies::Copy* AsyncCopies::find(F&& is) const {
  for (const Queues& queues : queues_)
    for (const Queue& queue : queues)
      for (const Step& step : queue.steps)
        if (!step.barrier && is(step.copy)) return &step.copy;
  for (const auto& [barrier, copies] : owed_)
    for (const Copy& copy : copies)
      if (is(copy)) return &copy;
  return nullptr;
}

const AsyncCopies::Copy* AsyncCopies::writer_of(const uint8_t* at) const {
  return find([&](const Copy& c) { return at >= c.to && at < c.to + c.bytes; });
}
const AsyncCopies::Copy* AsyncCopies::reader_of(const uint8_t* at) const {
  return find([&](const Copy& c) { return !c.read && at >= c.from && at < c.from + c.filled; });
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

namespace {

/// A thread reads shared bytes from the start of a copy to the wait for it: who writes them then is
/// ordered after the wait.
void read_until(Warp& w, const AsyncCopies::Copy& copy, uint32_t line) {
  Races* races = w.block().races_or_none();
  if (!races || !copy.source_marks) return;
  Addresses at{};
  const uint32_t lane = copy.thread % kLanes;
  at[lane] = uint64_t(copy.from - w.block().shared().data());
  Conflict found;  // none: a write since the start was a fault of its own
  races->read({w.number(), 1u << lane, copy.bytes, line, false, at.data()}, found);
}

}  // namespace

void AsyncCopies::read(Warp& w, uint32_t thread, size_t left, uint32_t line) {
  Queue& queue = queues_[bulk][thread];
  size_t count = 0;
  for (size_t k = 0; k + left < queue.groups.size(); ++k) count += queue.groups[k];
  for (size_t k = 0; k < count; ++k) {
    Copy& copy = queue.steps[k].copy;
    if (copy.read) continue;
    copy.read = std::make_shared<const std::vector<uint8_t>>(copy.from, copy.from + copy.filled);
    copy.source_read();
    read_until(w, copy, line);
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

bool AsyncCopies::asks_until_over(const ptx::Function& function, uint32_t instruction) {
  const auto [it, added] = loops_.try_emplace(&function.code[instruction], false);
  if (added) it->second = sim::asks_until_over(function, instruction);
  return it->second;
}

void AsyncCopies::finish() {
  for (Queue& queue : queues_[bulk]) land(nullptr, queue, queue.steps.size(), std::nullopt);
  for (Queues& queues : queues_)
    for (Queue& queue : queues) queue.steps.clear(), queue.groups.clear(), queue.open = 0;
  arrivals_.clear();
  owed_.clear();
  std::fill(asked_.begin(), asked_.end(), Asked{});
}

}  // namespace sim
