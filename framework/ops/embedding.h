// Table look-up and the sinusoidal embedding of time.
#pragma once
#include "framework/core/tensor.h"
#include "kernels/embedding.h"

namespace noisette {

/// Rows of a table.
///
///   y[n] = table[index[n]]
///
/// table    [R, D]       f32, bf16 (f64 on CPU)
/// index    any shape    i64; a value outside [0, R) gives a row of NaN, which the finite checks
///                       of a run find
/// returns  [index..., D]  dtype of table
///
/// Gradient to table, summed in the order of index. Keeps index.
Tensor embedding(const Tensor& table, const Tensor& index);

/// Sinusoidal embedding of diffusion time.
///
///   y[n] = (sin(t w_i), cos(t w_i)),   w_i = max_period^(-i / (half - freq_shift))
///   half = dim / 2
///
/// t        [N]          f32, f64, i32 or i64
/// dim      at least 2 and above 2 * freq_shift; an odd dim ends with a zero
/// returns  [N, dim]     `dtype` (f32, bf16; f64 on CPU); computed in double, then rounded
///
/// Not differentiable. options: cosine first (flip_sin_to_cos), freq_shift, max_period.
/// Vaswani et al. 2017, section 3.5, arXiv:1706.03762; as used by Ho et al. 2020, appendix B,
/// arXiv:2006.11239.
Tensor timestep_embedding(const Tensor& t, int64_t dim, DType dtype,
                          const TimestepOptions& options = {});

}  // namespace noisette
