// Convolution.
#pragma once
#include "framework/core/tensor.h"

namespace noisette {

/// Zeros around an image, in pixels.
struct Padding {
  int64_t top = 0, left = 0, bottom = 0, right = 0;

  static constexpr Padding all(int64_t p) { return {p, p, p, p}; }
  /// Keeps the size of the image at stride 1, for an odd kernel.
  static constexpr Padding same(int64_t kernel) { return all(kernel / 2); }
  bool operator==(const Padding&) const = default;
};

struct Conv2dOptions {
  int64_t stride = 1;
  Padding padding = {};
  bool operator==(const Conv2dOptions&) const = default;
};

/// Two-dimensional convolution (cross-correlation) of an image batch.
///
///   y[n,i,j,o] = bias[o] + residual[n,i,j,o]   or residual[n,o]
///              + sum_abc x[n, i * stride + a - top, j * stride + b - left, c] * weight[o,a,b,c]
///
/// x         [N, H, W, C]    f32, bf16 (f64 on CPU); zero outside the image
/// weight    [O, kh, kw, C]  dtype of x
/// bias      [O]             accumulator type of x; may be absent
/// residual  [N, H', W', O]  dtype of x, or [N, O], a row for each sample; may be absent
/// returns   [N, H', W', O]  dtype of x, H' = (H + top + bottom - kh) / stride + 1, W' alike;
///                           sums in the accumulator type, rounded once
///
/// Gradient to x, weight, bias, residual. Keeps x and weight.
/// LeCun et al. 1989, "Backpropagation applied to handwritten zip code recognition".
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
              const Conv2dOptions& options = {}, const Tensor& residual = {});

/// conv2d(resize_nearest(x, 2), weight, bias) with padding 1 and a 3x3 kernel, without the resized
/// image and with 4/9 of the multiplications: every output is a 2x2 convolution of x with sums of
/// weights (kernels/upsample_conv.h).
///
/// x         [N, H, W, C]    f32, bf16 (f64 on CPU)
/// weight    [O, 3, 3, C]    dtype of x
/// bias      [O]             accumulator type of x; may be absent
/// returns   [N, 2H, 2W, O]  dtype of x
///
/// Gradient to x, weight, bias. Keeps x and weight. Equal to the two ops up to rounding.
Tensor upsample_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias);

}  // namespace noisette
