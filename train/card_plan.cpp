#include "train/card_plan.h"

#include <algorithm>

#include "framework/autograd/autograd.h"
#include "framework/core/profile.h"
#include "framework/core/replay.h"
#include "framework/ops/elementwise.h"
#include "framework/optim/adamw.h"
#include "kernels/cuda/scratch_need.h"
#include "models/unet/unet.h"
#include "train/micro_batch.h"
#include "train/precision.h"
#include "train/sample_plan.h"
#include "train/sampling.h"
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

  void preview() {
    rehearse_sampling(dynamic_cast<const UNet&>(task_->module()), config_.schedule,
                      config_.objective.target, preview_sampler(config_), preview_request(config_));
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

/// Counts what is taken on meta while it lives, in memory of its own, which is then given back.
class Count {
 public:
  explicit Count(const TrainConfig& config)
      : libraries_(config.run.providers != Providers::none && !config.run.deterministic),
        use_(pool_) {
    meta_.reset_peak();
    before_ = meta_.stats();
  }

  /// At the largest moment so far.
  int64_t tensors() const { return meta_.stats().peak_bytes - before_.live_bytes; }
  int64_t reserved() const { return meta_.stats().peak_reserved_bytes - before_.reserved_bytes; }

  void add_scratch_to(CardPlan& plan) const {
    plan.scratch = profile_.scratch_bytes();
    if (libraries_)
      plan.libraries = cuda::kWorkspace + profile_.scratch_with_libraries() - plan.scratch;
  }

 private:
  bool libraries_;
  Allocator& meta_ = Allocator::of(kMeta);
  struct Trim {
    ~Trim() { Allocator::of(kMeta).trim(); }
  } trim_;  // when the pool is no more
  MemoryPool pool_{kMeta};
  MemoryPool::Use use_;
  MemoryStats before_;
  Profile profile_;
};

/// The largest of `sizes`, which fall, of which cards with `gib` GiB, which rise, have room.
template <class Total>
std::vector<int64_t> largest_on(const std::vector<int64_t>& gib, const std::vector<int64_t>& sizes,
                                const Total& total) {
  std::vector<int64_t> largest(gib.size());
  for (const int64_t size : sizes) {
    const int64_t bytes = total(size);
    for (std::size_t i = 0; i < gib.size(); ++i)
      if (largest[i] == 0 && bytes <= gib[i] << 30) largest[i] = size;
    if (largest.front() > 0) break;
  }
  return largest;
}

/// `most` and the powers of two below it.
std::vector<int64_t> sizes_from(int64_t most) {
  std::vector<int64_t> sizes;
  for (int64_t size = 1; size < most; size *= 2) sizes.insert(sizes.begin(), size);
  sizes.insert(sizes.begin(), most);
  return sizes;
}

const std::vector<int64_t> kCards{8, 12, 24, 80};

}  // namespace

CardPlan plan_card(const TrainConfig& config) {
  CardPlan plan;
  const Count count(config);
  Rehearsal run(config);
  Replay step([&](const Tensors& batches) { return run.step(batches); }, config.run.graph);
  std::vector<Tensors> sets{run.batches()};
  for (int update = 0; update < 3; ++update) {  // the third is recorded
    step(sets.back());
    if (update == 0) sets.push_back(run.batches());  // the next come while this one runs
  }
  plan.batches = (config.run.graph ? 3 : 2) * bytes_of(sets.front());
  plan.tensors = count.tensors() - plan.batches;
  plan.segments = count.reserved() - plan.batches - plan.tensors;
  if (config.preview.every > 0) {
    const int64_t until_now = count.reserved();
    run.preview();
    plan.previews = count.reserved() - until_now;
  }
  count.add_scratch_to(plan);
  return plan;
}

CardPlan plan_card_sampling(const TrainConfig& config, int64_t batch) {
  CardPlan plan;
  const Count count(config);
  SampleRehearsal(config).draw(batch, config.run.graph);
  plan.tensors = count.tensors();
  plan.segments = count.reserved() - plan.tensors;
  count.add_scratch_to(plan);
  return plan;
}

std::vector<CardFit> fit_cards(const TrainConfig& config) {
  TrainConfig c = config;
  const auto largest = [&](Recompute recompute) {
    c.run.recompute = recompute;
    return largest_on(kCards, sizes_from(c.run.batch), [&](int64_t micro_batch) {
      c.run.micro_batch = micro_batch;
      return plan_card(c).total();
    });
  };
  const auto plain =
      largest(config.run.recompute == Recompute::blocks ? Recompute::norms : config.run.recompute);
  const auto recomputed = largest(Recompute::blocks);
  std::vector<CardFit> fits;
  for (std::size_t i = 0; i < kCards.size(); ++i)
    fits.push_back({kCards[i], plain[i], recomputed[i]});
  return fits;
}

std::vector<SamplingFit> fit_cards_sampling(const TrainConfig& config) {
  const auto largest = largest_on(kCards, sizes_from(SamplingFit::kMost), [&](int64_t batch) {
    return plan_card_sampling(config, batch).total();
  });
  std::vector<SamplingFit> fits;
  for (std::size_t i = 0; i < kCards.size(); ++i) fits.push_back({kCards[i], largest[i]});
  return fits;
}

}  // namespace noisette
