#include "framework/data/dataset.h"

#include <algorithm>
#include <cstring>

#include "framework/core/check.h"
#include "framework/data/fingerprint.h"

namespace noisette {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::vector<SplitRange> read_splits(const hdf5::File& file, int64_t count) {
  const std::vector<std::string> names = lines_of(file.get_string("/", "split_names"));
  const std::vector<int64_t> sizes = file.get_ints("/", "split_sizes");
  check_user(names.size() == sizes.size(), "[data] {}: {} split names but {} split sizes",
             file.origin(), names.size(), sizes.size());
  std::vector<SplitRange> splits;
  int64_t first = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    check_user(sizes[i] >= 0 && sizes[i] <= count - first,
               "[data] {}: split '{}' has {} images, but only {} are left of {}", file.origin(),
               names[i], sizes[i], count - first, count);
    splits.push_back({names[i], first, sizes[i]});
    first += sizes[i];
  }
  check_user(first == count, "[data] {}: the splits hold {} images; expected {}", file.origin(),
             first, count);
  return splits;
}

}  // namespace

std::string dataset_fingerprint(const DatasetInfo& info, const std::string& image_hash,
                                std::span<const int32_t> labels,
                                std::span<const std::string> captions) {
  Hasher hash;
  hash.add(fmt::format("noisette data 1\n{} {} {} {}\n", info.count, info.height, info.width,
                       info.channels));
  for (const SplitRange& s : info.splits) hash.add(fmt::format("split {} {}\n", s.count, s.name));
  for (const std::string& name : info.class_names)
    hash.add(fmt::format("class {} {}\n", name.size(), name));
  hash.add("images " + image_hash + "\nlabels ");
  hash.add(std::as_bytes(labels));
  for (const std::string& caption : captions)
    hash.add(fmt::format("caption {} {}\n", caption.size(), caption));
  return hash.hex();
}

void Dataset::read_header(const hdf5::File& file) {
  const std::string format = file.has("/", "format") ? file.get_string("/", "format") : "";
  check_user(format == "noisette data",
             "[data] {} is {}, not a data set of noisette; make one with 'noisette data'", origin_,
             format.empty() ? "another program's HDF5 file" : "a " + format);
  const int64_t version = file.get_int("/", "version");
  check_user(version == 1, "[data] {} has format version {}; this program reads version 1", origin_,
             version);
  images_ = std::make_unique<hdf5::Dataset>(file.open_dataset("/images"));
  const Shape& shape = images_->shape();
  check_user(images_->dtype() == DType::u8 && shape.ndim() == 4 && shape.numel() > 0,
             "[data] {}: images must be u8 [N, H, W, C] and not empty; got {} {}", origin_,
             images_->dtype(), shape);
  info_.count = shape[0];
  info_.height = shape[1];
  info_.width = shape[2];
  info_.channels = shape[3];
  check_user(info_.channels == 1 || info_.channels == 3,
             "[data] {}: images have 1 or 3 channels; got {}", origin_, info_.channels);
  info_.source = file.get_string("/", "source");
  info_.mean = file.get_doubles("/", "mean");
  info_.std = file.get_doubles("/", "std");
  info_.fingerprint = file.get_string("/", "fingerprint");
  info_.splits = read_splits(file, info_.count);
  if (file.exists("/class_names")) info_.class_names = file.read_strings("/class_names");
  info_.has_captions = file.exists("/captions");
}

std::shared_ptr<const Dataset> Dataset::open(const std::filesystem::path& path,
                                             int64_t memory_bytes) {
  std::shared_ptr<Dataset> data(new Dataset());
  data->origin_ = path.string();
  std::error_code error;
  check_user(std::filesystem::exists(path, error) || error,
             "[data] cannot open {}: No such file or directory; `noisette data` makes data sets",
             data->origin_);
  data->file_ = std::make_unique<hdf5::File>(hdf5::File::open(path));
  data->read_header(*data->file_);
  const DatasetInfo& info = data->info_;

  data->labels_ = data->file_->open_dataset("/labels").read_all<int32_t>();
  if (info.has_captions) data->captions_ = data->file_->read_strings("/captions");
  check_user(int64_t(data->labels_.size()) == info.count, "[data] {}: {} labels for {} images",
             data->origin_, data->labels_.size(), info.count);
  check_user(!info.has_captions || int64_t(data->captions_.size()) == info.count,
             "[data] {}: {} captions for {} images", data->origin_, data->captions_.size(),
             info.count);
  const auto classes = int64_t(info.class_names.size());
  for (int32_t label : data->labels_)
    check_user(label >= -1 && label < classes, "[data] {}: label {} with {} classes", data->origin_,
               label, classes);

  if (info.count * info.image_bytes() <= memory_bytes) {
    data->memory_ = data->images_->read_all<uint8_t>();
    data->images_.reset();
    data->file_.reset();
    data->verify();
  }
  return data;
}

