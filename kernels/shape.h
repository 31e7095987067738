// Moving data between shapes, contract: channel concatenation, repeated rows, nearest resize,
// average pooling. Images [N, H, W, C].
#pragma once
#include <cstdint>

#include "kernels/backends.h"
#include "kernels/bfloat16.h"

namespace noisette {

struct ImageDims {
  int64_t batch = 0;
  int64_t height = 0;  // of x
  int64_t width = 0;
  int64_t channels = 0;
};

NOISETTE_BACKENDS(  // clang-format off

/// to[r, to_begin + c] = from[r, from_begin + c] for c in [0, width); rows of to_width and
/// from_width channels.
template <class T>
void copy_channels(const T* from, int64_t from_width, int64_t from_begin, T* to, int64_t to_width,
                   int64_t to_begin, int64_t width, int64_t rows);

/// y[r] = a[r] and then b[r]: rows of a_width and b_width channels.
template <class T>
void join_channels(const T* a, int64_t a_width, const T* b, int64_t b_width, T* y, int64_t rows);
/// The other way round: a[r] and b[r] from y[r].
template <class T>
void split_channels(const T* y, T* a, int64_t a_width, T* b, int64_t b_width, int64_t rows);

/// y[r, c] = x[r / times, c];  y [rows, channels]
template <class T>
void repeat_rows(const T* x, T* y, int64_t times, int64_t rows, int64_t channels);

/// y[n, h, w, c] = x[n, h / factor, w / factor, c];  y [N, factor * H, factor * W, C]
template <class T>
void resize_nearest_forward(const T* x, T* y, int64_t factor, const ImageDims& d);
/// dx = sum of dy over the factor x factor copies
template <class T>
void resize_nearest_backward(const T* dy, T* dx, int64_t factor, const ImageDims& d);

/// y [N, H / factor, W / factor, C] = mean over factor x factor blocks; factor divides H and W.
template <class T>
void average_pool_forward(const T* x, T* y, int64_t factor, const ImageDims& d);
template <class T>
void average_pool_backward(const T* dy, T* dx, int64_t factor, const ImageDims& d);

)  // clang-format on

}  // namespace noisette
