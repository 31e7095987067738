// Configuration of the denoising UNet. Field names and meanings are those of diffusers'
// UNet2DModel.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "framework/config/fields.h"

namespace noisette {

/// Where weights start: `ddpm` is the paper's variance scaling (fan average, last layer of each
/// block near zero), `torch` what PyTorch's layers give.
enum class WeightInit { ddpm, torch };
inline constexpr std::string_view kWeightInitNames[] = {"ddpm", "torch"};
constexpr std::span<const std::string_view> enum_names(WeightInit) { return kWeightInitNames; }

struct UNetConfig {
  std::string preset = "none";
  int64_t sample_size = 32;
  int64_t in_channels = 3;
  int64_t out_channels = 3;
  std::vector<int64_t> block_out_channels = {128, 256, 256, 256};
  int64_t layers_per_block = 2;
  std::vector<int64_t> attention_levels = {1};
  bool add_attention = true;
  std::optional<int64_t> attention_head_dim;
  int64_t norm_num_groups = 32;
  double norm_eps = 1e-6;
  double dropout = 0;
  int64_t downsample_padding = 0;
  bool flip_sin_to_cos = false;
  int64_t freq_shift = 1;
  double mid_block_scale_factor = 1;
  int64_t num_class_embeds = 0;
  WeightInit init = WeightInit::ddpm;

  void fields(config::Fields& f);
  std::string problem() const;

  int64_t time_embed_dim() const { return 4 * block_out_channels.front(); }
  bool has_attention(int64_t level) const;
  /// Number of heads of attention over `channels`.
  int64_t heads(int64_t channels) const {
    return attention_head_dim ? channels / *attention_head_dim : 1;
  }

 private:
  std::string shape_problem() const;  // rules between the fields, each in its range
};

/// The networks of Ho et al. 2020, section 4 and appendix B: `ddpm-cifar10` (35,746,307 parameters)
/// and `ddpm-256` (113,673,219). Throws UsageError listing the names for an unknown one.
UNetConfig unet_preset(const std::string& name);

}  // namespace noisette
