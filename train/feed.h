// From a data set to the batches of a task: labels dropped for guidance, every sample with its key.
#pragma once
#include <list>

#include "framework/core/upload.h"
#include "framework/data/loader.h"
#include "train/config.h"
#include "train/task.h"

namespace noisette {

/// Throws Error unless the model fits the data: image size, channels, classes, labels.
void check_data(const TrainConfig& config, const DataSplit& data);

/// The micro-batches of a run, from update `first` on. On a device those of the next update are
/// copied there while it computes this one.
class Feed {
 public:
  Feed(const TrainConfig& config, const DataSplit& data, int64_t first);
  Batch next();
  /// All work on the batches that next() gave has been asked for: as many more may come.
  void go_ahead();
  double waited_seconds() const { return loader_.waited_seconds(); }

 private:
  struct Slot {
    UploadBuffer buffer;
    int64_t images;
  };
  bool begin_next();  // false at the end of the run
  void fill(UploadBuffer& buffer, const ImageBatch& images) const;
  std::list<Slot>::iterator slot_for(int64_t images);

  const TrainConfig& config_;
  Loader loader_;
  std::list<Slot> free_, coming_, taken_;
};

/// The label of a sample: `label`, or the empty label (the last of the embedding) for a share
/// `dropout` of samples.
int64_t dropped_label(int64_t label, int64_t num_class_embeds, double dropout, uint64_t seed,
                      int64_t sample);

}  // namespace noisette
