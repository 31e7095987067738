// Turns a data set into batches, always the same ones: which image stands where depends on the
// seed, the update and the position in the global batch, never on threads, processes, micro-batches
// or where training was resumed.
#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "framework/data/dataset.h"

namespace noisette {

struct OrderConfig {
  uint64_t seed = 0;
  int64_t global_batch = 1;
  bool flip = false;  // mirror every second image, by chance
};

/// What stands at one place of the sequence of samples: sample k = update * global_batch + position
/// is the image of rank k mod N in the permutation of epoch k / N.
struct Sample {
  int64_t epoch = 0, image = 0;
  bool flip = false;
};
Sample sample_at(const OrderConfig& order, int64_t images, int64_t update, int64_t position);

struct ImageBatch {
  int64_t update = 0, position = 0;  // of the first image
  std::vector<uint8_t> images;       // [n, H, W, C]
  std::vector<int64_t> labels;       // [n], -1 for none
  std::vector<int64_t> numbers;      // [n], in the split
  int64_t size() const { return int64_t(labels.size()); }
};

/// Positions [begin, end) of the global batch of one update.
ImageBatch make_batch(const DataSplit& data, const OrderConfig& order, int64_t update,
                      int64_t begin, int64_t end);

/// u8 to f32 in [-1, 1]: x / 127.5 - 1.
void pixels_to_float(std::span<const uint8_t> pixels, float* out);
/// The inverse: clamped, rounded to the nearest.
void pixels_from_float(std::span<const float> values, uint8_t* out);

struct LoaderOptions {
  OrderConfig order;
  int64_t first_update = 0, end_update = 0;  // [first, end)
  int64_t begin = 0, end = 0;                // this process's positions; 0, 0: all
  int64_t micro_batch = 0;                   // images per batch; 0: all positions at once
  int64_t prefetch = 4;                      // batches made ahead
};

/// Makes batches in a background thread: for every update, its positions cut into micro-batches, in
/// order.
class Loader {
 public:
  Loader(DataSplit data, const LoaderOptions& options);
  ~Loader();
  Loader(const Loader&) = delete;

  /// The next batch; nothing after the last. Rethrows what went wrong in the background.
  std::optional<ImageBatch> next();
  /// Seconds that next() has waited for the background in all.
  double waited_seconds() const { return waited_; }

 private:
  void run();
  bool put(ImageBatch batch);
  DataSplit data_;
  LoaderOptions options_;
  std::mutex mutex_;
  std::condition_variable room_, ready_;
  std::deque<ImageBatch> queue_;
  std::exception_ptr error_;
  bool done_ = false, stop_ = false;
  double waited_ = 0;
  std::thread thread_;  // last: starts when the rest is there
};

}  // namespace noisette
