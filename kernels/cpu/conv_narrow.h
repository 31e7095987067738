// Convolutions with very few channels on one side: the last layer of a UNet (to 1 or 3 channels)
// and the gradient to an image. Libraries fill their vectors with output channels and leave most of
// them empty there; these loops run along the many channels instead. Independent of the number of
// threads.
#pragma once
#include "kernels/conv.h"

namespace noisette::cpu {

inline constexpr int64_t kNarrow = 4;  // channels on the narrow side, at most

/// Whether the loops below take these shapes: few output channels, whole vectors of input channels.
inline bool is_narrow(const ConvDims& d) {
  return d.out_c <= kNarrow && d.in_c % 16 == 0 && d.stride == 1;
}

/// Whether backward_data of `d` is such a convolution: of dy with the mirrored weights.
inline bool is_narrow_backward(const ConvDims& d) {
  return d.in_c <= kNarrow && d.out_c % 16 == 0 && d.stride == 1 && d.pad_top < d.kernel_h &&
         d.pad_left < d.kernel_w && d.pad_bottom < d.kernel_h && d.pad_right < d.kernel_w;
}

/// T is float or bfloat16; see conv2d_forward and its gradients in kernels/conv.h.
template <class T>
void narrow_forward(const T* x, const T* weight, const float* bias, const T* residual, T* y,
                    const ConvDims& d);
template <class T>
void narrow_backward_data(const T* dy, const T* weight, const T* add, T* dx, const ConvDims& d);
template <class T>
void narrow_backward_weight(const T* x, const T* dy, float* dweight, bool accumulate,
                            const ConvDims& d);

}  // namespace noisette::cpu
