// Moving data between shapes. Contract: kernels/shape.h. Reference: kernels/cpu/shape.cpp.
// An item is a vector of channels of one pixel, or one channel where widths or addresses are odd.
#include "kernels/shape.h"

#include <numeric>
#include <type_traits>

#include "kernels/cuda/map.cuh"

namespace noisette::cuda {
namespace {

template <int kWidth, class T>
__global__ void copy_columns(const T* from, int64_t from_width, T* to, int64_t to_width,
                             int64_t width, int64_t items) {
  for_each_item(items, [&](int64_t item) {
    const DivMod at(item * kWidth, width);
    Pack<T, kWidth>::read(from + at.quotient * from_width + at.remainder)
        .write(to + at.quotient * to_width + at.remainder);
  });
}

/// Between rows of `both` and the rows of its parts: from them where they are const.
template <int kWidth, class Part, class Both>
__global__ void parts_of_rows(Part* a, int64_t a_width, Part* b, int64_t b_width, Both* both,
                              int64_t items) {
  using P = Pack<std::remove_const_t<Part>, kWidth>;
  for_each_item(items, [&](int64_t item) {
    const DivMod at(item * kWidth, a_width + b_width);
    Part* const part = at.remainder < a_width ? a + at.quotient * a_width + at.remainder
                                              : b + at.quotient * b_width + at.remainder - a_width;
    if constexpr (std::is_const_v<Part>)
      P::read(part).write(both + item * kWidth);
    else
      P::read(both + item * kWidth).write(part);
  });
}

template <class Part, class Both>
void join_or_split(const char* name, Part* a, int64_t a_width, Part* b, int64_t b_width, Both* both,
                   int64_t rows) {
  if ((a_width + b_width) * rows == 0) return;
  const auto run = [&](auto vector) {
    constexpr int kWidth = decltype(vector)::value;
    const int64_t items = (a_width + b_width) * rows / kWidth;
    launch(name, parts_of_rows<kWidth, Part, Both>, blocks_for(items), kThreads, 0, a, a_width, b,
           b_width, both, items);
  };
  with_width<std::remove_const_t<Part>>(std::gcd(a_width, b_width), run, a, b, both);
}

template <int kWidth, class T>
__global__ void repeat(const T* x, T* y, int64_t times, int64_t channels, int64_t items) {
  for_each_item(items, [&](int64_t item) {
    const DivMod at(item * kWidth, channels);
    Pack<T, kWidth>::read(x + DivMod(at.quotient, times).quotient * channels + at.remainder)
        .write(y + item * kWidth);
  });
}

/// y[n, h k + a, w k + b, c] = scale * x[n, h, w, c] for a, b < k; x has extents d. A vector of x
/// is read once.
template <int kWidth, class T>
__global__ void spread(const T* x, T* y, int64_t k, float scale, ImageDims d, int64_t items) {
  for_each_item(items, [&](int64_t item) {
    const int64_t i = item * kWidth;
    const DivMod pixel(i, d.channels), row(pixel.quotient, d.width);
    T* block =
        y + (row.quotient * k * d.width * k + row.remainder * k) * d.channels + pixel.remainder;
    const auto in = Pack<T, kWidth>::read(x + i);
    Pack<T, kWidth> out;
#pragma unroll
    for (int j = 0; j < kWidth; ++j) out.set(j, scale * in[j]);
    for (int64_t a = 0; a < k; ++a)
      for (int64_t b = 0; b < k; ++b) out.write(block + (a * d.width * k + b) * d.channels);
  });
}

/// y[n, h, w, c] = scale * sum of x over the k x k block at (h k, w k); y has extents d.
template <int kWidth, class T>
__global__ void gather(const T* x, T* y, int64_t k, float scale, ImageDims d, int64_t items) {
  for_each_item(items, [&](int64_t item) {
    const int64_t i = item * kWidth;
    const DivMod pixel(i, d.channels), row(pixel.quotient, d.width);
    const T* block =
        x + (row.quotient * k * d.width * k + row.remainder * k) * d.channels + pixel.remainder;
    float sum[kWidth] = {};
    for (int64_t a = 0; a < k; ++a)
      for (int64_t b = 0; b < k; ++b) {
        const auto in = Pack<T, kWidth>::read(block + (a * d.width * k + b) * d.channels);
#pragma unroll
        for (int j = 0; j < kWidth; ++j) sum[j] += in[j];
      }
    Pack<T, kWidth> out;
#pragma unroll
    for (int j = 0; j < kWidth; ++j) out.set(j, scale * sum[j]);
    out.write(y + i);
  });
}

/// Runs spread or gather over the smaller image, whose extents are d.
template <class T>
void over_pixels(const char* name, bool spreading, const T* x, T* y, int64_t k, double scale,
                 const ImageDims& d) {
  const int64_t n = d.batch * d.height * d.width * d.channels;
  if (n == 0) return;
  const auto run = [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    launch(name, spreading ? spread<kWidth, T> : gather<kWidth, T>, blocks_for(n / kWidth),
           kThreads, 0, x, y, k, scale, d, n / kWidth);
  };
  with_width<T>(d.channels, run, x, y);
}

ImageDims pooled(const ImageDims& d, int64_t factor) {
  return {d.batch, d.height / factor, d.width / factor, d.channels};
}

}  // namespace

template <class T>
void copy_channels(const T* from, int64_t from_width, int64_t from_begin, T* to, int64_t to_width,
                   int64_t to_begin, int64_t width, int64_t rows) {
  if (width * rows == 0) return;
  from += from_begin;
  to += to_begin;
  const auto run = [&](auto vector) {
    constexpr int kWidth = decltype(vector)::value;
    const int64_t items = width * rows / kWidth;
    launch("copy_channels", copy_columns<kWidth, T>, blocks_for(items), kThreads, 0, from,
           from_width, to, to_width, width, items);
  };
  with_width<T>(std::gcd(std::gcd(from_width, to_width), width), run, from, to);
}

template <class T>
void join_channels(const T* a, int64_t a_width, const T* b, int64_t b_width, T* y, int64_t rows) {
  join_or_split("join_channels", a, a_width, b, b_width, y, rows);
}
template <class T>
void split_channels(const T* y, T* a, int64_t a_width, T* b, int64_t b_width, int64_t rows) {
  join_or_split("split_channels", a, a_width, b, b_width, y, rows);
}

template <class T>
void repeat_rows(const T* x, T* y, int64_t times, int64_t rows, int64_t channels) {
  if (rows * channels == 0) return;
  const auto run = [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    const int64_t items = rows * channels / kWidth;
    launch("repeat_rows", repeat<kWidth, T>, blocks_for(items), kThreads, 0, x, y, times, channels,
           items);
  };
  with_width<T>(channels, run, x, y);
}

template <class T>
void resize_nearest_forward(const T* x, T* y, int64_t factor, const ImageDims& d) {
  over_pixels("resize_nearest_forward", true, x, y, factor, 1, d);
}
template <class T>
void resize_nearest_backward(const T* dy, T* dx, int64_t factor, const ImageDims& d) {
  over_pixels("resize_nearest_backward", false, dy, dx, factor, 1, d);
}
template <class T>
void average_pool_forward(const T* x, T* y, int64_t factor, const ImageDims& d) {
  over_pixels("average_pool_forward", false, x, y, factor, 1.0 / double(factor * factor),
              pooled(d, factor));
}
template <class T>
void average_pool_backward(const T* dy, T* dx, int64_t factor, const ImageDims& d) {
  over_pixels("average_pool_backward", true, dy, dx, factor, 1.0 / double(factor * factor),
              pooled(d, factor));
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
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cuda
