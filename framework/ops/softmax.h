// Softmax.
#pragma once
#include "framework/core/tensor.h"

namespace noisette {

/// Softmax over the last axis.
///
///   y[r,c] = exp(x[r,c] - max) / sum over c of exp(x[r,c] - max)
///
/// x        [..., C]   f32, bf16 (f64 on CPU)
/// returns  [..., C]   dtype of x; sums in the accumulator type
///
/// Gradient to x. Keeps y.
Tensor softmax(const Tensor& x);

}  // namespace noisette
