// Moving data between shapes. Contract: kernels/shape.h.
#include "kernels/shape.h"

#include <cstring>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace noisette::cpu {
namespace {

/// y[n, h, w, c] = scale * x[n, h / k, w / k, c]; x has extents d.
template <class T>
void spread(const T* x, T* y, int64_t k, double scale, const ImageDims& d) {
  using A = acc_t<T>;
  const int64_t row = d.width * d.channels;
  parallel_items(d.batch * d.height, d.batch * d.height * row * k * k, [=](int64_t i) {
    const T* in = x + i * row;
    T* out = y + i * k * row * k;  // k rows of k * W pixels
    const A factor = A(scale);
    for (int64_t w = 0; w < d.width; ++w)
      for (int64_t j = 0; j < k; ++j) {
        T* to = out + (w * k + j) * d.channels;
        const T* from = in + w * d.channels;
        if (scale == 1.0) {
          std::memcpy(to, from, size_t(d.channels) * sizeof(T));
          continue;
        }
#pragma omp simd
        for (int64_t c = 0; c < d.channels; ++c) store(to[c], factor * A(from[c]));
      }
    for (int64_t j = 1; j < k; ++j)
      std::memcpy(out + j * row * k, out, size_t(row * k) * sizeof(T));
  });
}

/// y[n, h, w, c] = scale * sum of x over the k x k block at (h k, w k); y has extents d.
template <class T>
void gather(const T* x, T* y, int64_t k, double scale, const ImageDims& d) {
  using A = acc_t<T>;
  const int64_t row = d.width * d.channels;
  parallel_items(d.batch * d.height, d.batch * d.height * row * k * k, [=](int64_t i) {
    std::vector<A> sums(static_cast<size_t>(d.channels));
    A* sum = sums.data();
    for (int64_t w = 0; w < d.width; ++w) {
      std::fill(sums.begin(), sums.end(), A(0));
      for (int64_t j = 0; j < k * k; ++j) {
        const T* from = x + (i * k + j / k) * row * k + (w * k + j % k) * d.channels;
#pragma omp simd
        for (int64_t c = 0; c < d.channels; ++c) sum[c] += A(from[c]);
      }
      T* to = y + i * row + w * d.channels;
#pragma omp simd
      for (int64_t c = 0; c < d.channels; ++c) store(to[c], A(scale) * sum[c]);
    }
  });
}

ImageDims pooled(const ImageDims& d, int64_t k) {
  return {d.batch, d.height / k, d.width / k, d.channels};
}

}  // namespace

template <class T>
void copy_channels(const T* from, int64_t from_width, int64_t from_begin, T* to, int64_t to_width,
                   int64_t to_begin, int64_t width, int64_t rows) {
  if (width == 0) return;  // then neither side need have memory
  const int64_t step = std::max<int64_t>(1, kChunk / width);
  parallel_items(ceil_div(rows, step), rows * width, [=](int64_t i) {
    for (int64_t r = i * step; r < std::min(rows, (i + 1) * step); ++r)
      std::memcpy(to + r * to_width + to_begin, from + r * from_width + from_begin,
                  size_t(width) * sizeof(T));
  });
}

template <class T>
void join_channels(const T* a, int64_t a_width, const T* b, int64_t b_width, T* y, int64_t rows) {
  const int64_t width = a_width + b_width;
  copy_channels(a, a_width, 0, y, width, 0, a_width, rows);
  copy_channels(b, b_width, 0, y, width, a_width, b_width, rows);
}

template <class T>
void split_channels(const T* y, T* a, int64_t a_width, T* b, int64_t b_width, int64_t rows) {
  const int64_t width = a_width + b_width;
  copy_channels(y, width, 0, a, a_width, 0, a_width, rows);
  copy_channels(y, width, a_width, b, b_width, 0, b_width, rows);
}

template <class T>
void repeat_rows(const T* x, T* y, int64_t times, int64_t rows, int64_t channels) {
  if (channels == 0) return;
  const int64_t step = std::max<int64_t>(1, kChunk / channels);
  parallel_items(ceil_div(rows, step), rows * channels, [=](int64_t i) {
    for (int64_t r = i * step; r < std::min(rows, (i + 1) * step); ++r)
      std::memcpy(y + r * channels, x + r / times * channels, size_t(channels) * sizeof(T));
  });
}

template <class T>
void resize_nearest_forward(const T* x, T* y, int64_t factor, const ImageDims& d) {
  spread(x, y, factor, 1.0, d);
}

template <class T>
void resize_nearest_backward(const T* dy, T* dx, int64_t factor, const ImageDims& d) {
  gather(dy, dx, factor, 1.0, d);
}

template <class T>
void average_pool_forward(const T* x, T* y, int64_t factor, const ImageDims& d) {
  gather(x, y, factor, 1.0 / double(factor * factor), pooled(d, factor));
}

template <class T>
void average_pool_backward(const T* dy, T* dx, int64_t factor, const ImageDims& d) {
  spread(dy, dx, factor, 1.0 / double(factor * factor), pooled(d, factor));
}

#define NOISETTE_INSTANTIATE(T)                                                             \
  template void copy_channels<T>(const T*, int64_t, int64_t, T*, int64_t, int64_t, int64_t, \
                                 int64_t);                                                  \
  template void join_channels<T>(const T*, int64_t, const T*, int64_t, T*, int64_t);        \
  template void split_channels<T>(const T*, T*, int64_t, T*, int64_t, int64_t);             \
  template void repeat_rows<T>(const T*, T*, int64_t, int64_t, int64_t);                    \
  template void resize_nearest_forward<T>(const T*, T*, int64_t, const ImageDims&);         \
  template void resize_nearest_backward<T>(const T*, T*, int64_t, const ImageDims&);        \
  template void average_pool_forward<T>(const T*, T*, int64_t, const ImageDims&);           \
  template void average_pool_backward<T>(const T*, T*, int64_t, const ImageDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
NOISETTE_INSTANTIATE(double)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
