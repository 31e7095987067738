// Blocks of a launch on the host's cores: as many resident as the card's limits allow, so that a
// block may wait for an earlier one.
#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "simulator/device/model.h"
#include "simulator/device/settings.h"
#include "simulator/profile/profile.h"
#include "simulator/run/crew.h"
#include "simulator/run/global_races.h"
#include "simulator/run/patience.h"
#include "simulator/run/program.h"
#include "simulator/run/state.h"
#include "simulator/run/worker.h"
#include "simulator/run/workspace.h"

namespace sim {
namespace {

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
  state.several_devices = settings().checks && settings().devices > 1;
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
