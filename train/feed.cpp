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

Batch Feed::next() {
  std::optional<ImageBatch> got = loader_.next();
  check(got.has_value(), "[feed] the run has {} updates and no data after them",
        config_.run.updates);
  const UNetConfig& m = config_.model;
  const int64_t n = got->size();
  const Device device = config_.run.device();
  std::vector<int64_t> index, labels;
  for (int64_t i = 0; i < n; ++i) index.push_back(sample_index(got->update, got->position + i));
  Batch batch;
  batch.images =
      from_vector<uint8_t>(got->images, {n, m.sample_size, m.sample_size, m.in_channels}, device);
  batch.sample_index = from_vector<int64_t>(index, {n}, device);
  if (m.num_class_embeds == 0) return batch;
  for (std::size_t i = 0; i < index.size(); ++i)
    labels.push_back(dropped_label(got->labels[i], m.num_class_embeds, config_.data.label_dropout,
                                   config_.run.seed(), index[i]));
  batch.labels = from_vector<int64_t>(labels, {n}, device);
  return batch;
}

}  // namespace noisette
