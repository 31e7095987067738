// Convolutions of stride 1 by Winograd's method: 3x3 by F(4x4, 3x3) with a quarter of the
// multiplications of the definition, or by F(2x2, 3x3) with four ninths where sums have so few
// terms that the former would round too much; 2x2 (what upsampling is made of,
// kernels/upsample_conv.h) by F(3x3, 2x2) with four ninths. Lavin & Gray 2016, "Fast algorithms for
// convolutional neural networks", arXiv:1509.09308.
//
// An output tile of 4x4 (2x2, 3x3) pixels needs a patch of 6x6 (4x4) of the image. Patches, filters
// and outputs are transformed along both axes (winograd_transform.h); in between, each of the 36
// (16) points is one matrix product:
//
//   M[p] [tiles, O] = V[p] [tiles, C] * U[p] [C, O]
//
// Arithmetic is f32 also where x, weights and y are bf16. Tiles at the edge of the image reach
// outside, where x is zero. The work is cut into chunks of tiles whose points stay in the caches;
// transformed filters exist a block at a time. Results do not depend on the number of threads. For
// the error and the speed see docs/winograd.md.
#pragma once
#include "kernels/conv.h"

namespace noisette::cpu {

/// Whether the functions below take these shapes: a 3x3 or 2x2 kernel, stride 1 and less padding
/// than the kernel.
inline bool winograd_takes(const ConvDims& d) {
  const auto fits = [&](int64_t pad) { return pad >= 0 && pad < d.kernel_h; };
  return (d.kernel_h == 3 || d.kernel_h == 2) && d.kernel_w == d.kernel_h && d.stride == 1 &&
         fits(d.pad_top) && fits(d.pad_left) && fits(d.pad_bottom) && fits(d.pad_right);
}

/// Whether that pass is expected to be faster than the definition, where that runs at `direct_rate`
/// times its speed in f32: a rule of the shape. How it was fitted stands beside it.
bool winograd_pays(ConvPass pass, const ConvDims& d, double direct_rate = 1);

/// T is float or bfloat16; no extent is zero; see conv2d_forward and its gradients in
/// kernels/conv.h.
template <class T>
void winograd_forward(const T* x, const T* weight, const float* bias, const T* residual, T* y,
                      const ConvDims& d);
template <class T>
void winograd_backward_data(const T* dy, const T* weight, const T* add, T* dx, const ConvDims& d);
template <class T>
void winograd_backward_weight(const T* x, const T* dy, float* dweight, bool accumulate,
                              const ConvDims& d);

}  // namespace noisette::cpu
