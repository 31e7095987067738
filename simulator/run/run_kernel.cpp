// Blocks of a launch on the host's cores: as many resident as the card's limits allow, so that a
// block may wait for an earlier one.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "simulator/device/model.h"
#include "simulator/device/settings.h"
#include "simulator/memory/memory.h"
#include "simulator/profile/profile.h"
#include "simulator/run/block.h"
#include "simulator/run/crew.h"
#include "simulator/run/global_races.h"
#include "simulator/run/patience.h"
#include "simulator/run/program.h"
#include "simulator/run/state.h"

namespace sim {
namespace {

constexpr int kRounds = 16;  // turns of a block before others of its thread go on

/// Blocks that one host thread has begun.
class Worker {
 public:
  Worker(LaunchState& launch, std::atomic<uint64_t>& next, size_t resident, Patience& patience)
      : launch_(launch),
        next_(next),
        resident_(resident),
        rounds_(launch.launch->cooperative ? 1 : kRounds),
        patience_(patience) {
    if (launch.counts) tally_ = std::make_unique<Tally>();
  }
  ~Worker() {
    if (tally_) launch_.counts->thread_done(*tally_);
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void run(const std::atomic<bool>& stop) {
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

 private:
  /// With a seed, blocks go in another order, each not far from its place: as on a card, a block
  /// may count on earlier ones to be there or to come soon.
  uint64_t shuffled(uint64_t n) const {
    if (launch_.seed == 0) return n;
    constexpr uint64_t kWindow = 16;
    const uint64_t first = n / kWindow * kWindow, count = std::min(kWindow, launch_.sample - first);
    return first + (n - first + launch_.seed + first / kWindow * 7) % count;
  }

  bool begin() {
    const uint64_t n = next_.fetch_add(1);
    if (n >= launch_.sample) return false;
    if (ended_.empty()) ended_.push_back(std::make_unique<Block>(launch_, tally_.get()));
    patience_.moved();
    ended_.back()->start(launch_.block_at(shuffled(n)));
    open_.push_front(std::move(ended_.back()));
    ended_.pop_back();
    return true;
  }

  LaunchState& launch_;
  std::atomic<uint64_t>& next_;
  const size_t resident_;
  const int rounds_;  // few where blocks are there to wait for each other
  Patience& patience_;
  std::unique_ptr<Tally> tally_;
  std::deque<std::unique_ptr<Block>> open_;
  std::vector<std::unique_ptr<Block>> ended_;  // to be begun again
};

/// Two words, the second the barrier of cooperative_groups::grid_group.
constexpr uint64_t kWorkspace = 64;

class Workspace {
 public:
  explicit Workspace(const Launch& launch) {
    if (launch.cooperative)
      base_ = allocate(kWorkspace, launch.program->device, MemoryKind::variable, "grid workspace",
                       ~uint64_t(0), true);
    if (base_) std::memset(raw(*base_), 0, kWorkspace);
  }
  ~Workspace() {
    if (base_) release(*base_);
  }
  uint64_t address() const { return base_.value_or(0); }

 private:
  std::optional<uint64_t> base_;
};

/// A cooperative launch was checked to fit, whatever the number of host threads.
size_t resident_of_each(const Launch& launch, const DeviceModel& model, uint64_t workers) {
  const uint64_t most = uint64_t(model.sms) * model.blocks_per_sm;
  const uint64_t all = launch.cooperative ? launch.grid.count()
                       : launch.resident  ? launch.resident
                                          : most;
  return size_t((all + workers - 1) / workers);
}

/// Without a profile only instructions are known.
double time_of(const LaunchState& state, const DeviceModel& model) {
  Demand demand;
  demand.blocks = state.blocks;
  demand.warps_of_block = (state.launch->block.count() + 31) / 32;
  demand.slots = uint64_t(double(state.executed) * (double(state.blocks) / double(state.sample)));
  return estimate(model, demand).time;
}

}  // namespace

double run_kernel(const Launch& launch, const DeviceModel& model) {
  static std::atomic<uint32_t> grids{0};
  const Kernel* kernel = launch.program->kernel(launch.kernel);
  LaunchState state;
  state.launch = &launch;
  state.image = kernel->image.get();
  state.sms = model.sms;
  state.grid_id = ++grids;
  state.device = launch.program->device;
  const Workspace workspace(launch);
  state.grid_workspace = workspace.address();
  state.checks = settings().checks;
  state.global_races = settings().global_races;
  if (state.global_races) GlobalRaces::get().start();
  state.seed = settings().seed;
  state.shared_bytes = kernel->image->static_shared + launch.dynamic_shared;
  if (kernel->image->uses_reserved_shared)
    state.reserved_shared = (state.shared_bytes / kReservedShared + 2) * kReservedShared;

  state.blocks = launch.grid.count();
  state.sample = settings().sample ? std::min(settings().sample, state.blocks) : state.blocks;
  Profile* const profile = Profile::get();
  const auto counts = profile ? profile->begin(launch, *kernel, model) : nullptr;
  state.counts = counts.get();

  const auto workers = uint64_t(std::max(1u, std::thread::hardware_concurrency()));
  const auto used = size_t(std::min(workers, state.sample));
  const size_t resident = resident_of_each(launch, model, workers);
  std::atomic<uint64_t> next{0};
  std::atomic<bool> stop{false};
  Patience patience(launch.kernel, settings().note_after);
  std::mutex mutex;
  std::exception_ptr failed;
  const auto work = [&] {
    try {
      Worker(state, next, resident, patience).run(stop);
    } catch (Fault& fault) {
      const std::lock_guard lock(mutex);
      fault.kernel = launch.kernel;
      if (!failed) failed = std::make_exception_ptr(fault);
      stop = true;
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failed) failed = std::current_exception();
      stop = true;
    }
  };
  run_on_threads(used, work);
  const double time =
      profile ? profile->end(launch, *kernel, model, state.sample, *counts) : time_of(state, model);
  if (failed) std::rethrow_exception(failed);
  return time;
}

}  // namespace sim
