// The denoising UNet of Ho et al. 2020 (arXiv:2006.11239, appendix B), optionally
// class-conditional. Parameter names and the function computed are those of diffusers' UNet2DModel.
#pragma once
#include <memory>
#include <optional>

#include "framework/nn/layers.h"
#include "models/unet/config.h"

namespace noisette {

/// Residual block: norm, SiLU, conv, + time embedding, norm, SiLU, dropout, conv, + skip, / scale.
/// x [N, H, W, in], emb [N, E] (after SiLU) -> [N, H, W, out]. Keys follow diffusers'
/// ResnetBlock2D.
class ResBlock final : public Module {
 public:
  ResBlock(int64_t in, int64_t out, const UNetConfig& c, double scale = 1);
  Tensor operator()(const Tensor& x, const Tensor& emb, const ForwardContext& context) const;

 private:
  GroupNorm norm1_;
  Conv2d conv1_;
  Linear time_emb_proj_;
  GroupNorm norm2_;
  Dropout dropout_;
  Conv2d conv2_;
  std::optional<Conv2d> shortcut_;  // 1x1, only when the width changes
  double scale_;
};

/// Self-attention over pixels: norm, one fused projection to q, k, v, attention, projection, +
/// input, / scale. x [N, H, W, C] -> [N, H, W, C]. Keys follow diffusers' Attention (group_norm,
/// to_q, to_k, to_v, to_out.0).
class AttentionBlock final : public Module {
 public:
  AttentionBlock(int64_t channels, const UNetConfig& c, double scale = 1);
  Tensor operator()(const Tensor& x, const ForwardContext& context) const;

 private:
  GroupNorm group_norm_;
  LinearGroup qkv_;
  Linear to_out_;
  int64_t heads_;
  double scale_;
};

/// Changes the resolution by two. Down: a stride-2 3x3 convolution. Up: nearest resize, then a 3x3
/// convolution. Key: conv.
class Resample final : public Module {
 public:
  enum class Way { down, up };
  Resample(int64_t channels, Way way, const UNetConfig& c);
  Tensor operator()(const Tensor& x) const;

 private:
  Way way_;
  Conv2d conv_;
};

/// One level going down: residual blocks, each followed by attention where the level has it, then a
/// stride-2 convolution on all levels but the last.
class DownBlock final : public Module {
 public:
  DownBlock(int64_t in, int64_t out, const UNetConfig& c, bool attention, bool last);
  /// Appends what the way up will need to `skips`.
  Tensor operator()(Tensor x, const Tensor& emb, const ForwardContext& context,
                    std::vector<Tensor>& skips) const;

 private:
  ModuleList<ResBlock> resnets_;
  ModuleList<AttentionBlock> attentions_;
  ModuleList<Resample> downsamplers_;  // none or one
};

/// One level going up: residual blocks over [x, skip], attention, then nearest resize and a
/// convolution on all levels but the last (finest).
class UpBlock final : public Module {
 public:
  UpBlock(int64_t below, int64_t in, int64_t out, const UNetConfig& c, bool attention, bool last);
  Tensor operator()(Tensor x, const Tensor& emb, const ForwardContext& context,
                    std::vector<Tensor>& skips) const;

 private:
  ModuleList<ResBlock> resnets_;
  ModuleList<AttentionBlock> attentions_;
  ModuleList<Resample> upsamplers_;  // none or one
};

/// Residual block, attention, residual block at the coarsest level.
class MidBlock final : public Module {
 public:
  MidBlock(int64_t channels, const UNetConfig& c);
  Tensor operator()(Tensor x, const Tensor& emb, const ForwardContext& context) const;

 private:
  ModuleList<ResBlock> resnets_;
  ModuleList<AttentionBlock> attentions_;  // none or one
};

/// Linear, SiLU, Linear. Keys: linear_1, linear_2.
class TimeEmbedding final : public Module {
 public:
  TimeEmbedding(int64_t in, int64_t out, const LayerInit& init);
  Tensor operator()(const Tensor& x) const;  // [N, in] -> [N, out]

 private:
  Linear linear_1_, linear_2_;
};

class UNet final : public Module {
 public:
  explicit UNet(const UNetConfig& config);

  /// x [N, H, W, in_channels] noisy images; t [N] i64 (or f32) timesteps; labels [N] i64, given
  /// exactly when the network is class-conditional. Returns the prediction [N, H, W, out_channels],
  /// dtype of x. H and W must be multiples of 2^(levels - 1).
  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& labels = {},
                    const ForwardContext& context = {}) const;
  const UNetConfig& config() const { return config_; }

 private:
  UNetConfig config_;
  Conv2d conv_in_;
  TimeEmbedding time_embedding_;
  std::optional<Embedding> class_embedding_;
  ModuleList<DownBlock> down_blocks_;
  MidBlock mid_block_;
  ModuleList<UpBlock> up_blocks_;
  GroupNorm conv_norm_out_;
  Conv2d conv_out_;
};

}  // namespace noisette
