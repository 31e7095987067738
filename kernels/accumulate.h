// dst += src over flat buffers, across element types. What the autograd engine itself needs; see
// kernels/elementwise.h for everything else.
#pragma once
#include <cstdint>

#include "kernels/backends.h"
#include "kernels/bfloat16.h"

namespace noisette {

NOISETTE_BACKENDS(  // clang-format off

/// dst[i] = (accumulate ? dst[i] : 0) + src[i]; the sum is taken in acc_t<D> and rounded once.
template <class D, class S>
void accumulate(D* dst, const S* src, int64_t n, bool accumulate);

/// sum[i] = a[i] + b[i]; sum may be a or b.
template <class T>
void add_into(const T* a, const T* b, T* sum, int64_t n);

/// x[i] = value; T is any element type but f16.
template <class T>
void fill(T* x, T value, int64_t n);

)  // clang-format on

namespace cpu {

/// Whether every element is finite.
template <class T>
bool all_finite(const T* x, int64_t n);

}  // namespace cpu

}  // namespace noisette
