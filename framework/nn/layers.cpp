#include "framework/nn/layers.h"

#include "framework/ops/embedding.h"
#include "framework/ops/matmul.h"
#include "framework/ops/norm.h"
#include "framework/ops/random.h"

namespace noisette {
namespace {

Init bias_init(const LayerInit& init, int64_t fan_in) {
  Init bias = init.bias;
  bias.fan_in_of_bias = fan_in;
  return bias;
}

std::vector<std::string> with_suffix(const std::vector<std::string>& names,
                                     const std::string& suffix) {
  std::vector<std::string> out;
  for (const std::string& n : names) out.push_back(n + suffix);
  return out;
}

/// A layer's dropout stream: 24 bits of the hash of its path.
uint32_t stream_of(const std::string& path) {
  uint32_t h = 2166136261u;
  for (const char c : path) h = (h ^ uint8_t(c)) * 16777619u;
  return (h ^ (h >> 24)) & 0xffffffu;
}

}  // namespace

LayerInit LayerInit::ddpm(double scale) {
  return {{Init::Kind::fan_avg, scale == 0 ? 1e-10 : scale}, Init::zeros()};
}

Linear::Linear(int64_t in, int64_t out, const LayerInit& init)
    : weight_({out, in}, init.weight), bias_({out}, bias_init(init, in)) {
  add("weight", weight_);
  add("bias", bias_);
}

Tensor Linear::operator()(const Tensor& x, const Tensor& residual) const {
  return linear(x, weight_, bias_, residual);
}

Tensor Linear::silu(const Tensor& x) const {
  return linear_activation(x, weight_, bias_, Activation::silu);
}

LinearGroup::LinearGroup(int64_t in, int64_t out, const std::vector<std::string>& names,
                         const LayerInit& init)
    : weight_({out * int64_t(names.size()), in}, init.weight),
      bias_({out * int64_t(names.size())}, bias_init(init, in)) {
  add(with_suffix(names, ".weight"), weight_);
  add(with_suffix(names, ".bias"), bias_);
}

Tensor LinearGroup::operator()(const Tensor& x) const { return linear(x, weight_, bias_); }

Conv2d::Conv2d(int64_t in, int64_t out, int64_t kernel, const Conv2dOptions& options,
               const LayerInit& init)
    : options_(options),
      weight_({out, kernel, kernel, in}, init.weight),
      bias_({out}, bias_init(init, in * kernel * kernel)) {
  add("weight", weight_);
  add("bias", bias_);
}

Conv2d::Conv2d(int64_t in, int64_t out, int64_t kernel, const LayerInit& init)
    : Conv2d(in, out, kernel, Conv2dOptions{.padding = Padding::same(kernel)}, init) {}

Tensor Conv2d::operator()(const Tensor& x, const Tensor& residual) const {
  return conv2d(x, weight_, bias_, options_, residual);
}

Tensor Conv2d::upsampled(const Tensor& x) const {
  check(options_ == Conv2dOptions{.padding = Padding::same(3)},
        "[conv2d] an upsampled convolution has stride 1 and padding 1; this one has stride {}",
        options_.stride);
  return upsample_conv2d(x, weight_, bias_);
}

GroupNorm::GroupNorm(int64_t channels, int64_t groups, double eps)
    : groups_(groups),
      eps_(eps),
      weight_({channels}, Init::ones()),
      bias_({channels}, Init::zeros()) {
  add("weight", weight_);
  add("bias", bias_);
}

Tensor GroupNorm::operator()(const Tensor& x, const ForwardContext& context) const {
  return group_norm(x, weight_, bias_, groups_,
                    {.eps = eps_, .repeat = context.recompute == Recompute::norms});
}

Tensor GroupNorm::silu(const Tensor& x, const Tensor& shift, const ForwardContext& context) const {
  return group_norm(
      x, weight_, bias_, groups_,
      {.eps = eps_, .silu = true, .shift = shift, .repeat = context.recompute == Recompute::norms});
}

Embedding::Embedding(int64_t count, int64_t dim, const Init& init) : weight_({count, dim}, init) {
  add("weight", weight_);
}

Tensor Embedding::operator()(const Tensor& index) const { return embedding(weight_, index); }

Tensor Dropout::operator()(const Tensor& x, const ForwardContext& context) const {
  if (!context.training || p_ == 0) return x;
  return dropout(x, p_, RngKey{context.seed, Purpose::kDropout, stream_of(path())},
                 context.sample_index);
}

}  // namespace noisette
