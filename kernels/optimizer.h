// AdamW over flat buffers, contract. One pass: clip, moments, decoupled decay, update, running
// average, bf16 copy.
//
//   g' = grad_scale * min(1, clip_norm / (norm + 1e-6)) * g,   norm = grad_scale * sqrt(squares)
//   m  = beta1 m + (1 - beta1) g'          v = beta2 v + (1 - beta2) g'^2
//   w  = w - rate * decay * w - rate * (m / (1 - beta1^k)) / (sqrt(v / (1 - beta2^k)) + eps)
//   average = d average + (1 - d) w        compute = bf16(w)
//
// Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2, arXiv:1711.05101.
// Everything that changes from update to update is read from memory, so that a captured step stays
// valid.
#pragma once
#include <cstdint>

#include "kernels/backends.h"
#include "kernels/bfloat16.h"

namespace noisette {

/// The numbers of one update; all doubles, so that a flat f64 buffer can hold it.
struct UpdateNumbers {
  double learning_rate = 0;  // rate
  double ema_decay = 0;      // d
  double step = 1;           // k, counted from 1
  double squares = 0;        // sum of squares of the unscaled gradient: out of gradient_squares
  double finite = 1;         // 0 as soon as one gradient or loss was not finite; stays 0
};

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0;  // of the range this call works on
  double clip_norm = 0;     // 0: no clipping
  double grad_scale = 1;
};

NOISETTE_BACKENDS(  // clang-format off

/// numbers->squares = sum of g[i]^2, in double over fixed chunks; numbers->finite is cleared unless
/// it is finite.
template <class A>
void gradient_squares(const A* g, int64_t n, UpdateNumbers* numbers);

/// Clears numbers->finite unless every x[i] is finite.
template <class A>
void require_finite(const A* x, int64_t n, UpdateNumbers* numbers);

/// Updates [0, n) of the given buffers. average and compute may be null. Does nothing when
/// numbers->finite is 0.
template <class A>
void adamw_step(A* w, const A* g, A* m, A* v, A* average, bfloat16* compute, int64_t n,
                const UpdateNumbers* numbers, const AdamWOptions& options);

)  // clang-format on
}  // namespace noisette
