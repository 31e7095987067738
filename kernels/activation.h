// Pointwise activations, contract. x, y, dx, dy are T; arithmetic in acc_t<T>. Backward recomputes
// from x.
//
//   silu        x * sigmoid(x)                         Elfwing et al. 2017, arXiv:1702.03118
//   gelu        x * Phi(x)                             Hendrycks & Gimpel 2016, arXiv:1606.08415
//   gelu_tanh   x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))     ibid., section 2
//   quick_gelu  x * sigmoid(1.702 x)                   ibid., section 2
//   geglu       y[r,c] = x[r,c] * gelu(x[r,C+c])       Shazeer 2020, arXiv:2002.05202, section 2
#pragma once
#include <cstdint>

#include "kernels/backends.h"
#include "kernels/bfloat16.h"

namespace noisette {

enum class Activation { silu, gelu, gelu_tanh, quick_gelu };

NOISETTE_BACKENDS(  // clang-format off

/// y may be x.
template <class T>
void activation_forward(const T* x, T* y, int64_t n, Activation kind);

/// dx may be dy.
template <class T>
void activation_backward(const T* x, const T* dy, T* dx, int64_t n, Activation kind);

/// x [rows, 2 * channels] -> y [rows, channels]
template <class T>
void geglu_forward(const T* x, T* y, int64_t rows, int64_t channels);

template <class T>
void geglu_backward(const T* x, const T* dy, T* dx, int64_t rows, int64_t channels);

)  // clang-format on
}  // namespace noisette
