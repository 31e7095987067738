#include "simulator/run/worker.h"

#include <algorithm>

#include "simulator/run/counts.h"

namespace sim {
namespace {

constexpr int kRounds = 16;

/// Blocks of a cooperative launch are there to wait for each other.
int rounds_of(const Launch& launch) { return launch.cooperative ? 1 : kRounds; }

}  // namespace

Worker::Worker(LaunchState& launch, std::atomic<uint64_t>& next, size_t resident,
               Patience& patience)
    : launch_(launch),
      next_(next),
      resident_(resident),
      rounds_(rounds_of(*launch.launch)),
      patience_(patience) {
  if (launch.counts) tally_ = std::make_unique<Tally>();
}

Worker::~Worker() {
  if (tally_) launch_.counts->thread_done(*tally_);
}

void Worker::run(const std::atomic<bool>& stop) {
  while (!stop) {
    if (open_.empty() && !begin()) return;
    auto block = std::move(open_.front());
    open_.pop_front();
    Ran ran = Ran::yielded;
    for (int round = 0; round < rounds_ && ran != Ran::done && !stop; ++round) ran = block->run();
    if (ran == Ran::done) {
      patience_.moved();
      ended_.push_back(std::move(block));
      continue;
    }
    patience_.look(*block);
    open_.push_back(std::move(block));
    // The block may wait for one that has not begun.
    if (open_.size() < resident_) begin();
  }
}

/// With a seed, blocks go in another order, each not far from its place: as on a card, a block may
/// count on earlier ones to be there or to come soon.
uint64_t Worker::shuffled(uint64_t n) const {
  if (launch_.seed == 0) return n;
  constexpr uint64_t kWindow = 16;
  const uint64_t first = n / kWindow * kWindow, count = std::min(kWindow, launch_.sample - first);
  return first + (n - first + launch_.seed + first / kWindow * 7) % count;
}

bool Worker::begin() {
  const uint64_t n = next_.fetch_add(1);
  if (n >= launch_.sample) return false;
  if (ended_.empty()) ended_.push_back(std::make_unique<Block>(launch_, tally_.get()));
  patience_.moved();
  ended_.back()->start(launch_.block_at(shuffled(n)));
  open_.push_front(std::move(ended_.back()));
  ended_.pop_back();
  return true;
}

}  // namespace sim
