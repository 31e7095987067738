#include <algorithm>
#include <cmath>

#include "framework/core/check.h"
#include "framework/data/dataset.h"
#include "framework/data/fingerprint.h"

namespace noisette {
namespace {
constexpr int64_t kChunkBytes = 1 << 16;   // what a random read of one small image costs
constexpr int64_t kBufferBytes = 1 << 22;  // written at once
}  // namespace

DatasetWriter::DatasetWriter(const std::filesystem::path& path, int64_t capacity, int64_t height,
                             int64_t width, int64_t channels)
    : file_(hdf5::File::create(path)), height_(height), width_(width), channels_(channels) {
  check(capacity > 0 && height > 0 && width > 0 && (channels == 1 || channels == 3),
        "[data] a data set needs images of 1 or 3 channels; got {} of {} x {} x {}", capacity,
        height, width, channels);
  const int64_t bytes = height * width * channels;
  const int64_t chunk = std::min(capacity, std::max<int64_t>(1, kChunkBytes / bytes));
  buffer_images_ = chunk * std::max<int64_t>(1, kBufferBytes / (chunk * bytes));  // whole chunks
  images_ = std::make_unique<hdf5::Dataset>(file_.create_dataset(
      "/images", DType::u8, {capacity, height, width, channels}, {.chunk_rows = chunk}));
  sum_.assign(std::size_t(channels), 0);
  sum_of_squares_ = sum_;
}

void DatasetWriter::add(std::span<const uint8_t> image, int32_t label, const std::string& caption) {
  check(int64_t(image.size()) == height_ * width_ * channels_,
        "[data] an image of {} x {} x {} has {} bytes; got {}", height_, width_, channels_,
        height_ * width_ * channels_, image.size());
  for (std::size_t i = 0; i < image.size(); i += std::size_t(channels_))
    for (std::size_t c = 0; c < std::size_t(channels_); ++c) {
      const int64_t v = image[i + c];
      sum_[c] += v;
      sum_of_squares_[c] += v * v;
    }
  buffer_.insert(buffer_.end(), image.begin(), image.end());
  labels_.push_back(label);
  captions_.push_back(caption);
  if (count() - written_ == buffer_images_) flush();
}

void DatasetWriter::flush() {
  const auto bytes = std::as_bytes(std::span(buffer_));
  images_->write_rows(written_, count() - written_, bytes);
  image_hash_.add(bytes);
  written_ = count();
  buffer_.clear();
}

void DatasetWriter::write_captions(DatasetInfo& info) {
  info.has_captions =
      std::any_of(captions_.begin(), captions_.end(), [](const auto& c) { return !c.empty(); });
  if (info.has_captions)
    file_.write_strings("/captions", captions_);
  else
    captions_.clear();
}

DatasetInfo DatasetWriter::finish(const std::string& source,
                                  const std::vector<std::string>& class_names,
                                  const std::vector<std::pair<std::string, int64_t>>& splits) {
  check_user(count() > 0, "[data] {}: a data set cannot be empty", file_.origin());
  flush();
  images_->shrink(count());
  DatasetInfo info;
  info.count = count();
  info.height = height_;
  info.width = width_;
  info.channels = channels_;
  info.source = source;
  info.class_names = class_names;
  write_captions(info);
  std::string names;
  std::vector<int64_t> sizes;
  int64_t first = 0;
  for (const auto& [name, size] : splits) {
    check(!name.empty() && name.find('\n') == name.npos, "[data] '{}' is no name of a split", name);
    info.splits.push_back({name, first, size});
    names += name + "\n";
    sizes.push_back(size);
    first += size;
  }
  if (first != count()) throw std::logic_error("data: the splits do not add up to the images");

  const double n = double(count() * height_ * width_);
  for (std::size_t c = 0; c < std::size_t(channels_); ++c) {
    info.mean.push_back(double(sum_[c]) / n);
    const double variance = double(sum_of_squares_[c]) / n - info.mean[c] * info.mean[c];
    info.std.push_back(std::sqrt(std::max(variance, 0.0)));
  }
  info.fingerprint = dataset_fingerprint(info, image_hash_.hex(), labels_, captions_);

  file_.create_dataset("/labels", DType::i32, {count()})
      .write_rows(0, count(), std::as_bytes(std::span(labels_)));
  if (!class_names.empty()) file_.write_strings("/class_names", class_names);
  file_.set("/", "format", "noisette data");
  file_.set("/", "version", int64_t(1));
  file_.set("/", "source", source);
  file_.set("/", "images", count());
  file_.set("/", "split_names", names);
  file_.set("/", "split_sizes", std::span<const int64_t>(sizes));
  file_.set("/", "mean", std::span<const double>(info.mean));
  file_.set("/", "std", std::span<const double>(info.std));
  file_.set("/", "fingerprint", info.fingerprint);
  file_.finish();
  return info;
}

}  // namespace noisette
