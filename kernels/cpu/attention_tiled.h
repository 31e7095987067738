// The fused attention of f32 and bf16; kernels/attention.h has the contract, attention.cpp the
// choice by type.
#pragma once
#include "kernels/attention.h"

namespace noisette::cpu {

template <class T>
void tiled_attention_forward(const T* q, const T* k, const T* v, T* o, float* lse,
                             const AttentionDims& d);

template <class T>
void tiled_attention_backward(const T* q, const T* k, const T* v, const T* o, const float* lse,
                              const T* dout, T* dq, T* dk, T* dv, const AttentionDims& d);

}  // namespace noisette::cpu
