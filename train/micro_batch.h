// How many images are computed at once.
#pragma once
#include <algorithm>

#include "train/config.h"

namespace noisette {

/// Of a training step; a preview takes no more, so that it fits where a step does.
inline int64_t micro_batch_of(const TrainConfig& c) {
  return c.run.micro_batch > 0 ? std::min(c.run.micro_batch, c.run.batch) : c.run.batch;
}
inline int64_t preview_batch_of(const TrainConfig& c) {
  return std::min<int64_t>(64, micro_batch_of(c));
}

}  // namespace noisette
