// Nearest resize by two with a 3x3 convolution. Contract: kernels/upsample_conv.h. Reference, with
// the method: kernels/cpu/upsample_conv.cpp. One 2x2 convolution computes the four kinds of output
// side by side; the kernels here bring weights and images into that order and back.
//
// Counted on the software GPU as an H100, not yet run on a card, 128 images of 16 x 16, 256
// channels, bf16: forward 306 us, both gradients 545. Bound by memory: the four kinds are stored
// side by side and read again.
#include "kernels/upsample_conv.h"

#include "kernels/conv.h"
#include "kernels/cuda/map.cuh"
#include "kernels/cuda/scratch.h"

namespace noisette::cuda {
namespace {

/// The tap of an output of kind p under which weight a of three falls.
__device__ inline int tap(int64_t p, int64_t a) { return p == 0 ? a > 0 : a > 1; }

/// [O, 3, 3, C] to [4 * O, 2, 2, C].
template <class T>
__global__ void sum_weights(const T* weight, T* sums, UpsampleConvDims d) {
  for_each_item(16 * d.out_c * d.in_c, [&](int64_t item) {
    const DivMod channel(item, d.in_c), filter(channel.quotient / 4, d.out_c);
    const int64_t t = channel.quotient % 4, kind = filter.quotient, o = filter.remainder;
    float sum = 0;
    for (int64_t a = 0; a < 3; ++a)
      for (int64_t b = 0; b < 3; ++b)
        if (tap(kind / 2, a) == t / 2 && tap(kind % 2, b) == t % 2)
          sum += load(weight + (o * 9 + a * 3 + b) * d.in_c + channel.remainder);
    store(sums + item, sum);
  });
}

/// Gradients [4 * O, 2, 2, C] to [O, 3, 3, C].
__global__ void sum_gradients(const float* dsums, float* dweight, bool accumulate,
                              UpsampleConvDims d) {
  for_each_item(9 * d.out_c * d.in_c, [&](int64_t item) {
    const DivMod channel(item, d.in_c), filter(channel.quotient, 9);
    const int64_t a = filter.remainder / 3, b = filter.remainder % 3;
    float sum = accumulate ? dweight[item] : 0.f;
    for (int64_t kind = 0; kind < 4; ++kind) {
      const int64_t t = tap(kind / 2, a) * 2 + tap(kind % 2, b);
      sum += dsums[((kind * d.out_c + filter.quotient) * 4 + t) * d.in_c + channel.remainder];
    }
    dweight[item] = sum;
  });
}

/// Where pixel (h, w) of image n of y lies in z [N, H + 1, W + 1, 4 * O], without the channel.
__device__ inline int64_t in_z(int64_t n, int64_t h, int64_t w, const UpsampleConvDims& d) {
  const int64_t p = h % 2, q = w % 2;
  const int64_t pixel = (n * (d.height + 1) + h / 2 + p) * (d.width + 1) + w / 2 + q;
  return (pixel * 4 + 2 * p + q) * d.out_c;
}

/// An item is kWidth channels of a pixel of y.
template <int kWidth, class T>
__global__ void interleave(const T* z, T* y, int64_t items, UpsampleConvDims d) {
  for_each_item(items, [&](int64_t item) {
    const DivMod channel(item * kWidth, d.out_c), col(channel.quotient, 2 * d.width);
    const DivMod row(col.quotient, 2 * d.height);
    const T* from = z + in_z(row.quotient, row.remainder, col.remainder, d) + channel.remainder;
    Pack<T, kWidth>::read(from).write(y + item * kWidth);
  });
}

/// The transpose of interleave: outputs of z that no pixel of y shows have no gradient.
template <int kWidth, class T>
__global__ void separate(const T* dy, T* dz, int64_t items, UpsampleConvDims d) {
  const int64_t O = d.out_c;
  for_each_item(items, [&](int64_t item) {
    const DivMod channel(item * kWidth, 4 * O), col(channel.quotient, d.width + 1);
    const DivMod row(col.quotient, d.height + 1), kind(channel.remainder, O);
    const int64_t p = kind.quotient / 2, q = kind.quotient % 2;
    const int64_t i = row.remainder - p, j = col.remainder - q;  // of x
    const bool shown = i >= 0 && i < d.height && j >= 0 && j < d.width;
    const int64_t at = ((row.quotient * 2 * d.height + 2 * i + p) * 2 * d.width + 2 * j + q) * O;
    using P = Pack<T, kWidth>;
    (shown ? P::read(dy + at + kind.remainder) : P{}).write(dz + item * kWidth);
  });
}

__global__ void repeat_bias(const float* bias, float* biases, int64_t channels) {
  for_each_item(4 * channels, [&](int64_t i) { biases[i] = bias[i % channels]; });
}

template <class T>
T* summed_weights(Scratch& scratch, const T* weight, const UpsampleConvDims& d) {
  const int64_t n = d.side_by_side().weight_numel();
  T* sums = scratch.take<T>(n);
  launch("upsample_sum_weights", sum_weights<T>, blocks_for(n), kThreads, 0, weight, sums, d);
  return sums;
}

}  // namespace

template <class T>
void upsample_conv2d_forward(const T* x, const T* weight, const acc_t<T>* bias, T* y,
                             const UpsampleConvDims& d) {
  if (d.y_numel() == 0) return;
  const ConvDims c = d.side_by_side();
  Scratch scratch;
  const T* sums = summed_weights(scratch, weight, d);
  T* z = scratch.take<T>(c.y_numel());
  float* biases = nullptr;
  if (bias != nullptr) {
    biases = scratch.take<float>(c.out_c);
    launch("upsample_repeat_bias", repeat_bias, blocks_for(c.out_c), kThreads, 0, bias, biases,
           d.out_c);
  }
  conv2d_forward<T>(x, sums, biases, nullptr, z, c);
  const auto run = [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    const int64_t items = d.y_numel() / kWidth;
    launch("upsample_interleave", interleave<kWidth, T>, blocks_for(items), kThreads, 0, z, y,
           items, d);
  };
  with_width<T>(d.out_c, run, z, y);
}

template <class T>
void upsample_conv2d_backward(const T* x, const T* weight, const T* dy, const T* add, T* dx,
                              acc_t<T>* dweight, bool accumulate, const UpsampleConvDims& d) {
  const ConvDims c = d.side_by_side();
  Scratch scratch;
  T* dz = scratch.take<T>(c.y_numel());
  const auto run = [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    const int64_t items = c.y_numel() / kWidth;
    launch("upsample_separate", separate<kWidth, T>, blocks_for(items), kThreads, 0, dy, dz, items,
           d);
  };
  if (c.y_numel() > 0) with_width<T>(d.out_c, run, dy, dz);
  if (dx != nullptr && d.x_numel() > 0)
    conv2d_backward_data<T>(dz, summed_weights(scratch, weight, d), add, dx, c);
  if (dweight != nullptr && d.weight_numel() > 0) {
    float* dsums = scratch.take<float>(c.weight_numel());
    conv2d_backward_weight<T>(x, dz, dsums, false, c);
    launch("upsample_sum_gradients", sum_gradients, blocks_for(d.weight_numel()), kThreads, 0,
           dsums, dweight, accumulate, d);
  }
}

#define NOISETTE_INSTANTIATE(T)                                                                 \
  template void upsample_conv2d_forward<T>(const T*, const T*, const float*, T*,                \
                                           const UpsampleConvDims&);                            \
  template void upsample_conv2d_backward<T>(const T*, const T*, const T*, const T*, T*, float*, \
                                            bool, const UpsampleConvDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cuda
