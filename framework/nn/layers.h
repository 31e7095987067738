// The layers models are made of. Weights are [out, in] and [out, kh, kw, in]; images [N, H, W, C].
#pragma once
#include <string>
#include <vector>

#include "framework/nn/module.h"
#include "framework/ops/conv.h"

namespace noisette {

/// How the weight and the bias of a Linear or Conv2d start.
struct LayerInit {
  Init weight{Init::Kind::fan_in, 1};
  Init bias{Init::Kind::fan_in, 1};

  /// PyTorch's default: both uniform in +-1 / sqrt(fan_in).
  static LayerInit torch() { return {}; }
  /// DDPM's: variance scaling (fan average, uniform) and zero biases; scale 0 for layers that start
  /// silent.
  static LayerInit ddpm(double scale = 1);
};

/// y = x W^T + b over the last axis. Keys: weight, bias.
class Linear final : public Module {
 public:
  Linear(int64_t in, int64_t out, const LayerInit& init = {});
  /// x [..., in] -> [..., out]; `residual`, when given, is added: [..., out] or [N, out].
  Tensor operator()(const Tensor& x, const Tensor& residual = {}) const;
  /// silu(x W^T + b), one pass.
  Tensor silu(const Tensor& x) const;

 private:
  Parameter weight_, bias_;
};

/// Several Linears of equal width over one input, kept as one matrix: one product instead of three.
/// Keys: <name>.weight and <name>.bias for each name, in order.
class LinearGroup final : public Module {
 public:
  LinearGroup(int64_t in, int64_t out, const std::vector<std::string>& names,
              const LayerInit& init = {});
  /// x [..., in] -> [..., names * out]
  Tensor operator()(const Tensor& x) const;

 private:
  Parameter weight_, bias_;
};

/// Keys: weight [out, k, k, in] (files: [out, in, k, k]), bias.
class Conv2d final : public Module {
 public:
  Conv2d(int64_t in, int64_t out, int64_t kernel, const Conv2dOptions& options,
         const LayerInit& init = {});
  /// 3x3 with padding 1, or 1x1 without.
  Conv2d(int64_t in, int64_t out, int64_t kernel, const LayerInit& init = {});
  /// x [N, H, W, in] -> [N, H', W', out]; `residual`, when given, is added: [N, H', W', out] or
  /// [N, out].
  Tensor operator()(const Tensor& x, const Tensor& residual = {}) const;
  /// Of x resized to twice its height and width (nearest), for a 3x3 convolution with padding 1.
  Tensor upsampled(const Tensor& x) const;

 private:
  Conv2dOptions options_;
  Parameter weight_, bias_;
};

/// Keys: weight, bias.
class GroupNorm final : public Module {
 public:
  GroupNorm(int64_t channels, int64_t groups, double eps);
  Tensor operator()(const Tensor& x, const ForwardContext& context = {}) const;
  /// silu(norm(x + shift)), shift [N, C] per sample, may be undefined; one pass.
  Tensor silu(const Tensor& x, const Tensor& shift = {}, const ForwardContext& context = {}) const;

 private:
  int64_t groups_;
  double eps_;
  Parameter weight_, bias_;
};

/// Key: weight [count, dim].
class Embedding final : public Module {
 public:
  Embedding(int64_t count, int64_t dim, const Init& init = {Init::Kind::normal, 1});
  /// index [N] i64 -> [N, dim]
  Tensor operator()(const Tensor& index) const;

 private:
  Parameter weight_;
};

/// Zeroes with probability p while training, and scales the rest by 1 / (1 - p). The draws depend
/// on the module's path, the seed and the sample's index alone.
class Dropout final : public Module {
 public:
  explicit Dropout(double p) : p_(p) {}
  Tensor operator()(const Tensor& x, const ForwardContext& context) const;

 private:
  double p_;
};

}  // namespace noisette