void Dataset::read_images(std::span<const int64_t> numbers, std::span<uint8_t> out) const {
  const int64_t bytes = info_.image_bytes();
  check(int64_t(out.size()) == int64_t(numbers.size()) * bytes,
        "[data] {} images of {} bytes into {} bytes", numbers.size(), bytes, out.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const int64_t n = numbers[i];
    check(n >= 0 && n < info_.count, "[data] {} has no image {}; it has {}", origin_, n,
          info_.count);
    const std::span<uint8_t> to = out.subspan(i * std::size_t(bytes), std::size_t(bytes));
    if (images_)
      images_->read_rows(n, 1, std::as_writable_bytes(to));
    else
      std::memcpy(to.data(), memory_.data() + n * bytes, to.size());
  }
}

Image Dataset::image(int64_t number) const {
  Image image(info_.width, info_.height, info_.channels);
  read_images({&number, 1}, image.pixels);
  return image;
}

const std::string& Dataset::caption(int64_t number) const {
  static const std::string none;
  return captions_.empty() ? none : captions_[std::size_t(number)];
}

void Dataset::verify() const {
  Hasher images;
  if (images_) {
    constexpr int64_t kBlockBytes = 1 << 24;
    const int64_t block = std::max<int64_t>(1, kBlockBytes / info_.image_bytes());
    std::vector<std::byte> buffer;
    for (int64_t first = 0; first < info_.count; first += block) {
      const int64_t count = std::min(block, info_.count - first);
      buffer.resize(std::size_t(count * info_.image_bytes()));
      images_->read_rows(first, count, buffer);
      images.add(buffer);
    }
  } else {
    images.add(std::as_bytes(std::span(memory_)));
  }
  const std::string actual = dataset_fingerprint(info_, images.hex(), labels_, captions_);
  check_user(
      actual == info_.fingerprint,
      "[data] {} has changed since it was made: its content has the fingerprint {}, it was made "
      "with {}",
      origin_, actual, info_.fingerprint);
}

DataSplit::DataSplit(std::shared_ptr<const Dataset> data, const std::string& name)
    : data_(std::move(data)) {
  const std::vector<SplitRange>& splits = data_->info().splits;
  const auto found =
      std::find_if(splits.begin(), splits.end(), [&](const auto& s) { return s.name == name; });
  std::vector<std::string> known;
  for (const SplitRange& s : splits) known.push_back(s.name);
  check_user(found != splits.end(), "[data] {} has no split '{}'; it has: {}", data_->origin(),
             name, fmt::join(known, ", "));
  range_ = *found;
}

DataSplit DataSplit::open(const std::string& spec, const std::string& name, int64_t memory_bytes) {
  const std::size_t mark = spec.rfind('#');
  if (mark == spec.npos || std::filesystem::exists(spec))
    return {Dataset::open(spec, memory_bytes), name};
  return {Dataset::open(spec.substr(0, mark), memory_bytes), spec.substr(mark + 1)};
}

int64_t DataSplit::checked(int64_t number) const {
  check(number >= 0 && number < range_.count, "[data] split '{}' of {} has no image {}; it has {}",
        range_.name, data_->origin(), number, range_.count);
  return number;
}

void DataSplit::read_images(std::span<const int64_t> numbers, std::span<uint8_t> out) const {
  std::vector<int64_t> global(numbers.size());
  std::transform(numbers.begin(), numbers.end(), global.begin(),
                 [&](int64_t n) { return range_.first + checked(n); });
  data_->read_images(global, out);
}

}  // namespace noisette
