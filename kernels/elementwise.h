// Sums, products and per-sample broadcasts, contract. T is f32, bf16 or f64; arithmetic in
// acc_t<T>, rounded once. Flat sums are taken over fixed chunks, combined in order in double.
#pragma once
#include <cstdint>

#include "kernels/backends.h"
#include "kernels/bfloat16.h"

namespace noisette {

NOISETTE_BACKENDS(  // clang-format off

/// y = a * x + b * z; z may be null (y = a * x), y may be x or z.
template <class T>
void scaled_sum(const T* x, const T* z, T* y, double a, double b, int64_t n);

/// y = x * z
template <class T>
void multiply(const T* x, const T* z, T* y, int64_t n);

/// y[n,p,c] = x[n,p,c] + e[n,c]
template <class T>
void add_per_sample_forward(const T* x, const T* e, T* y, int64_t batch, int64_t pixels,
                            int64_t channels);
/// de[n,c] = sum over p of dy[n,p,c]
template <class T>
void add_per_sample_backward(const T* dy, T* de, int64_t batch, int64_t pixels, int64_t channels);

/// y[n,i] = s[n] * x[n,i]
template <class T>
void scale_per_sample_forward(const T* x, const acc_t<T>* s, T* y, int64_t batch, int64_t per_item);
/// ds[n] = sum over i of dy[n,i] * x[n,i]
template <class T>
void scale_per_sample_backward(const T* x, const T* dy, acc_t<T>* ds, int64_t batch,
                               int64_t per_item);

/// *y = scale * sum(x)
template <class T>
void sum_forward(const T* x, acc_t<T>* y, double scale, int64_t n);
/// dx[i] = scale * *dy
template <class T>
void sum_backward(const acc_t<T>* dy, T* dx, double scale, int64_t n);

/// to[i] = D(from[i]); between any two of f32, bf16, f64.
template <class D, class S>
void cast(const S* from, D* to, int64_t n);

/// y = image / 127.5 - 1: bytes to [-1, 1].
template <class T>
void image_to_signed(const uint8_t* image, T* y, int64_t n);

/// *flag = 1 if every element is finite, else 0. With `keep`, a flag that is 0 stays 0.
template <class T>
void finite_flag(const T* x, int64_t n, bool keep, float* flag);

/// *total = sum of x[i]^2 in double; with `accumulate`, added to what is there.
template <class A>
void sum_of_squares(const A* x, int64_t n, bool accumulate, double* total);

)  // clang-format on

}  // namespace noisette
