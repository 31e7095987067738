#include "framework/data/loader.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "framework/core/check.h"
#include "framework/data/permutation.h"
#include "kernels/philox.h"

namespace noisette {
namespace {

bool flips(const OrderConfig& order, int64_t epoch, int64_t image) {
  const RngKey key{order.seed, Purpose::kFlip};
  return order.flip && philox_block(key, uint64_t(epoch) << 40 | uint64_t(image), 0)[0] >> 31;
}

/// Mirrors one image left to right.
void mirror(uint8_t* image, const DatasetInfo& info) {
  const int64_t c = info.channels;
  for (int64_t y = 0; y < info.height; ++y) {
    uint8_t* row = image + y * info.width * c;
    for (int64_t a = 0, b = info.width - 1; a < b; ++a, --b)
      std::swap_ranges(row + a * c, row + a * c + c, row + b * c);
  }
}

void check_order(const OrderConfig& order) {
  check(order.global_batch > 0 && order.global_batch < (1 << 24),
        "[data] the batch must be 1 to 2^24 - 1; got {}", order.global_batch);
}

}  // namespace

Sample sample_at(const OrderConfig& order, int64_t images, int64_t update, int64_t position) {
  const int64_t k = update * order.global_batch + position, epoch = k / images;
  const int64_t image = Permutation(images, order.seed, epoch)(k % images);
  return {epoch, image, flips(order, epoch, image)};
}

ImageBatch make_batch(const DataSplit& data, const OrderConfig& order, int64_t update,
                      int64_t begin, int64_t end) {
  check_order(order);
  check(update >= 0 && begin >= 0 && begin <= end && end <= order.global_batch,
        "[data] positions [{}, {}) of update {} do not exist in a batch of {}", begin, end, update,
        order.global_batch);
  ImageBatch batch{.update = update, .position = begin, .images = {}, .labels = {}, .numbers = {}};
  std::vector<bool> flip;
  for (int64_t p = begin; p < end; ++p) {
    const Sample s = sample_at(order, data.size(), update, p);
    batch.numbers.push_back(s.image);
    batch.labels.push_back(data.label(s.image));
    flip.push_back(s.flip);
  }
  const auto bytes = std::size_t(data.info().image_bytes());
  batch.images.resize(batch.numbers.size() * bytes);
  data.read_images(batch.numbers, batch.images);
  for (std::size_t i = 0; i < flip.size(); ++i)
    if (flip[i]) mirror(batch.images.data() + i * bytes, data.info());
  return batch;
}

void pixels_to_float(std::span<const uint8_t> pixels, float* out) {
  for (std::size_t i = 0; i < pixels.size(); ++i) out[i] = float(pixels[i]) / 127.5f - 1.f;
}

void pixels_from_float(std::span<const float> values, uint8_t* out) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float v = (values[i] + 1.f) * 127.5f;
    out[i] = v > 0.f ? uint8_t(std::min(v + 0.5f, 255.f)) : uint8_t(0);  // NaN gives 0
  }
}

Loader::Loader(DataSplit data, const LoaderOptions& options)
    : data_(std::move(data)), options_(options) {
  LoaderOptions& o = options_;
  check_order(o.order);
  if (o.begin == 0 && o.end == 0) o.end = o.order.global_batch;
  if (o.micro_batch == 0) o.micro_batch = std::max<int64_t>(o.end - o.begin, 1);
  check(o.begin >= 0 && o.begin <= o.end && o.end <= o.order.global_batch && o.micro_batch > 0 &&
            o.prefetch > 0 && o.first_update >= 0,
        "[data] positions [{}, {}) in micro-batches of {} do not fit a batch of {}", o.begin, o.end,
        o.micro_batch, o.order.global_batch);
  thread_ = std::thread([this] { run(); });
}

Loader::~Loader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  room_.notify_all();
  thread_.join();
}

void Loader::run() {
  std::exception_ptr error;
  try {
    const LoaderOptions& o = options_;
    for (int64_t update = o.first_update; update < o.end_update; ++update)
      for (int64_t p = o.begin; p < o.end; p += o.micro_batch)
        if (!put(make_batch(data_, o.order, update, p, std::min(p + o.micro_batch, o.end)))) return;
  } catch (...) {
    error = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  error_ = error;
  done_ = true;
  ready_.notify_all();
}

bool Loader::put(ImageBatch batch) {
  std::unique_lock lock(mutex_);
  room_.wait(lock, [&] { return stop_ || int64_t(queue_.size()) < options_.prefetch; });
  if (stop_) return false;
  queue_.push_back(std::move(batch));
  ready_.notify_one();
  return true;
}

std::optional<ImageBatch> Loader::next() {
  std::unique_lock lock(mutex_);
  if (queue_.empty() && !done_) {
    const auto start = std::chrono::steady_clock::now();
    ready_.wait(lock, [&] { return !queue_.empty() || done_; });
    waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  if (queue_.empty()) {
    if (error_) std::rethrow_exception(error_);
    return std::nullopt;
  }
  ImageBatch batch = std::move(queue_.front());
  queue_.pop_front();
  room_.notify_one();
  return batch;
}

}  // namespace noisette
