#include "train/feed.h"

#include "kernels/philox.h"

namespace noisette {
namespace {

LoaderOptions loader_options(const TrainConfig& c, int64_t first) {
  return {.order = {.seed = c.run.seed(), .global_batch = c.run.batch, .flip = c.data.flip},
          .first_update = first,
          .end_update = c.run.updates,
          .begin = 0,
          .end = 0,
          .micro_batch = c.run.micro_batch,
          .prefetch = 4};
}

}  // namespace

void check_data(const TrainConfig& c, const DataSplit& data) {
  const DatasetInfo& info = data.info();
  const std::string& file = data.dataset().origin();
  check_user(data.size() > 0, "[data] the split '{}' of {} is empty", data.name(), file);
  check_user(info.channels == c.model.in_channels && info.channels == c.model.out_channels,
             "[data] {} has {} channels; model.in_channels is {} and model.out_channels {}", file,
             info.channels, c.model.in_channels, c.model.out_channels);
  check_user(info.height == c.model.sample_size && info.width == c.model.sample_size,
             "[data] {} has images of {}x{}; model.sample_size is {}", file, info.width,
             info.height, c.model.sample_size);
  const int64_t multiple = int64_t(1) << (c.model.block_out_channels.size() - 1);
  check_user(
      info.height % multiple == 0,
      "[model] {} levels halve the image {} times, which needs a size divisible by {}; {} has {}",
      c.model.block_out_channels.size(), c.model.block_out_channels.size() - 1, multiple, file,
      info.height);
  if (c.model.num_class_embeds == 0) return;
  const auto classes = int64_t(info.class_names.size());
  check_user(classes > 0, "[data] {} has no classes; set model.num_class_embeds = 0", file);
  check_user(c.model.num_class_embeds == classes + 1,
             "[data] {} has {} classes; model.num_class_embeds is {} and must be {}, the empty "
             "label included",
             file, classes, c.model.num_class_embeds, classes + 1);
}

int64_t dropped_label(int64_t label, int64_t num_class_embeds, double dropout, uint64_t seed,
                      int64_t sample) {
  const PhiloxBlock b = philox_block({seed, Purpose::kLabelDrop}, uint64_t(sample), 0);
  const bool drop = label < 0 || double(uniform(b[0])) < dropout;
  return drop ? num_class_embeds - 1 : label;
}

Feed::Feed(const TrainConfig& config, const DataSplit& data, int64_t first)
    : config_(config), loader_(data, loader_options(config, first)) {}

std::list<Feed::Slot>::iterator Feed::slot_for(int64_t n) {
  for (auto at = free_.begin(); at != free_.end(); ++at)
    if (at->images == n) return at;
  const UNetConfig& m = config_.model;
  const Device device = config_.run.device();
  std::vector<Tensor> like{
      empty({n, m.sample_size, m.sample_size, m.in_channels}, DType::u8, device),
      empty({n}, DType::i64, device)};
  if (m.num_class_embeds > 0) like.push_back(empty({n}, DType::i64, device));
  free_.push_front({UploadBuffer(like), n});
  return free_.begin();
}

void Feed::fill(UploadBuffer& buffer, const ImageBatch& got) const {
  const int64_t classes = config_.model.num_class_embeds;
  auto* index = static_cast<int64_t*>(buffer.host(1));
  std::copy(got.images.begin(), got.images.end(), static_cast<uint8_t*>(buffer.host(0)));
  for (int64_t i = 0; i < got.size(); ++i) index[i] = sample_index(got.update, got.position + i);
  if (classes == 0) return;
  auto* labels = static_cast<int64_t*>(buffer.host(2));
  for (int64_t i = 0; i < got.size(); ++i)
    labels[i] = dropped_label(got.labels[std::size_t(i)], classes, config_.data.label_dropout,
                              config_.run.seed(), index[i]);
}

bool Feed::begin_next() {
  const std::optional<ImageBatch> got = loader_.next();
  if (!got.has_value()) return false;
  const auto slot = slot_for(got->size());
  fill(slot->buffer, *got);
  slot->buffer.start();
  coming_.splice(coming_.end(), free_, slot);
  return true;
}

Batch Feed::next() {
  check(!coming_.empty() || begin_next(), "[feed] the run has {} updates and no data after them",
        config_.run.updates);
  taken_.splice(taken_.end(), coming_, coming_.begin());
  const std::vector<Tensor>& t = taken_.back().buffer.take();
  return {t[0], t.size() > 2 ? t[2] : Tensor(), t[1]};
}

void Feed::go_ahead() {
  const std::size_t count = taken_.size();
  for (Slot& slot : taken_) slot.buffer.release();
  // Those of the update before are free by now, so that what comes next does not wait for this one.
  const bool on_device = config_.run.device().type == DeviceType::cuda;
  for (std::size_t i = 0; on_device && i < count && begin_next(); ++i) {
  }
  free_.splice(free_.end(), taken_);
}

}  // namespace noisette
