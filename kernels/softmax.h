// Softmax over the last axis, contract: y[r,c] = exp(x[r,c] - max) / sum; sums in acc_t<T>.
#pragma once
#include <cstdint>

#include "kernels/backends.h"
#include "kernels/bfloat16.h"

namespace noisette {

NOISETTE_BACKENDS(  // clang-format off

template <class T>
void softmax_forward(const T* x, T* y, int64_t rows, int64_t cols);
/// dx = y * (dy - sum over c of y * dy)
template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, int64_t rows, int64_t cols);

)  // clang-format on

}  // namespace noisette
