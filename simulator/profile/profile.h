// What all launches of the program did, by kernel, kept for the file that SIM_PROFILE names.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "simulator/code/work.h"
#include "simulator/device/occupancy.h"
#include "simulator/profile/estimate.h"
#include "simulator/profile/ptxas.h"
#include "simulator/run/counts.h"
#include "simulator/run/program.h"

namespace sim {

/// An instruction of a kernel or of a function that it calls.
struct ProfileRow {
  std::string function, file;  // file: of the .cu
  uint32_t line = 0, ptx_line = 0;
  std::string text;  // of the PTX
  Work work;
  Counter counts;
};

/// Instructions from a label to a branch back to it.
struct ProfileLoop {
  size_t first = 0, last = 0;  // rows
};

/// Launches of one kernel that look the same.
struct ProfileShape {
  Dim3 grid, block;
  uint64_t dynamic_shared = 0;
  Occupancy occupancy;
  uint64_t sample = 0;  // blocks that ran, of each launch

  // Sums over the launches.
  uint64_t launches = 0;
  Counter counts;
  struct {
    uint64_t warps = 0, lanes = 0;
  } classes[kClasses];
  Demand demand;
  uint64_t dram_read = 0, dram_written = 0, distinct_read = 0, distinct_written = 0;  // sectors
  std::vector<Estimate> estimates;  // of each card
};

struct ProfileKernel {
  std::string name;   // mangled
  size_t module = 0;  // a hash of its text: modules may have kernels of the same name
  const StaticFigures* figures = nullptr;  // nullptr: not known
  std::string unknown;                     // why
  std::vector<ProfileRow> rows;
  std::vector<ProfileLoop> loops;
  std::vector<ProfileShape> shapes;
};

class Profile {
 public:
  /// nullptr: SIM_PROFILE asks for none.
  static Profile* get();

  /// Counts for a launch that is about to run.
  std::unique_ptr<LaunchCounts> begin(const Launch& launch, const Kernel& kernel,
                                      const DeviceModel& model);
  /// A launch that has ended; its time on the card, estimated.
  double end(const Launch& launch, const Kernel& kernel, const DeviceModel& model, uint64_t sample,
             LaunchCounts& counts);

 private:
  explicit Profile(std::string file);
  ProfileKernel& kernel_of(const Launch& launch, const Kernel& kernel);
  static void write(const Fault* fault);

  const std::string file_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<ProfileKernel>> kernels_;
};

/// The whole as JSON; `fault`: why the program ended, or nullptr.
std::string profile_json(const std::vector<std::unique_ptr<ProfileKernel>>& kernels,
                         const Fault* fault);

}  // namespace sim
