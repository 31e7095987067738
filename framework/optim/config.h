// Configuration of the optimiser and of its learning rate over a run.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "framework/config/fields.h"

namespace noisette {

enum class Decay { constant, cosine, linear };
inline constexpr std::array<std::string_view, 3> kDecayNames = {"constant", "cosine", "linear"};
constexpr std::span<const std::string_view> enum_names(Decay) { return kDecayNames; }

struct OptimizerConfig {
  double learning_rate = 2e-4;
  int64_t warmup = 0;
  Decay decay = Decay::constant;
  double final_learning_rate = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  bool decay_vectors = false;
  double clip_norm = 1;
  double ema_decay = 0.9999;
  bool ema_warmup = false;

  void fields(config::Fields& f);
};

/// Learning rate of optimiser update `update` (counted from 0) of a run of `updates`. Warm-up is
/// linear, learning_rate * min(update / warmup, 1), as in Ho et al.'s code: the first update has
/// rate 0.
double learning_rate_at(const OptimizerConfig& config, int64_t update, int64_t updates);

/// Decay of the running average at update `update` (counted from 0). The average starts as a copy
/// of the initial weights. With ema_warmup it is at most (1 + update) / (10 + update), so that the
/// start is forgotten.
double ema_decay_at(const OptimizerConfig& config, int64_t update);

}  // namespace noisette
