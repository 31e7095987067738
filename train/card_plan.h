// What training and drawing need of a CUDA card's memory, counted without one: their tensors are
// allocated on the meta device as they would be on a card, by the same allocator.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "train/config.h"

namespace noisette {

/// Bytes at the largest moment. Not counted: a card's own bookkeeping, for which there is an
/// allowance.
struct CardPlan {
  int64_t tensors = 0;    // of a step, but for the batches
  int64_t batches = 0;    // of training: two sets, and the recorded step's own
  int64_t segments = 0;   // reserved beyond live tensors: rounding, gaps, what warm-up left
  int64_t previews = 0;   // reserved for drawing them; the recorded step keeps its memory
  int64_t scratch = 0;    // of kernels
  int64_t libraries = 0;  // scratch beyond that where run.providers takes them; at most

  /// Of the CUDA context, the program's kernels and what the driver keeps of a card: not measured.
  static constexpr int64_t kAllowance = int64_t(768) << 20;
  /// What is asked of the device in any case.
  int64_t wanted() const { return tensors + batches + segments + previews + scratch + libraries; }
  int64_t total() const { return wanted() + kAllowance; }
};
/// Of training with config.run's batch, micro-batch, precision, recompute and providers; its device
/// does not count.
CardPlan plan_card(const TrainConfig& config);
/// Of `noisette sample` with the run's model and sampler, as SamplePlan (sample_plan.h).
CardPlan plan_card_sampling(const TrainConfig& config, int64_t batch);

/// The largest run.micro_batch, of the whole batch and the powers of two below it, that a card of
/// `gib` GiB has room for; 0: none.
struct CardFit {
  int64_t gib = 0;
  int64_t micro_batch = 0;
  int64_t of_blocks = 0;  // and run.recompute = blocks
};
/// Of cards with 8, 12, 24 and 80 GiB. Without blocks: as the file says, or norms.
std::vector<CardFit> fit_cards(const TrainConfig& config);

/// The largest --batch of `noisette sample`, of the powers of two up to kMost; 0: none.
struct SamplingFit {
  static constexpr int64_t kMost = 1024;
  int64_t gib = 0;
  int64_t batch = 0;
};
std::vector<SamplingFit> fit_cards_sampling(const TrainConfig& config);

}  // namespace noisette
