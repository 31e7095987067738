// A Task is one kind of training: what a batch becomes, and what its loss is. The Trainer owns
// everything around it.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "framework/io/image.h"
#include "framework/nn/module.h"
#include "train/config.h"

namespace noisette {

/// What the loader hands to a step. Every random choice of a sample is keyed by its index.
struct Batch {
  Tensor images;        // [n, H, W, C] u8
  Tensor labels;        // [n] i64, or undefined
  Tensor sample_index;  // [n] i64: sample_index(update, position in the global batch)
};

/// A loss and what the log wants to know about it; tensors, because nothing of a step is read on
/// the host before the next one has begun.
struct StepLoss {
  Tensor total;       // scalar f32, on the tape: sum of per_sample / images of the whole batch
  Tensor per_sample;  // [n] f32
  Tensor timesteps;   // [n] i64
};

class Task {
 public:
  virtual ~Task() = default;
  virtual std::string name() const = 0;
  virtual Module& module() = 0;
  /// Loss of one micro-batch of an update over `global_batch` images.
  virtual StepLoss loss(const Batch& batch, int64_t global_batch, bool training) = 0;
  /// A picture of what the model makes now: always from the same noise.
  virtual Image preview() = 0;
};

/// The task that config.run.task names.
std::unique_ptr<Task> make_task(const TrainConfig& config);

}  // namespace noisette
