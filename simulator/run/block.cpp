#include "simulator/run/block.h"

#include <bit>

#include "simulator/exec/async.h"
#include "simulator/run/state.h"

namespace sim {

Block::Block(LaunchState& launch, uint64_t index)
    : launch_(launch), number_(index), threads_(uint32_t(launch.launch->block.count())) {
  const Dim3 grid = launch.launch->grid;
  index_ = {uint32_t(index % grid.x), uint32_t(index / grid.x % grid.y),
            uint32_t(index / grid.x / grid.y)};
  shared_.resize(launch.shared_bytes);
  if (launch.checks) shared_shadow_.assign(launch.shared_bytes, 1);
  for (uint32_t w = 0; w * kLanes < threads_; ++w)
    warps_.push_back(std::make_unique<Warp>(*this, w));
}

Dim3 Block::thread_at(uint32_t linear) const {
  const Dim3 size = launch_.launch->block;
  return {linear % size.x, linear / size.x % size.y, linear / size.x / size.y};
}

uint32_t Block::alive() const {
  uint32_t n = 0;
  for (const auto& w : warps_) n += uint32_t(std::popcount(w->alive()));
  return n;
}

AsyncCopies& Block::async() {
  if (!async_) async_ = std::make_shared<AsyncCopies>(threads_);
  return *async_;
}

Ran Block::run() {
  bool done = true, moved = false, yielded = false;
  for (const auto& w : warps_) {
    if (w->done()) continue;
    const uint64_t before = w->executed;
    const Ran ran = w->run();
    moved |= w->executed != before;
    yielded |= ran == Ran::yielded;
    done &= ran == Ran::done;
  }
  if (done) {
    if (async_) async_->finish();
    for (const auto& w : warps_) {
      launch_.executed += w->executed;
      launch_.lanes_executed += w->lanes_executed;
    }
    return Ran::done;
  }
  if (!moved) report_stuck();
  return yielded ? Ran::yielded : Ran::blocked;
}

void Block::arrive(uint32_t barrier, uint32_t threads, uint32_t expected, uint32_t yes) {
  Barrier& b = barriers_[barrier];
  b.arrived += threads;
  b.yes += yes;
  b.expected = expected;
  if (b.arrived >= (expected ? expected : alive())) open(barrier);
}

void Block::threads_ended() {
  for (uint32_t b = 0; b < barriers_.size(); ++b)
    if (barriers_[b].arrived > 0 && barriers_[b].expected == 0 && barriers_[b].arrived >= alive())
      open(b);
}

void Block::open(uint32_t barrier) {
  Barrier& b = barriers_[barrier];
  b = {.last = {b.yes, b.arrived}};
  for (const auto& w : warps_) w->release_barrier(barrier);
}

void Block::report_stuck() {
  std::string all;
  for (const auto& w : warps_)
    if (!w->done()) all += "\n" + w->state();
  Fault fault{"barrier not reached by all its threads", "no thread of the block can go on:" + all};
  fault.block = index_;
  throw fault;
}

}  // namespace sim
