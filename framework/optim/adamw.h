// AdamW over a parameter arena: clip by global norm, moments, decoupled decay, running average and
// the bf16 cast in one pass over flat buffers. Kernel and formulas: kernels/optimizer.h.
#pragma once
#include <span>

#include "framework/nn/arena.h"
#include "framework/optim/config.h"

namespace noisette {

class AdamW {
 public:
  /// `updates` is the length of the run, which the learning rate's decay needs.
  AdamW(ParameterArena& arena, const OptimizerConfig& config, int64_t updates);

  /// Applies the gradients in the arena as update number `update`, counted from 0. When the
  /// gradient or one of `losses` is not finite nothing changes, in this update and in all that
  /// follow. Returns the numbers of this update, still on the device; read() them once the next
  /// step has been started.
  Tensor step(int64_t update, std::span<const Tensor> losses = {});
  /// Its two halves: what the host knows of the update, which is copied to the device, and the
  /// kernels, the same for every update (framework/core/replay.h); the numbers that apply() returns
  /// are those of the newest update.
  void prepare(int64_t update);
  Tensor apply(std::span<const Tensor> losses);

  struct Report {
    double learning_rate = 0;
    double grad_norm = 0;  // before clipping
    bool finite = true;    // gradient and losses, so far
  };
  static Report read(const Tensor& numbers);

 private:
  void apply_range(int64_t begin, int64_t end, bool decays);

  ParameterArena& arena_;
  OptimizerConfig config_;
  int64_t updates_;
  Tensor
      numbers_;  // UpdateNumbers of kernels/optimizer.h: in memory, so that a step can be replayed
};

}  // namespace noisette
