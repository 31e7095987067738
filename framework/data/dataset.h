// A data set: one HDF5 file with images, labels, captions and what they are.
//
//   /images       [N, H, W, C] u8, chunks of about 64 KiB
//   /labels       [N] i32, index into the class names, -1 for none
//   /captions     [N] UTF-8 (only when there are any)
//   /class_names  [classes] UTF-8 (only when there are any)
//   attributes of /: format, version, source, images, split_names, split_sizes, mean, std,
//   fingerprint
//
// Splits are ranges of the images, one after the other in the order of split_sizes.
#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "framework/io/hash.h"
#include "framework/io/hdf5.h"
#include "framework/io/image.h"

namespace noisette {

struct SplitRange {
  std::string name;  // "train", "test"
  int64_t first = 0, count = 0;
  bool operator==(const SplitRange&) const = default;
};

struct DatasetInfo {
  int64_t count = 0, height = 0, width = 0, channels = 0;
  std::string source;
  std::vector<std::string> class_names;
  std::vector<SplitRange> splits;
  std::vector<double> mean, std;  // per channel, of values in [0, 255]
  bool has_captions = false;
  std::string fingerprint;  // XXH3-128 over all of the above but `source`, and over the data

  int64_t image_bytes() const { return height * width * channels; }
};

/// An open data set. Reading is thread-safe.
class Dataset {
 public:
  /// Sets up to `memory_bytes` of images are kept in memory, and verified; larger ones are read as
  /// they are needed.
  static std::shared_ptr<const Dataset> open(const std::filesystem::path& path,
                                             int64_t memory_bytes = kMemoryBytes);
  static constexpr int64_t kMemoryBytes = int64_t(2) << 30;

  const DatasetInfo& info() const { return info_; }
  const std::string& origin() const { return origin_; }
  bool in_memory() const { return !memory_.empty(); }

  /// Copies the images of these numbers, one after the other, into `out`.
  void read_images(std::span<const int64_t> numbers, std::span<uint8_t> out) const;
  Image image(int64_t number) const;
  int32_t label(int64_t number) const { return labels_[std::size_t(number)]; }
  const std::string& caption(int64_t number) const;  // "" without captions

  /// Reads everything and compares it with the fingerprint; an Error when they differ.
  void verify() const;

 private:
  Dataset() = default;
  void read_header(const hdf5::File& file);
  std::string origin_;
  DatasetInfo info_;
  std::vector<uint8_t> memory_;
  std::vector<int32_t> labels_;
  std::vector<std::string> captions_;
  std::unique_ptr<hdf5::File> file_;  // when not in memory
  std::unique_ptr<hdf5::Dataset> images_;
};

/// One split of a data set; its images are numbered from 0.
class DataSplit {
 public:
  DataSplit(std::shared_ptr<const Dataset> data, const std::string& name);
  /// "FILE" opens the split `name` of FILE; "FILE#other" asks for the split `other`.
  static DataSplit open(const std::string& spec, const std::string& name,
                        int64_t memory_bytes = Dataset::kMemoryBytes);

  int64_t size() const { return range_.count; }
  const std::string& name() const { return range_.name; }
  const Dataset& dataset() const { return *data_; }
  const DatasetInfo& info() const { return data_->info(); }
  void read_images(std::span<const int64_t> numbers, std::span<uint8_t> out) const;
  Image image(int64_t number) const { return data_->image(range_.first + checked(number)); }
  int32_t label(int64_t number) const { return data_->label(range_.first + checked(number)); }
  const std::string& caption(int64_t number) const {
    return data_->caption(range_.first + checked(number));
  }

 private:
  int64_t checked(int64_t number) const;
  std::shared_ptr<const Dataset> data_;
  SplitRange range_;
};

/// Writes a data set; without finish() no file appears.
class DatasetWriter {
 public:
  /// Room for `capacity` images; fewer may be added.
  DatasetWriter(const std::filesystem::path& path, int64_t capacity, int64_t height, int64_t width,
                int64_t channels);
  void add(std::span<const uint8_t> image, int32_t label = -1, const std::string& caption = "");
  int64_t count() const { return int64_t(labels_.size()); }
  /// Sizes of the splits in order; they add up to count().
  DatasetInfo finish(const std::string& source, const std::vector<std::string>& class_names,
                     const std::vector<std::pair<std::string, int64_t>>& splits);

 private:
  void flush();
  void write_captions(DatasetInfo& info);
  hdf5::File file_;
  std::unique_ptr<hdf5::Dataset> images_;
  int64_t height_, width_, channels_, buffer_images_ = 0, written_ = 0;
  std::vector<uint8_t> buffer_;
  std::vector<int32_t> labels_;
  std::vector<std::string> captions_;
  Hasher image_hash_;
  std::vector<int64_t> sum_, sum_of_squares_;  // per channel
};

}  // namespace noisette
