// 3x3 convolutions with stride 1 between an image of few channels and one of many: the first and
// the last layer of a network. Tensor cores would multiply mostly padding there.
#pragma once
#include "kernels/bfloat16.h"
#include "kernels/conv.h"

namespace noisette::cuda::few {

/// Whether these kernels compute this convolution, whose images start on sixteen bytes.
bool takes(const ConvDims& d);

/// As in the contract, kernels/conv.h; of convolutions of which takes() is true.
template <class T>
void forward(const T* x, const T* weight, const float* bias, const T* residual, T* y,
             const ConvDims& d);
template <class T>
void backward_data(const T* dy, const T* weight, const T* add, T* dx, const ConvDims& d);
template <class T>
void backward_weight(const T* x, const T* dy, float* dweight, bool accumulate, const ConvDims& d);

}  // namespace noisette::cuda::few
