#include "framework/optim/adamw.h"

#include <cmath>

#include "framework/ops/optimizer.h"

namespace noisette {
namespace {

UpdateNumbers* numbers_of(const Tensor& t) {
  return reinterpret_cast<UpdateNumbers*>(t.data<double>());
}

}  // namespace

AdamW::AdamW(ParameterArena& arena, const OptimizerConfig& config, int64_t updates)
    : arena_(arena), config_(config), updates_(updates) {
  check(arena.options().trainable,
        "[adamw] the arena was made for inference; it has no gradients and moments");
  numbers_ = make_update_numbers({}, arena.options().device);
}

void AdamW::apply_range(int64_t begin, int64_t end, bool decays) {
  const ParameterArena& a = arena_;
  const AdamWOptions options{.beta1 = config_.beta1,
                             .beta2 = config_.beta2,
                             .eps = config_.eps,
                             .weight_decay = decays ? config_.weight_decay : 0,
                             .clip_norm = config_.clip_norm};
  const auto of = [&](const Tensor& flat) {
    return flat.defined() && flat.numel() >= end ? flat.rows(begin, end) : Tensor();
  };
  adamw_step({of(a.master()), of(a.grad()), of(a.m()), of(a.v()), of(a.ema()), of(a.compute())},
             numbers_, options);
}

Tensor AdamW::step(int64_t update, std::span<const Tensor> losses) {
  prepare(update);
  return apply(losses).clone();
}

void AdamW::prepare(int64_t update) {
  const double now[] = {learning_rate_at(config_, update, updates_), ema_decay_at(config_, update),
                        double(update + 1)};
  static_assert(offsetof(UpdateNumbers, step) == 2 * sizeof(double));
  copy_in(now, numbers_.rows(0, 3));  // the others stay where they are
}

Tensor AdamW::apply(std::span<const Tensor> losses) {
  check(arena_.in_use() == ParameterArena::Weights::master,
        "[adamw] the arena shows the average of the weights; a step needs use(Weights::master) "
        "before its forward pass");
  if (arena_.options().device.is_meta()) return numbers_;
  gradient_squares(arena_.grad(), numbers_);
  for (const Tensor& loss : losses) require_finite(loss, numbers_);
  apply_range(0, arena_.matrix_size(), true);  // the compute copy covers the matrices alone
  apply_range(arena_.matrix_size(), arena_.size(), config_.decay_vectors);
  return numbers_;
}

AdamW::Report AdamW::read(const Tensor& numbers) {
  const Tensor host = to_device(numbers, kCpu);
  const UpdateNumbers& n = *numbers_of(host);
  return {n.learning_rate, std::sqrt(n.squares), n.finite != 0};
}

}  // namespace noisette
