// What `noisette sample` needs of memory with the model that a run makes, counted before there is
// one: on the meta device.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "train/config.h"

namespace noisette {

/// As many images as `noisette sample` makes by default, or `batch` where that is more, `batch` at
/// once, with config.sampler and the running average where there is one. As on the CPU, where
/// nothing is recorded; what a card needs is plan_card_sampling().
struct SamplePlan {
  int64_t images = 0, batch = 0;
  int64_t weights_bytes = 0;  // as trained, their average, in bf16; a weaker network's too
  int64_t peak_bytes = 0;     // largest moment, weights included
  std::vector<std::pair<std::string, int64_t>> peak_by_tag = {};
};
SamplePlan plan_sampling(const TrainConfig& config, int64_t batch);

/// The networks of a drawing on meta, and its memory taken.
class SampleRehearsal {
 public:
  explicit SampleRehearsal(const TrainConfig& config);
  ~SampleRehearsal();
  SampleRehearsal(const SampleRehearsal&) = delete;
  SampleRehearsal& operator=(const SampleRehearsal&) = delete;

  static int64_t images_of(const TrainConfig& config, int64_t batch);
  /// Once: `recorded` as on a card with run.graph.
  void draw(int64_t batch, bool recorded) const;

 private:
  struct Network;
  const TrainConfig& config_;
  std::unique_ptr<Network> network_, weaker_;
};

}  // namespace noisette
