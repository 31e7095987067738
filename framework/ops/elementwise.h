// Sums, products, per-sample broadcasts, casts and reductions.
#pragma once
#include "framework/core/tensor.h"

namespace noisette {

/// y = a * x + b * z.
///
/// x, z     one shape and dtype: f32, bf16 (f64 on CPU)
/// returns  shape and dtype of x; computed in the accumulator type, rounded once
///
/// Gradient to x, z. Keeps nothing.
Tensor scaled_sum(double a, const Tensor& x, double b, const Tensor& z);

/// y = x + z. Shapes, dtypes and gradient as scaled_sum; the gradient is shared, not copied.
Tensor add(const Tensor& x, const Tensor& z);

/// y = x - z. As scaled_sum.
Tensor sub(const Tensor& x, const Tensor& z);

/// y = x * z, element by element.
///
/// x, z     one shape and dtype: f32, bf16 (f64 on CPU)
/// returns  shape and dtype of x
///
/// Gradient to x, z. Keeps x, z.
Tensor mul(const Tensor& x, const Tensor& z);

/// y = factor * x. Gradient to x. Keeps nothing.
Tensor mul(const Tensor& x, double factor);

/// Adds one vector per sample to all its pixels.
///
///   y[n,p,c] = x[n,p,c] + e[n,c]
///
/// x        [N, ..., C]   f32, bf16 (f64 on CPU)
/// e        [N, C]        dtype of x
/// returns  [N, ..., C]   dtype of x
///
/// Gradient to x, e. Keeps nothing.
Tensor add_per_sample(const Tensor& x, const Tensor& e);

/// Multiplies each sample by its own number.
///
///   y[n,i] = s[n] * x[n,i]
///
/// x        [N, ...]   f32, bf16 (f64 on CPU)
/// s        [N]        accumulator type of x
/// returns  [N, ...]   dtype of x
///
/// Gradient to x, s. Keeps s, and x when s needs a gradient.
Tensor scale_per_sample(const Tensor& x, const Tensor& s);

/// Sum of all elements, over fixed chunks in double.
///
/// x        any shape, f32, bf16 (f64 on CPU)
/// returns  []  accumulator type of x
///
/// Gradient to x. Keeps nothing.
Tensor sum(const Tensor& x);

/// Mean of all elements; as sum. The mean of no elements is 0.
Tensor mean(const Tensor& x);

/// The same values in another floating dtype, rounded to nearest.
///
/// Gradient to x, cast back. Keeps nothing. A cast to x's own dtype is x.
Tensor cast(const Tensor& x, DType dtype);

/// Bytes to [-1, 1]: y = image / 127.5 - 1.
///
/// image    any shape, u8
/// returns  shape of image in `dtype` (f32, bf16; f64 on CPU)
///
/// Not differentiable.
Tensor image_to_signed(const Tensor& image, DType dtype);

}  // namespace noisette
