// Moving data between shapes: reshape, channel concat and split, nearest resize, average pooling.
#pragma once
#include <vector>

#include "framework/core/tensor.h"

namespace noisette {

/// The same elements under another shape; one extent may be -1. Shares memory with x.
///
/// Gradient to x, reshaped back. Keeps nothing.
Tensor reshape(const Tensor& x, const Shape& shape);

/// Joins two tensors along the last axis.
///
///   y[..., :] = (a[..., :], b[..., :])
///
/// a        [..., A], b [..., B]   one dtype: f32, bf16 (f64 on CPU); the other extents agree
/// returns  [..., A + B]
///
/// Gradient to a, b. Keeps nothing, or a and b with `repeat`: ops that need y for their gradient
/// then keep none either, and the first of them makes it again for all.
Tensor concat_channels(const Tensor& a, const Tensor& b, bool repeat = false);

/// A range of the last axis.
///
///   y[..., c] = x[..., begin + c],   c < width
///
/// x        [..., C]       f32, bf16 (f64 on CPU);   0 <= begin <= begin + width <= C
/// returns  [..., width]
///
/// Gradient to x: zero outside the range. Keeps nothing.
Tensor slice_channels(const Tensor& x, int64_t begin, int64_t width);

/// Cuts the last axis into pieces of the given widths, which must add up to it. As slice_channels.
std::vector<Tensor> split_channels(const Tensor& x, const std::vector<int64_t>& widths);

/// Nearest-neighbour enlargement by a whole factor.
///
///   y[n,h,w,c] = x[n, h / factor, w / factor, c]
///
/// x        [N, H, W, C]   f32, bf16 (f64 on CPU)
/// returns  [N, factor * H, factor * W, C]
///
/// Gradient to x. Keeps nothing.
Tensor resize_nearest(const Tensor& x, int64_t factor);

/// Mean over blocks of factor x factor pixels.
///
/// x        [N, H, W, C]   f32, bf16 (f64 on CPU); factor divides H and W
/// returns  [N, H / factor, W / factor, C]
///
/// Gradient to x. Keeps nothing.
Tensor average_pool(const Tensor& x, int64_t factor);

}  // namespace noisette
