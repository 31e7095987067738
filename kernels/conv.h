// Two-dimensional convolution (cross-correlation), contract.
//
//   y[n,i,j,o] = bias[o] + residual[n,i,j,o]     or, a row for a sample, residual[n,o]
//              + sum over a, b, c of x[n, i*stride + a - pad_top, j*stride + b - pad_left, c]
//                                    * weight[o,a,b,c]
//
// x [N, H, W, C], weight [O, kh, kw, C], y [N, out_h, out_w, O], all T and contiguous;
// bias [O] is acc_t<T>. x is zero outside the image. Sums are taken in acc_t<T> and rounded once.
// Same result for the same number of threads; another number may round differently (f32, bf16).
#pragma once
#include <cstdint>

#include "kernels/backends.h"
#include "kernels/bfloat16.h"

namespace noisette {

struct ConvDims {
  int64_t batch = 0, in_h = 0, in_w = 0, in_c = 0;
  int64_t out_c = 0, kernel_h = 1, kernel_w = 1, stride = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;

  int64_t out_h() const { return (in_h + pad_top + pad_bottom - kernel_h) / stride + 1; }
  int64_t out_w() const { return (in_w + pad_left + pad_right - kernel_w) / stride + 1; }
  int64_t x_numel() const { return batch * in_h * in_w * in_c; }
  int64_t y_numel() const { return batch * out_h() * out_w() * out_c; }
  int64_t weight_numel() const { return out_c * kernel_h * kernel_w * in_c; }
  /// Whether it is a product of matrices: of pixels [P, C] and weight [O, C].
  bool pointwise() const {
    return kernel_h == 1 && kernel_w == 1 && stride == 1 && pad_top == 0 && pad_left == 0 &&
           pad_bottom == 0 && pad_right == 0;
  }
  /// Multiply-adds count as two; the same for all three directions.
  double flops() const { return 2.0 * double(y_numel()) * double(kernel_h * kernel_w * in_c); }
  bool operator==(const ConvDims&) const = default;
};

enum class ConvPass { forward, backward_data, backward_weight };

NOISETTE_BACKENDS(  // clang-format off

/// bias and residual may be null. residual is [N * out_h * out_w / residual_rows, O]; with
/// residual_rows = 1 it may be y itself.
template <class T>
void conv2d_forward(const T* x, const T* weight, const acc_t<T>* bias, const T* residual, T* y,
                    const ConvDims& d, int64_t residual_rows = 1);

/// dx[n,h,w,c] = add[n,h,w,c] + sum over a, b, o of dy[n,i,j,o] * weight[o,a,b,c] where
/// i*stride + a - pad_top = h and j*stride + b - pad_left = w. add may be null; it may be dx
/// itself.
template <class T>
void conv2d_backward_data(const T* dy, const T* weight, const T* add, T* dx, const ConvDims& d);

/// dweight[o,a,b,c] = sum over n, i, j of dy[n,i,j,o] * x[n, i*stride + a - pad_top, ..., c]. With
/// `accumulate` it is added to what is there. The gradient of the bias is column_sum(dy) of
/// kernels/matmul.h.
template <class T>
void conv2d_backward_weight(const T* x, const T* dy, acc_t<T>* dweight, bool accumulate,
                            const ConvDims& d);

)  // clang-format on
}  // namespace noisette
