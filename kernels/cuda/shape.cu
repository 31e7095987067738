// Moving data between shapes. Contract: kernels/shape.h. Reference: kernels/cpu/shape.cpp.
// An item is a vector of channels of one pixel, or one channel where widths or addresses are odd.
#include "kernels/shape.h"

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

/// y[n, h, w, c] = scale * x[n, h / k, w / k, c]; y has extents d.
template <int kWidth, class T>
__global__ void spread(const T* x, T* y, int64_t k, float scale, ImageDims d, int64_t items) {
  for_each_item(items, [&](int64_t item) {
    const int64_t i = item * kWidth;
    const DivMod pixel(i, d.channels), row(pixel.quotient, d.width), image(row.quotient, d.height);
    const int64_t h = DivMod(image.remainder, k).quotient, w = DivMod(row.remainder, k).quotient;
    const int64_t source = (image.quotient * (d.height / k) + h) * (d.width / k) + w;
    const auto in = Pack<T, kWidth>::read(x + source * d.channels + pixel.remainder);
    Pack<T, kWidth> out;
#pragma unroll
    for (int j = 0; j < kWidth; ++j) out.set(j, scale * in[j]);
    out.write(y + i);
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

/// Runs spread or gather over y, whose extents are d.
template <class T>
void over_pixels(const char* name, bool spreading, const T* x, T* y, int64_t k, double scale,
                 const ImageDims& d) {
  const int64_t n = d.batch * d.height * d.width * d.channels;
  if (n == 0) return;
  const auto run = [&]<int kWidth>(std::integral_constant<int, kWidth>) {
    launch(name, spreading ? spread<kWidth, T> : gather<kWidth, T>, blocks_for(n / kWidth),
           kThreads, 0, x, y, k, scale, d, n / kWidth);
  };
  if (d.channels % kVector<T> == 0 && aligned16(x, y))
    run(std::integral_constant<int, kVector<T>>{});
  else
    run(std::integral_constant<int, 1>{});
}

ImageDims scaled(const ImageDims& d, int64_t times, int64_t over) {
  return {d.batch, d.height * times / over, d.width * times / over, d.channels};
}

}  // namespace

template <class T>
void copy_channels(const T* from, int64_t from_width, int64_t from_begin, T* to, int64_t to_width,
                   int64_t to_begin, int64_t width, int64_t rows) {
  const int64_t n = width * rows;
  if (n == 0) return;
  from += from_begin;
  to += to_begin;
  constexpr int64_t kWide = kVector<T>;
  if (aligned16(from, to) && from_width % kWide == 0 && to_width % kWide == 0 && width % kWide == 0)
    launch("copy_channels", copy_columns<kVector<T>, T>, blocks_for(n / kWide), kThreads, 0, from,
           from_width, to, to_width, width, n / kWide);
  else
    launch("copy_channels", copy_columns<1, T>, blocks_for(n), kThreads, 0, from, from_width, to,
           to_width, width, n);
}

template <class T>
void resize_nearest_forward(const T* x, T* y, int64_t factor, const ImageDims& d) {
  over_pixels("resize_nearest_forward", true, x, y, factor, 1, scaled(d, factor, 1));
}
template <class T>
void resize_nearest_backward(const T* dy, T* dx, int64_t factor, const ImageDims& d) {
  over_pixels("resize_nearest_backward", false, dy, dx, factor, 1, d);
}
template <class T>
void average_pool_forward(const T* x, T* y, int64_t factor, const ImageDims& d) {
  over_pixels("average_pool_forward", false, x, y, factor, 1.0 / double(factor * factor),
              scaled(d, 1, factor));
}
template <class T>
void average_pool_backward(const T* dy, T* dx, int64_t factor, const ImageDims& d) {
  over_pixels("average_pool_backward", true, dy, dx, factor, 1.0 / double(factor * factor), d);
}

#define NOISETTE_INSTANTIATE(T)                                                             \
  template void copy_channels<T>(const T*, int64_t, int64_t, T*, int64_t, int64_t, int64_t, \
                                 int64_t);                                                  \
  template void resize_nearest_forward<T>(const T*, T*, int64_t, const ImageDims&);         \
  template void resize_nearest_backward<T>(const T*, T*, int64_t, const ImageDims&);        \
  template void average_pool_forward<T>(const T*, T*, int64_t, const ImageDims&);           \
  template void average_pool_backward<T>(const T*, T*, int64_t, const ImageDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cuda
