// Convolutions and matrix products by oneDNN: the only door to that library. Both of its C++ APIs
// are served, v2 (Debian 12) and v3 (Debian 13).
//
// Each function returns false, having written nothing, when the library has no optimised code for
// T on this machine (bf16 on CPUs before AVX-512). T is float or bfloat16. No extent is zero.
// Activations stay in plain NHWC order. Weights are brought into the order the library asks for at
// each call: for the layers of a UNet that costs 0.1-5 % of the product itself, where the plain
// order would fall back to loops a thousand times slower.
#pragma once
#include "kernels/conv.h"
#include "kernels/matmul.h"

namespace noisette::cpu::onednn {

/// y = conv(x, weight) + bias, plus what is in y before if `add`. bias may be null.
template <class T>
bool conv_forward(const T* x, const T* weight, const float* bias, T* y, bool add,
                  const ConvDims& d);

template <class T>
bool conv_backward_data(const T* dy, const T* weight, T* dx, const ConvDims& d);

template <class T>
bool conv_backward_weight(const T* x, const T* dy, float* dweight, bool accumulate,
                          const ConvDims& d);

/// Whether the function of that pass has code for T and these shapes.
template <class T>
bool has_conv(ConvPass pass, const ConvDims& d);

/// Whether this machine has tiles of bf16 (AMX) and the library uses them. They multiply eight
/// times as fast as vectors of f32.
bool has_bf16_tiles();

/// c = A B + bias, plus what is in c before if `add`. C is T or float; bias may be null.
template <class T, class C>
bool matmul(const T* a, const T* b, const float* bias, C* c, bool add, const MatmulDims& d);

}  // namespace noisette::cpu::onednn
