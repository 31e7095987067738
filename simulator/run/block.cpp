#include "simulator/run/block.h"

#include <algorithm>
#include <bit>
#include <mutex>

#include "simulator/exec/async.h"
#include "simulator/memory/memory.h"
#include "simulator/run/counts.h"
#include "simulator/run/state.h"
#include "simulator/run/stuck.h"

namespace sim {
namespace {

constexpr uint32_t kShare = 2000;  // backward branches of a warp before other warps go on

/// Tables of races are large, so that blocks of later launches take them over.
class RacesPool {
 public:
  std::unique_ptr<Races> take() {
    const std::lock_guard lock(mutex_);
    if (spare_.empty()) return std::make_unique<Races>();
    auto races = std::move(spare_.back());
    spare_.pop_back();
    return races;
  }
  void give_back(std::unique_ptr<Races> races) {
    const std::lock_guard lock(mutex_);
    if (spare_.size() < kKept) spare_.push_back(std::move(races));
  }

 private:
  static constexpr size_t kKept = 64;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Races>> spare_;
};
[[noreturn]] void report_stuck(const char* kind, Dim3 block, const std::string& state) {
  Fault fault{kind, "no thread of the block can go on:" + state};
  fault.block = block;
  throw fault;
}

RacesPool& races_pool() {
  static auto* const pool = new RacesPool;
  return *pool;
}

}  // namespace

Block::Block(LaunchState& launch, Tally* tally)
    : launch_(launch), tally_(tally), threads_(uint32_t(launch.launch->block.count())) {
  const uint64_t reserved = launch.reserved_shared;
  shared_.resize(reserved ? reserved + kReservedShared : launch.shared_bytes);
  if (launch.checks && !shared_.empty()) races_ = races_pool().take();
  for (uint32_t w = 0; w * kLanes < threads_; ++w)
    warps_.push_back(std::make_unique<Warp>(*this, w));
  for (uint32_t w = 0; w < warps_.size(); ++w) order_.push_back(w);
}

Block::~Block() {
  if (races_) races_pool().give_back(std::move(races_));
}

void Block::start(uint64_t index) {
  if (tally_) traffic_ = std::make_unique<BlockTraffic>();
  number_ = index;
  index_ = index_of(index);
  if (launch_.checks) {
    shared_shadow_.assign(shared_.size(), kAddressable);
    if (const uint64_t reserved = launch_.reserved_shared) {  // between both parts is nothing
      const auto begin = shared_shadow_.begin();
      std::fill(begin + std::ptrdiff_t(launch_.shared_bytes), begin + std::ptrdiff_t(reserved),
                uint8_t(kUnmapped));
      std::fill(begin + std::ptrdiff_t(reserved), shared_shadow_.end(), uint8_t(kReady));
    }
  }
  if (races_) races_->start(threads_, shared_.size(), launch_.image->shared_unit);
  at_cluster_ = {};
  barriers_ = {};
  alive_ = threads_;
  random_.seed(uint32_t(launch_.seed + index));
  for (const auto& w : warps_) w->start();
}

const ptx::Module& Block::module() const { return *launch_.image->module; }

Dim3 Block::index_of(uint64_t number) const {
  const Dim3 grid = launch_.launch->grid;
  return {uint32_t(number % grid.x), uint32_t(number / grid.x % grid.y),
          uint32_t(number / grid.x / grid.y)};
}

Dim3 Block::thread_at(uint32_t linear) const {
  const Dim3 size = launch_.launch->block;
  return {linear % size.x, linear / size.x % size.y, linear / size.x / size.y};
}

AsyncCopies& Block::async() {
  if (!async_) async_ = std::make_shared<AsyncCopies>(threads_);
  return *async_;
}

Ran Block::run() {
  bool done = true, moved = false, yielded = false;
  if (launch_.seed) std::shuffle(order_.begin(), order_.end(), random_);
  for (const uint32_t k : order_) {
    const auto& w = warps_[k];
    if (w->done()) continue;
    const uint64_t before = w->executed;
    const Ran ran = w->run(launch_.seed ? 1 + random_() % kShare : kShare);
    moved |= w->executed != before;
    yielded |= ran == Ran::yielded;
    done &= ran == Ran::done;
  }
  if (done) {
    if (async_) async_->finish();
    for (const auto& w : warps_) launch_.executed += w->executed;
    if (tally_) launch_.counts->block_done(launch_.order_of(number_), *traffic_);
    return Ran::done;
  }
  if (!moved) report_stuck("barrier not reached by all its threads", index_, state());
  if (async_ && async_->time_to_look() && wait_for_ever(warps_, *async_))
    report_stuck("mbarrier phase never ends", index_, state());
  return yielded ? Ran::yielded : Ran::blocked;
}

void Block::arrive(uint32_t barrier, uint32_t warp, uint32_t threads, uint32_t expected,
                   uint32_t yes) {
  if (races_) races_->arrive(barrier, warp);
  Barrier& b = barriers_[barrier];
  b.arrived += threads;
  b.yes += yes;
  b.expected = expected;
  if (b.arrived >= (expected ? expected : alive_)) open(barrier);
}

void Block::arrive_at_cluster(uint32_t warp, uint32_t lanes) {
  at_cluster_[warp] |= lanes;
  arrive(kClusterBarrier, warp, uint32_t(std::popcount(lanes)), 0);
}

void Block::threads_ended(uint32_t threads) {
  alive_ -= threads;
  for (uint32_t b = 0; b < barriers_.size(); ++b)
    if (barriers_[b].arrived > 0 && barriers_[b].expected == 0 && barriers_[b].arrived >= alive_)
      open(b);
}

void Block::open(uint32_t barrier) {
  Barrier& b = barriers_[barrier];
  b = {.last = {b.yes, b.arrived}};
  if (barrier == kClusterBarrier) at_cluster_ = {};
  std::array<uint32_t, 32> waited{};  // lanes by warp
  uint32_t threads = 0;
  for (const auto& w : warps_) {
    waited[w->number()] = w->release_barrier(barrier);
    threads += uint32_t(std::popcount(waited[w->number()]));
  }
  if (!races_) return;
  // who waits at the cluster's barrier later has come here too
  if (threads == alive_ || barrier == kClusterBarrier) return races_->sync_all();
  races_->open(barrier);
  for (const auto& w : warps_)
    if (const uint32_t lanes = waited[w->number()])
      races_->leave(barrier, w->number(), lanes, (w->alive() & ~lanes) == 0);
}

std::string Block::state() const { return state_of(warps_); }

}  // namespace sim
