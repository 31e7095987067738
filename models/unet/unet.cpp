#include "models/unet/unet.h"

#include "framework/autograd/autograd.h"
#include "framework/ops/activation.h"
#include "framework/ops/attention.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/embedding.h"
#include "framework/ops/shape.h"

namespace noisette {
namespace {

const UNetConfig& checked(const UNetConfig& c) {
  check_user(c.problem().empty(), "[unet] {}", c.problem());
  return c;
}

LayerInit plain(const UNetConfig& c) {
  return c.init == WeightInit::ddpm ? LayerInit::ddpm() : LayerInit::torch();
}

/// The last layer of a residual branch: next to zero in the paper, so that every block starts as
/// the identity.
LayerInit silent(const UNetConfig& c) {
  return c.init == WeightInit::ddpm ? LayerInit::ddpm(0) : LayerInit::torch();
}

Tensor divided(const Tensor& x, double scale) { return scale == 1 ? x : mul(x, 1 / scale); }

/// A residual block, over x or over [x, skip], and its attention if it has one. Under
/// Recompute::blocks only the inputs are kept for backward.
Tensor layer(const ResBlock& resnet, const AttentionBlock* attention, const Tensor& x,
             const Tensor& skip, const Tensor& emb, const ForwardContext& context) {
  const auto run = [&resnet, attention, context](const std::vector<Tensor>& in) {
    const Tensor both = in.size() == 3
                            ? concat_channels(in[0], in[2], context.recompute == Recompute::norms)
                            : in[0];
    const Tensor h = resnet(both, in[1], context);
    return attention ? (*attention)(h, context) : h;
  };
  std::vector<Tensor> in{x, emb};
  if (skip.defined()) in.push_back(skip);
  return context.recompute == Recompute::blocks ? recompute(run, in) : run(in);
}

/// The attention after residual block i: none, or one for each.
const AttentionBlock* attention_of(const ModuleList<AttentionBlock>& list, std::size_t i) {
  return list.empty() ? nullptr : &list[i];
}

Conv2dOptions resample_options(Resample::Way way, const UNetConfig& c) {
  if (way == Resample::Way::up) return {.padding = Padding::same(3)};
  return {.stride = 2,
          .padding = c.downsample_padding == 1 ? Padding::same(3) : Padding{0, 0, 1, 1}};
}

}  // namespace

ResBlock::ResBlock(int64_t in, int64_t out, const UNetConfig& c, double scale)
    : norm1_(in, c.norm_num_groups, c.norm_eps),
      conv1_(in, out, 3, plain(c)),
      time_emb_proj_(c.time_embed_dim(), out, plain(c)),
      norm2_(out, c.norm_num_groups, c.norm_eps),
      dropout_(c.dropout),
      conv2_(out, out, 3, silent(c)),
      scale_(scale) {
  add("norm1", norm1_);
  add("conv1", conv1_);
  add("time_emb_proj", time_emb_proj_);
  add("norm2", norm2_);
  add("dropout", dropout_);
  add("conv2", conv2_);
  if (in != out) add("conv_shortcut", shortcut_.emplace(in, out, 1, plain(c)));
}

Tensor ResBlock::operator()(const Tensor& x, const Tensor& emb,
                            const ForwardContext& context) const {
  Tensor h = conv1_(norm1_.silu(x, {}, context));    // [N, H, W, out]
  h = norm2_.silu(h, time_emb_proj_(emb), context);  // + [N, out] before the statistics
  h = dropout_(h, context);                          // [N, H, W, out]
  h = conv2_(h, shortcut_ ? (*shortcut_)(x) : x);
  return divided(h, scale_);
}

AttentionBlock::AttentionBlock(int64_t channels, const UNetConfig& c, double scale)
    : group_norm_(channels, c.norm_num_groups, c.norm_eps),
      qkv_(channels, channels, {"to_q", "to_k", "to_v"}, plain(c)),
      to_out_(channels, channels, silent(c)),
      heads_(c.heads(channels)),
      scale_(scale) {
  add("group_norm", group_norm_);
  add("", qkv_);
  add("to_out.0", to_out_);
}

Tensor AttentionBlock::operator()(const Tensor& x, const ForwardContext& context) const {
  const int64_t n = x.dim(0), pixels = x.dim(1) * x.dim(2), c = x.dim(3);
  Tensor h = reshape(group_norm_(x, context), {n, pixels, c});  // [N, HW, C]
  h = self_attention(qkv_(h), heads_);                          // [N, HW, 3C] -> [N, HW, C]
  h = to_out_(h, reshape(x, {n, pixels, c}));                   // + x
  return divided(reshape(h, x.shape()), scale_);
}

Resample::Resample(int64_t channels, Way way, const UNetConfig& c)
    : way_(way), conv_(channels, channels, 3, resample_options(way, c), plain(c)) {
  add("conv", conv_);
}

Tensor Resample::operator()(const Tensor& x) const {
  return way_ == Way::up ? conv_.upsampled(x) : conv_(x);
}

DownBlock::DownBlock(int64_t in, int64_t out, const UNetConfig& c, bool attention, bool last) {
  for (int64_t i = 0; i < c.layers_per_block; ++i) {
    resnets_.emplace(i == 0 ? in : out, out, c);
    if (attention) attentions_.emplace(out, c);
  }
  if (!last) downsamplers_.emplace(out, Resample::Way::down, c);
  add("resnets", resnets_);
  add("attentions", attentions_);
  add("downsamplers", downsamplers_);
}

Tensor DownBlock::operator()(Tensor x, const Tensor& emb, const ForwardContext& context,
                             std::vector<Tensor>& skips) const {
  for (std::size_t i = 0; i < resnets_.size(); ++i) {
    x = layer(resnets_[i], attention_of(attentions_, i), x, {}, emb, context);
    skips.push_back(x);
  }
  if (!downsamplers_.empty()) skips.push_back(x = downsamplers_[0](x));
  return x;
}

MidBlock::MidBlock(int64_t channels, const UNetConfig& c) {
  const double scale = c.mid_block_scale_factor;
  resnets_.emplace(channels, channels, c, scale);
  if (c.add_attention) attentions_.emplace(channels, c, scale);
  resnets_.emplace(channels, channels, c, scale);
  add("resnets", resnets_);
  add("attentions", attentions_);
}

Tensor MidBlock::operator()(Tensor x, const Tensor& emb, const ForwardContext& context) const {
  x = layer(resnets_[0], attention_of(attentions_, 0), x, {}, emb, context);
  return layer(resnets_[1], nullptr, x, {}, emb, context);
}

UpBlock::UpBlock(int64_t below, int64_t in, int64_t out, const UNetConfig& c, bool attention,
                 bool last) {
  for (int64_t i = 0; i <= c.layers_per_block; ++i) {
    const int64_t skip = i == c.layers_per_block ? in : out;
    resnets_.emplace((i == 0 ? below : out) + skip, out, c);
    if (attention) attentions_.emplace(out, c);
  }
  if (!last) upsamplers_.emplace(out, Resample::Way::up, c);
  add("resnets", resnets_);
  add("attentions", attentions_);
  add("upsamplers", upsamplers_);
}

Tensor UpBlock::operator()(Tensor x, const Tensor& emb, const ForwardContext& context,
                           std::vector<Tensor>& skips) const {
  for (std::size_t i = 0; i < resnets_.size(); ++i) {
    const Tensor skip = std::move(skips.back());
    skips.pop_back();
    x = layer(resnets_[i], attention_of(attentions_, i), x, skip, emb, context);
  }
  return upsamplers_.empty() ? x : upsamplers_[0](x);
}

TimeEmbedding::TimeEmbedding(int64_t in, int64_t out, const LayerInit& init)
    : linear_1_(in, out, init), linear_2_(out, out, init) {
  add("linear_1", linear_1_);
  add("linear_2", linear_2_);
}

Tensor TimeEmbedding::operator()(const Tensor& x) const { return linear_2_(linear_1_.silu(x)); }

UNet::UNet(const UNetConfig& c)
    : config_(checked(c)),
      conv_in_(c.in_channels, c.block_out_channels.front(), 3, plain(c)),
      time_embedding_(c.block_out_channels.front(), c.time_embed_dim(), plain(c)),
      mid_block_(c.block_out_channels.back(), c),
      conv_norm_out_(c.block_out_channels.front(), c.norm_num_groups, c.norm_eps),
      conv_out_(c.block_out_channels.front(), c.out_channels, 3, silent(c)) {
  const std::vector<int64_t>& width = c.block_out_channels;
  const auto levels = int64_t(width.size());
  for (int64_t i = 0; i < levels; ++i)
    down_blocks_.emplace(width[std::size_t(std::max<int64_t>(i - 1, 0))], width[std::size_t(i)], c,
                         c.has_attention(i), i == levels - 1);
  for (int64_t i = levels - 1; i >= 0; --i)
    up_blocks_.emplace(width[std::size_t(std::min(i + 1, levels - 1))],
                       width[std::size_t(std::max<int64_t>(i - 1, 0))], width[std::size_t(i)], c,
                       c.has_attention(i), i == 0);
  add("conv_in", conv_in_);
  add("time_embedding", time_embedding_);
  if (c.num_class_embeds > 0)
    add("class_embedding", class_embedding_.emplace(c.num_class_embeds, c.time_embed_dim()));
  add("down_blocks", down_blocks_);
  add("mid_block", mid_block_);
  add("up_blocks", up_blocks_);
  add("conv_norm_out", conv_norm_out_);
  add("conv_out", conv_out_);
}

Tensor UNet::operator()(const Tensor& x, const Tensor& t, const Tensor& labels,
                        const ForwardContext& context) const {
  const int64_t multiple = int64_t(1) << (config_.block_out_channels.size() - 1);
  check(x.ndim() == 4 && x.dim(3) == config_.in_channels && x.dim(1) % multiple == 0 &&
            x.dim(2) % multiple == 0,
        "[unet] images must be [N, H, W, {}] with H and W multiples of {}; got {}",
        config_.in_channels, multiple, x.shape());
  check(t.shape() == Shape{x.dim(0)}, "[unet] {} images need timesteps of shape [{}]; got {}",
        x.dim(0), x.dim(0), t.shape());
  check(labels.defined() == class_embedding_.has_value(),
        "[unet] this network has {} classes; got {}labels", config_.num_class_embeds,
        labels.defined() ? "" : "no ");

  const TimestepOptions time{.flip_sin_to_cos = config_.flip_sin_to_cos,
                             .freq_shift = double(config_.freq_shift)};
  Tensor emb =
      timestep_embedding(t, config_.block_out_channels.front(), x.dtype(), time);  // [N, C0]
  emb = time_embedding_(emb);                                                      // [N, 4 C0]
  if (class_embedding_) emb = noisette::add(emb, (*class_embedding_)(labels));
  emb = silu(emb);

  std::vector<Tensor> skips{conv_in_(x)};
  Tensor h = skips.back();
  for (std::size_t i = 0; i < down_blocks_.size(); ++i) h = down_blocks_[i](h, emb, context, skips);
  h = mid_block_(h, emb, context);
  for (std::size_t i = 0; i < up_blocks_.size(); ++i) h = up_blocks_[i](h, emb, context, skips);
  return conv_out_(conv_norm_out_.silu(h, {}, context));  // [N, H, W, out]
}

}  // namespace noisette
