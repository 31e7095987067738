#include "train/card_plan.h"

#include <algorithm>
#include <array>

#include "framework/autograd/autograd.h"
#include "framework/core/profile.h"
#include "framework/core/replay.h"
#include "framework/ops/elementwise.h"
#include "framework/optim/adamw.h"
#include "models/unet/unet.h"
#include "train/micro_batch.h"
#include "train/precision.h"
#include "train/step_log.h"
#include "train/task.h"

namespace noisette {
namespace {

using Tensors = std::vector<Tensor>;

/// What a run allocates, step by step as Run (train/trainer.cpp), Feed and Replay do it.
class Rehearsal {
 public:
  explicit Rehearsal(const TrainConfig& config)
      : config_(config),
        task_(make_task(config)),
        arena_(task_->module(), {.device = kMeta,
                                 .dtype = element_type(config.run.precision),
                                 .trainable = true,
                                 .ema = config.optimizer.ema_decay > 0}),
        optimizer_(arena_, config.optimizer, config.run.updates) {}

  /// Images, index and labels of every micro-batch of an update.
  Tensors batches() const {
    const int64_t all = config_.run.batch, micro = micro_batch_of(config_);
    const int64_t size = config_.model.sample_size;
    Tensors result;
    for (int64_t done = 0; done < all; done += micro) {
      const int64_t n = std::min(micro, all - done);
      result.push_back(empty({n, size, size, config_.model.in_channels}, DType::u8, kMeta));
      result.push_back(empty({n}, DType::i64, kMeta));
      result.push_back(config_.model.num_class_embeds > 0 ? empty({n}, DType::i64, kMeta)
                                                          : Tensor());
    }
    return result;
  }

  Tensors step(const Tensors& batches) {
    constexpr std::size_t kPasses = 3;  // later micro-batches find the memory of earlier ones
    arena_.reset_grads();
    std::vector<StepLoss> pieces;
    for (std::size_t i = 0; i < std::min(batches.size(), 3 * kPasses); i += 3) {
      const Batch batch{batches[i], batches[i + 2], batches[i + 1]};
      pieces.push_back(task_->loss(batch, config_.run.batch, true));
      backward(pieces.back().total);
      pieces.back().total = pieces.back().total.detach();
    }
    return values_of(pieces, optimizer_.apply({}));
  }

  /// The network on as many images as a preview shows it at once.
  Tensors draw() {
    const NoGrad no_grad;
    const UNetConfig& m = config_.model;
    const int64_t shown = std::min(config_.preview.images, preview_batch_of(config_));
    const int64_t n = config_.preview.guidance == 1 ? shown : 2 * shown;
    const auto& unet = dynamic_cast<const UNet&>(task_->module());
    const Tensor x = empty({n, m.sample_size, m.sample_size, m.in_channels},
                           element_type(config_.run.precision), kMeta);
    const Tensor t = empty({n}, DType::i64, kMeta);
    return {m.num_class_embeds > 0 ? unet(x, t, empty({n}, DType::i64, kMeta)) : unet(x, t)};
  }

 private:
  const TrainConfig& config_;
  std::unique_ptr<Task> task_;
  ParameterArena arena_;
  AdamW optimizer_;
};

int64_t bytes_of(const Tensors& tensors) {
  int64_t sum = 0;
  for (const Tensor& t : tensors)
    if (t.defined()) sum += int64_t(t.bytes() + 63) / 64 * 64;
  return sum;
}

/// Twice as it comes, then in a pool of its own, where a recording's tensors stay: as Replay does.
template <class Work>
Tensors warm_up_and_record(bool recorded, const MemoryPool& pool, const Work& work) {
  work();
  work();
  if (!recorded) return {};
  Allocator::of(kMeta).trim();
  const MemoryPool::Use use(pool);
  return work();
}

CardPlan count(const TrainConfig& config) {
  Allocator& meta = Allocator::of(kMeta);
  const MemoryPool everything(kMeta), of_step(kMeta), of_preview(kMeta);
  const MemoryPool::Use use(everything);
  meta.reset_peak();
  const MemoryStats before = meta.stats();
  const Profile profile;
  CardPlan plan;
  Rehearsal run(config);
  std::vector<Tensors> sets{run.batches()};
  int steps = 0;
  const Tensors recording = warm_up_and_record(config.run.graph, of_step, [&] {
    if (steps++ == 2) sets.push_back(run.batches());  // what the recorded kernels read
    Tensors values = run.step(sets.back());
    if (steps == 1) sets.push_back(run.batches());  // the next update's come while this one runs
    return values;
  });
  MemoryStats now = meta.stats();
  for (const Tensors& set : sets) plan.batches += bytes_of(set);
  plan.tensors = now.peak_bytes - before.live_bytes - plan.batches;
  plan.segments = now.peak_reserved_bytes - before.reserved_bytes - plan.batches - plan.tensors;
  if (config.preview.every > 0) {
    const int64_t until_now = now.peak_reserved_bytes;
    warm_up_and_record(config.run.graph, of_preview, [&] { return run.draw(); });
    now = meta.stats();
    plan.previews = now.peak_reserved_bytes - until_now;
  }
  plan.scratch = profile.scratch_bytes();
  return plan;
}

/// The largest micro-batch of which a card of each size has room, by the sizes in rising order.
std::vector<int64_t> largest_on(TrainConfig config, const std::vector<int64_t>& gib) {
  std::vector<int64_t> largest(gib.size());
  int64_t micro = config.run.batch;
  while (micro > 0 && largest.front() == 0) {
    config.run.micro_batch = micro;
    const int64_t total = plan_card(config).total();
    for (std::size_t i = 0; i < gib.size(); ++i)
      if (largest[i] == 0 && total <= gib[i] << 30) largest[i] = micro;
    int64_t below = 1;
    while (2 * below < micro) below *= 2;
    micro = micro == 1 ? 0 : below;
  }
  return largest;
}

}  // namespace

CardPlan plan_card(const TrainConfig& config) {
  const CardPlan plan = count(config);
  Allocator::of(kMeta).trim();
  return plan;
}

std::vector<CardFit> fit_cards(const TrainConfig& config) {
  const std::vector<int64_t> gib{8, 12, 24, 80};
  TrainConfig c = config;
  if (c.run.recompute == Recompute::blocks) c.run.recompute = Recompute::norms;
  const auto plain = largest_on(c, gib);
  c.run.recompute = Recompute::blocks;
  const auto recomputed = largest_on(c, gib);
  std::vector<CardFit> fits;
  for (std::size_t i = 0; i < gib.size(); ++i) fits.push_back({gib[i], plain[i], recomputed[i]});
  return fits;
}

}  // namespace noisette
