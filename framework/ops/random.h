// Keyed random tensors and dropout. A draw depends on (key, index of its sample, element in the
// sample) alone.
#pragma once
#include "framework/core/tensor.h"
#include "kernels/philox.h"

namespace noisette {

/// Standard normal numbers, one stream per sample.
///
/// index    [N]        i64: which stream each sample draws from (sample_index() of
///                     kernels/philox.h)
/// shape    [N, ...]   the first extent is that of index
/// returns  shape      `dtype` (f32, bf16; f64 on CPU); drawn in f32, then rounded
///
/// Not differentiable.
/// Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"; Box & Muller 1958.
Tensor normal(const Shape& shape, DType dtype, const RngKey& key, const Tensor& index);

/// Uniform numbers in [0, 1) with 24 bits; otherwise as normal().
Tensor uniform(const Shape& shape, DType dtype, const RngKey& key, const Tensor& index);

/// One uniform integer in [0, bound) per sample: timesteps.
///
/// index    [N] i64;   1 <= bound < 2^32
/// returns  [N] i64
///
/// Not differentiable.
Tensor random_integers(int64_t bound, const RngKey& key, const Tensor& index);

/// Puts `replacement` in the place of each number with probability p: labels dropped for guidance.
///
/// x        [N] i64, index [N] i64;   0 <= p <= 1
/// returns  [N] i64
///
/// Not differentiable. Ho & Salimans 2022, algorithm 1, arXiv:2207.12598.
Tensor replace_at_random(const Tensor& x, int64_t replacement, double p, const RngKey& key,
                         const Tensor& index);

/// Zeroes elements with probability p and scales the others by 1 / (1 - p).
///
///   y[n,e] = u[n,e] >= p ? x[n,e] / (1 - p) : 0,   u uniform, drawn from (key, index[n], e)
///
/// x        [N, ...]   f32, bf16 (f64 on CPU);   0 <= p < 1
/// index    [N]        i64
/// returns  [N, ...]   dtype of x
///
/// Gradient to x. Keeps index: the mask is drawn again.
/// Srivastava et al. 2014, "Dropout", section 4.
Tensor dropout(const Tensor& x, double p, const RngKey& key, const Tensor& index);

}  // namespace noisette
