// Group and layer normalisation, contract.
//
// group_norm over images x [N, P, C] (P pixels, C channels, channel c in group g = c / (C /
// groups)):
//   z = x + shift[n,c]                        shift optional: the time embedding of a residual
//   block u = (z - mean[n,g]) * rstd[n,g] * weight[c] + bias[c] y = silu ? u * sigmoid(u) : u
// mean and biased variance over the P * C / groups values of a group, rstd = 1 / sqrt(var + eps).
// The variance is the sum of squared distances from the mean, never E[z^2] - E[z]^2.
//
// x, y, shift are T; weight, bias, mean, rstd and their gradients are acc_t<T>.
// Backward recomputes u and the SiLU from x. dshift[n,c] = sum over pixels of dx[n,p,c].
#pragma once
#include <cstdint>

#include "kernels/backends.h"
#include "kernels/bfloat16.h"

namespace noisette {

struct GroupNormDims {
  int64_t batch = 0;
  int64_t pixels = 0;
  int64_t channels = 0;
  int64_t groups = 1;  // divides channels
  double eps = 1e-5;
  bool silu = false;
};

struct LayerNormDims {
  int64_t rows = 0;
  int64_t channels = 0;
  double eps = 1e-5;
};

NOISETTE_BACKENDS(  // clang-format off

/// mean, rstd [N, groups] are outputs that backward needs. shift may be null.
template <class T>
void group_norm_forward(const T* x, const T* shift, const acc_t<T>* weight, const acc_t<T>* bias,
                        T* y, acc_t<T>* mean, acc_t<T>* rstd, const GroupNormDims& d);

/// y again, bit for bit, from the mean and rstd that group_norm_forward found: one pass instead of
/// two.
template <class T>
void group_norm_repeat(const T* x, const T* shift, const acc_t<T>* weight, const acc_t<T>* bias,
                       const acc_t<T>* mean, const acc_t<T>* rstd, T* y, const GroupNormDims& d);

/// Null outputs are skipped. With `accumulate`, dweight and dbias are added to what is there;
/// dx and dshift are always written. dx includes `add` [N, P, C] where that is not null (it may be
/// dx itself): what other uses of x have contributed. dshift does not.
template <class T>
void group_norm_backward(const T* x, const T* shift, const acc_t<T>* weight, const acc_t<T>* bias,
                         const acc_t<T>* mean, const acc_t<T>* rstd, const T* dy, const T* add,
                         T* dx, acc_t<T>* dweight, acc_t<T>* dbias, T* dshift, bool accumulate,
                         const GroupNormDims& d);

/// y = (x - mean[r]) * rstd[r] * weight[c] + bias[c] over the last axis; mean, rstd [rows] are
/// outputs.
template <class T>
void layer_norm_forward(const T* x, const acc_t<T>* weight, const acc_t<T>* bias, T* y,
                        acc_t<T>* mean, acc_t<T>* rstd, const LayerNormDims& d);

template <class T>
void layer_norm_backward(const T* x, const acc_t<T>* weight, const acc_t<T>* mean,
                         const acc_t<T>* rstd, const T* dy, const T* add, T* dx, acc_t<T>* dweight,
                         acc_t<T>* dbias, bool accumulate, const LayerNormDims& d);

)  // clang-format on
}  // namespace noisette
