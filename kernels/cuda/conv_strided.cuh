// The data gradient of convolutions with a stride, as products of matrices.
#pragma once
#include "kernels/bfloat16.h"
#include "kernels/conv.h"

namespace noisette::cuda::strided {

/// Whether it can be computed so, of tensors that start on sixteen bytes.
template <class T>
bool takes(const ConvDims& d);

/// As in the contract, kernels/conv.h; of convolutions of which takes() is true.
template <class T>
void backward_data(const T* dy, const T* weight, const T* add, T* dx, const ConvDims& d);

}  // namespace noisette::cuda::strided
