#include "models/unet/config.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "framework/core/check.h"

namespace noisette {

void UNetConfig::fields(config::Fields& f) {
  f.add(
      "preset", preset,
      {.doc =
           "start from a published network: ddpm-cifar10, ddpm-256 or none; other keys change it"});
  f.add("sample_size", sample_size,
        {.unit = "pixels", .min = 1, .max = 65536, .doc = "height and width of the images"});
  f.add("in_channels", in_channels, {.min = 1, .doc = "channels of the noisy image"});
  f.add("out_channels", out_channels, {.min = 1, .doc = "channels of the prediction"});
  f.add("block_out_channels", block_out_channels,
        {.min = 1,
         .min_length = 1,
         .doc = "width of each level, finest first; every level halves the size"});
  f.add("layers_per_block", layers_per_block,
        {.min = 1, .doc = "residual blocks a level going down (one more going up)"});
  f.add(
      "attention_levels", attention_levels,
      {.min = 0,
       .doc = "levels with self-attention after each residual block, counted from 0, the finest"});
  f.add("add_attention", add_attention, {.doc = "self-attention in the middle block"});
  f.add("attention_head_dim", attention_head_dim,
        {.unit = "channels",
         .min = 1,
         .doc = "size of an attention head; none: one head of full width"});
  f.add("norm_num_groups", norm_num_groups,
        {.min = 1, .doc = "groups of every group normalisation"});
  f.add("norm_eps", norm_eps,
        {.above = 0, .max = 1, .doc = "added to the variance in every normalisation"});
  f.add("dropout", dropout,
        {.min = 0, .below = 1, .doc = "probability of zeroing before a block's last convolution"});
  f.add("downsample_padding", downsample_padding,
        {.min = 0,
         .max = 1,
         .doc = "stride-2 convolutions: 1 pads all sides, 0 only right and bottom (the paper)"});
  f.add("flip_sin_to_cos", flip_sin_to_cos, {.doc = "time embedding: cosines before sines"});
  f.add("freq_shift", freq_shift,
        {.min = 0, .max = 1, .doc = "time embedding: frequencies over half - freq_shift"});
  f.add("mid_block_scale_factor", mid_block_scale_factor,
        {.above = 0, .doc = "the middle block's residual sums are divided by this"});
  f.add("num_class_embeds", num_class_embeds,
        {.unit = "classes",
         .min = 0,
         .doc = "size of the class embedding, the empty label of guidance included; 0: not "
                "conditional"});
  f.add("init", init,
        {.doc = "start of the weights: ddpm (the paper) or torch (PyTorch's defaults)"});
}

std::string UNetConfig::problem() const {
  // Configurations also come from other people's files, so every number is checked here.
  constexpr int64_t kMost = int64_t(1) << 20;
  std::vector<std::tuple<const char*, int64_t, int64_t, int64_t>> ranges = {
      {"sample_size", sample_size, 1, kMost},
      {"in_channels", in_channels, 1, kMost},
      {"out_channels", out_channels, 1, kMost},
      {"levels of block_out_channels", int64_t(block_out_channels.size()), 1, 16},
      {"layers_per_block", layers_per_block, 1, 1000},
      {"attention_head_dim", attention_head_dim.value_or(1), 1, kMost},
      {"norm_num_groups", norm_num_groups, 1, kMost},
      {"downsample_padding", downsample_padding, 0, 1},
      {"freq_shift", freq_shift, 0, 1},
      {"num_class_embeds", num_class_embeds, 0, kMost}};
  for (const int64_t c : block_out_channels) ranges.emplace_back("block_out_channels", c, 1, kMost);
  for (const auto& [name, value, least, most] : ranges)
    if (value < least || value > most)
      return fmt::format("{} must be from {} to {}; got {}", name, least, most, value);
  if (!(norm_eps > 0 && norm_eps <= 1))
    return fmt::format("norm_eps must be in (0, 1]; got {}", norm_eps);
  if (!(dropout >= 0 && dropout < 1))
    return fmt::format("dropout must be in [0, 1); got {}", dropout);
  if (!(mid_block_scale_factor > 0 && std::isfinite(mid_block_scale_factor)))
    return fmt::format("mid_block_scale_factor must be above 0; got {}", mid_block_scale_factor);
  return shape_problem();
}

std::string UNetConfig::shape_problem() const {
  const auto levels = int64_t(block_out_channels.size());
  for (const int64_t level : attention_levels)
    if (level < 0 || level >= levels)
      return fmt::format(
          "attention_levels names level {}, but block_out_channels has levels 0 to {}", level,
          levels - 1);
  for (const int64_t c : block_out_channels) {
    if (c % norm_num_groups != 0)
      return fmt::format(
          "block_out_channels must be multiples of norm_num_groups; got {} with {} groups", c,
          norm_num_groups);
    if (attention_head_dim && c % *attention_head_dim != 0)
      return fmt::format(
          "block_out_channels must be multiples of attention_head_dim; got {} with {}", c,
          *attention_head_dim);
  }
  const int64_t width = block_out_channels.front();
  if (width % 2 != 0 || width / 2 <= freq_shift)
    return fmt::format(
        "block_out_channels[0] must be even and above 2 * freq_shift, for the sines and cosines of "
        "time; got {} with freq_shift {}",
        width, freq_shift);
  return "";
}

bool UNetConfig::has_attention(int64_t level) const {
  return std::find(attention_levels.begin(), attention_levels.end(), level) !=
         attention_levels.end();
}

UNetConfig unet_preset(const std::string& name) {
  UNetConfig c;  // the defaults are ddpm-cifar10's, but for dropout
  c.preset = name;
  if (name == "none") return c;
  if (name == "ddpm-cifar10") {
    c.dropout = 0.1;
    return c;
  }
  if (name == "ddpm-256") {
    c.sample_size = 256;
    c.block_out_channels = {128, 128, 256, 256, 512, 512};
    c.attention_levels = {4};
    return c;
  }
  throw UsageError(
      fmt::format("[unet] unknown preset '{}'; known: ddpm-cifar10, ddpm-256, none", name));
}

}  // namespace noisette
