// Matrix products, contract.
//
//   c[r,j] = bias[j] + residual[r / residual_rows, j] + sum over l of A[s,i,l] * B[s,l,j]
//   r = s * m + i
//
// a holds A [batch, m, k], or its transpose [batch, k, m] with trans_a; b holds B [batch, k, n], or
// its transpose [batch, n, k] with trans_b. All row-major and contiguous. Sums are taken in
// acc_t<T> and rounded once. Same result for the same number of threads; another number may round
// differently (f32, bf16).
#pragma once
#include <cstdint>

#include "kernels/activation.h"
#include "kernels/backends.h"
#include "kernels/bfloat16.h"

namespace noisette {

struct MatmulDims {
  int64_t batch = 1, m = 0, n = 0, k = 0;
  bool trans_a = false, trans_b = false;

  int64_t a_numel() const { return batch * m * k; }
  int64_t b_numel() const { return batch * k * n; }
  int64_t c_numel() const { return batch * m * n; }
  double flops() const {
    return 2.0 * double(c_numel()) * double(k);
  }  // multiply-adds count as two
  bool operator==(const MatmulDims&) const = default;
};

NOISETTE_BACKENDS(  // clang-format off

/// bias [n] and residual [batch * m / residual_rows, n] may be null; where residual_rows is 1, the
/// residual may be c itself.
template <class T>
void matmul(const T* a, const T* b, const acc_t<T>* bias, const T* residual, T* c,
            const MatmulDims& d, int64_t residual_rows = 1);

/// c = f(s), where s is what matmul gives, rounded to T: the same numbers as activation_forward of
/// it. s itself goes to `before` [batch, m, n] unless that is null.
template <class T>
void matmul_activation(const T* a, const T* b, const acc_t<T>* bias, const T* residual, T* before,
                       T* c, Activation kind, const MatmulDims& d, int64_t residual_rows = 1);

/// The same with geglu_forward: c [batch, m, n / 2] from s [batch, m, n], values then gates.
template <class T>
void matmul_geglu(const T* a, const T* b, const acc_t<T>* bias, T* before, T* c,
                  const MatmulDims& d);

/// c (+)= A B without rounding to T: gradients of weights. Without `accumulate`, c is overwritten.
template <class T>
void matmul_accumulate(const T* a, const T* b, acc_t<T>* c, bool accumulate, const MatmulDims& d);

/// out[j] (+)= sum over i of x[i,j], x [rows, cols]: gradients of biases. Independent of the number
/// of threads.
template <class T>
void column_sum(const T* x, acc_t<T>* out, int64_t rows, int64_t cols, bool accumulate);

)  // clang-format on
}  // namespace noisette
