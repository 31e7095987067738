// Losses by sample, contract: reductions in acc_t<T>, combined over fixed chunks in double.
#pragma once
#include <cstdint>

#include "kernels/backends.h"
#include "kernels/bfloat16.h"

namespace noisette {

NOISETTE_BACKENDS(  // clang-format off

/// loss[n] = weight[n] / per_item * sum over i of (x[n,i] - target[n,i])^2
template <class T>
void weighted_mse_forward(const T* x, const acc_t<T>* target, const acc_t<T>* weight,
                          acc_t<T>* loss, int64_t batch, int64_t per_item);
/// dx[n,i] = dloss[n] * 2 * weight[n] / per_item * (x[n,i] - target[n,i])
template <class T>
void weighted_mse_backward(const T* x, const acc_t<T>* target, const acc_t<T>* weight,
                           const acc_t<T>* dloss, T* dx, int64_t batch, int64_t per_item);

/// loss[n] = log(sum over c of exp(x[n,c])) - x[n, label[n]]; a label outside gives NaN.
template <class T, class Label>
void cross_entropy_forward(const T* x, const Label* label, acc_t<T>* loss, int64_t batch,
                           int64_t classes);
/// dx[n,c] = dloss[n] * (softmax(x[n])[c] - [c == label[n]])
template <class T, class Label>
void cross_entropy_backward(const T* x, const Label* label, const acc_t<T>* dloss, T* dx,
                            int64_t batch, int64_t classes);

)  // clang-format on

}  // namespace noisette
