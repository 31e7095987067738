#include "train/sample_plan.h"

#include <algorithm>

#include "framework/core/allocator.h"
#include "framework/nn/arena.h"
#include "models/unet/unet.h"
#include "train/precision.h"
#include "train/sampling.h"

namespace noisette {

/// As open_model() makes it of a checkpoint.
struct SampleRehearsal::Network {
  explicit Network(const TrainConfig& config)
      : unet(config.model),
        arena(unet, {.device = kMeta,
                     .dtype = element_type(config.run.precision),
                     .trainable = false,
                     .ema = config.optimizer.ema_decay > 0}) {}
  UNet unet;
  ParameterArena arena;
};

SampleRehearsal::SampleRehearsal(const TrainConfig& config)
    : config_(config), network_(std::make_unique<Network>(config)) {
  if (config.sampler.autoguidance != 1) weaker_ = std::make_unique<Network>(config);
}
SampleRehearsal::~SampleRehearsal() = default;

int64_t SampleRehearsal::images_of(const TrainConfig& config, int64_t batch) {
  return std::max(default_count(config.model.num_class_embeds - 1), batch);
}

void SampleRehearsal::draw(int64_t batch, bool recorded) const {
  SampleRequest request{.count = images_of(config_, batch),
                        .labels = {},
                        .batch = batch,
                        .dtype = element_type(config_.run.precision),
                        .weaker = weaker_ ? &weaker_->unet : nullptr,
                        .graph = recorded};
  if (config_.model.num_class_embeds > 0) request.labels.assign(std::size_t(request.count), 0);
  rehearse_sampling(network_->unet, config_.schedule, config_.objective.target, config_.sampler,
                    std::move(request));
}

SamplePlan plan_sampling(const TrainConfig& config, int64_t batch) {
  SamplePlan plan{.images = SampleRehearsal::images_of(config, batch), .batch = batch};
  Allocator& meta = Allocator::of(kMeta);
  const int64_t before = meta.stats().live_bytes;
  const SampleRehearsal rehearsal(config);
  plan.weights_bytes = meta.stats().live_bytes - before;
  meta.reset_peak();
  rehearsal.draw(batch, false);
  const MemoryStats stats = meta.stats();
  plan.peak_bytes = stats.peak_bytes - before;
  plan.peak_by_tag = stats.peak_by_tag;
  return plan;
}

}  // namespace noisette
