// What a training step costs: counted on the meta device, or measured on synthetic data.
#pragma once
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "framework/core/profile.h"
#include "framework/core/replay.h"
#include "train/config.h"

namespace noisette {

/// Counted without data: what a step would allocate and compute.
struct StepPlan {
  int64_t parameters = 0;
  std::vector<std::pair<std::string, int64_t>> parameters_by_block;
  double flops_forward = 0;      // of one image
  double flops_step = 0;         // of one image: forward and backward
  int64_t persistent_bytes = 0;  // weights, gradients, moments, average, bf16 copy
  int64_t forward_bytes = 0;     // held when the loss has been computed, persistent included
  int64_t peak_bytes = 0;        // largest moment of the step
  int64_t micro_batch = 0;
  std::vector<std::pair<std::string, int64_t>> peak_by_tag;
};
StepPlan plan_step(const TrainConfig& config);
/// Throws UsageError when a step needs more memory than the machine has. Takes a few hundredths of
/// a second.
void check_memory(const TrainConfig& config);

/// Measured on this machine, on random images.
struct StepMeasurement {
  double seconds = 0;  // of one step: median
  std::vector<double> all_seconds;
  int64_t peak_bytes = 0;                      // of tensors, as the allocator counts them
  double flops_step = 0;                       // of the whole batch
  std::map<std::string, KernelCount> kernels;  // of one more step that was profiled
  double profiled_seconds = 0;                 // how long that one took
  int64_t sampling_steps =
      0;  // of a drawn batch, which was timed and profiled whole; 0: of training

  /// From images that go in to images that come out.
  double seconds_per_batch() const {
    return seconds * double(std::max<int64_t>(sampling_steps, 1));
  }
};
/// Updates of a run on random images, always the same.
class SyntheticRun {
 public:
  explicit SyntheticRun(const TrainConfig& config);
  ~SyntheticRun();
  SyntheticRun(const SyntheticRun&) = delete;
  SyntheticRun& operator=(const SyntheticRun&) = delete;
  void update();
  void update_eagerly();  // kernel by kernel, even where update() replays them
  const Replay::State& recording() const;

 private:
  class Parts;
  std::unique_ptr<Parts> parts_;
};
StepMeasurement measure_step(const TrainConfig& config, int64_t steps, int64_t warmup);

/// Drawing one batch of images by DDIM in `steps` steps, without guidance. A step is one evaluation
/// of the network.
StepMeasurement measure_sampling(const TrainConfig& config, int64_t batch, int64_t steps,
                                 int64_t warmup);

/// The family a kernel belongs to: "conv2d_backward_weight" is "convolution".
std::string kernel_family(const std::string& kernel);

}  // namespace noisette
