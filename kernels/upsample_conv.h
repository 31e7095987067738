// Nearest resize by two followed by a 3x3 convolution with padding 1, as one kernel, contract.
//
//   y[n,i,j,o] = bias[o] + sum over a, b, c of up[n, i + a - 1, j + b - 1, c] * weight[o,a,b,c]
//   up[n,h,w,c] = x[n, h / 2, w / 2, c], whole division; zero outside the image
//
// x [N, H, W, C], weight [O, 3, 3, C], y [N, 2H, 2W, O], all T and contiguous; bias [O] is
// acc_t<T>. An output sees two or one pixels of x per axis, never three: each of the four kinds of
// output (even or odd row and column) is a 2x2 convolution of x, with sums of the weights. That
// takes 4/9 of the multiplications, and the resized image is never stored. In bf16 the sums of
// weights are rounded to bf16 as the weights themselves are.
#pragma once
#include <cstdint>

#include "kernels/backends.h"
#include "kernels/conv.h"
#include "kernels/device.h"

namespace noisette {

struct UpsampleConvDims {
  int64_t batch = 0, height = 0, width = 0, in_c = 0;  // of x
  int64_t out_c = 0;

  NOISETTE_BOTH int64_t x_numel() const { return batch * height * width * in_c; }
  NOISETTE_BOTH int64_t y_numel() const { return 4 * batch * height * width * out_c; }
  NOISETTE_BOTH int64_t weight_numel() const { return out_c * 9 * in_c; }
  /// Of the definition, in each of the three directions, so that rates compare with those of
  /// conv2d.
  double flops() const { return 2.0 * double(y_numel()) * double(9 * in_c); }
  /// The 2x2 convolution with padding 1 that computes the four kinds of output side by side.
  ConvDims side_by_side() const {
    return {batch, height, width, in_c, 4 * out_c, 2, 2, 1, 1, 1, 1, 1};
  }
};

NOISETTE_BACKENDS(  // clang-format off

/// bias may be null.
template <class T>
void upsample_conv2d_forward(const T* x, const T* weight, const acc_t<T>* bias, T* y,
                             const UpsampleConvDims& d);

/// The gradients to x and weight; dx or dweight may be null, then it is left out. `add` is added to
/// dx; it may be null, or dx itself. With `accumulate` dweight is added to what is there.
template <class T>
void upsample_conv2d_backward(const T* x, const T* weight, const T* dy, const T* add, T* dx,
                              acc_t<T>* dweight, bool accumulate, const UpsampleConvDims& d);

)  // clang-format on
}  // namespace noisette
