#include "framework/optim/config.h"

#include <algorithm>
#include <cmath>

namespace noisette {

void OptimizerConfig::fields(config::Fields& f) {
  f.add("learning_rate", learning_rate,
        {.above = 0, .max = 10, .doc = "step size of AdamW after warm-up"});
  f.add("warmup", warmup,
        {.unit = "updates",
         .min = 0,
         .doc = "the learning rate rises linearly from 0 over so many updates"});
  f.add("decay", decay,
        {.doc = "the learning rate after warm-up: constant, cosine or linear down to "
                "final_learning_rate"});
  f.add("final_learning_rate", final_learning_rate,
        {.min = 0,
         .max = 10,
         .doc = "learning rate of the last update, for decay = cosine or linear"});
  f.add("beta1", beta1, {.min = 0, .below = 1, .doc = "decay of Adam's first moment"});
  f.add("beta2", beta2, {.min = 0, .below = 1, .doc = "decay of Adam's second moment"});
  f.add("eps", eps, {.above = 0, .max = 1, .doc = "added to the root of Adam's second moment"});
  f.add("weight_decay", weight_decay,
        {.min = 0, .max = 10, .doc = "decoupled weight decay, times the learning rate"});
  f.add("decay_vectors", decay_vectors,
        {.doc = "weight decay also on biases and normalisation weights"});
  f.add("clip_norm", clip_norm,
        {.min = 0, .doc = "largest global norm of the gradient; 0: no clipping"});
  f.add("ema_decay", ema_decay,
        {.min = 0,
         .below = 1,
         .doc = "decay of the running average of the weights; 0: no average is kept"});
  f.add("ema_warmup", ema_warmup,
        {.doc = "limit ema_decay to (1 + update) / (10 + update), so that a short run forgets its "
                "start"});
}

double learning_rate_at(const OptimizerConfig& c, int64_t update, int64_t updates) {
  if (update < c.warmup) return c.learning_rate * double(update) / double(c.warmup);
  if (c.decay == Decay::constant) return c.learning_rate;
  const double span = double(std::max<int64_t>(updates - 1 - c.warmup, 1));
  const double done = std::clamp(double(update - c.warmup) / span, 0.0, 1.0);
  const double left = c.decay == Decay::linear ? 1 - done : 0.5 * (1 + std::cos(M_PI * done));
  return c.final_learning_rate + (c.learning_rate - c.final_learning_rate) * left;
}

double ema_decay_at(const OptimizerConfig& c, int64_t update) {
  if (!c.ema_warmup) return c.ema_decay;
  return std::min(c.ema_decay, double(1 + update) / double(10 + update));
}

}  // namespace noisette
