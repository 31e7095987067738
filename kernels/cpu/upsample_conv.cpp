// One 2x2 convolution with padding 1 computes all four kinds of output side by side, z [N, H + 1, W
// + 1, 4 * O]:
//
//   y[n, 2i + p, 2j + q, o] = z[n, i + p, j + q, (2p + q) * O + o]        p, q in {0, 1}
//
// Along one axis, tap 0 of an even output is weight 0, its tap 1 weights 1 + 2; of an odd output 0
// + 1, and 2.
#include "kernels/upsample_conv.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/vector_math.h"

namespace noisette::cpu {
namespace {

/// The tap of an output of kind p under which weight a of three falls.
constexpr int64_t tap(int64_t p, int64_t a) { return p == 0 ? (a > 0) : (a > 1); }

/// [O, 3, 3, C] to [4 * O, 2, 2, C].
template <class T>
void sum_weights(const T* weight, T* sums, const UpsampleConvDims& d) {
  using A = acc_t<T>;
  const int64_t C = d.in_c;
  parallel_items(4 * d.out_c, 4 * d.weight_numel(), [&](int64_t filter) {
    const int64_t o = filter % d.out_c, p = filter / d.out_c / 2, q = filter / d.out_c % 2;
    for (int64_t t = 0; t < 4; ++t)
      for (int64_t c = 0; c < C; ++c) {
        A sum = 0;
        for (int64_t a = 0; a < 3; ++a)
          for (int64_t b = 0; b < 3; ++b)
            if (tap(p, a) == t / 2 && tap(q, b) == t % 2)
              sum += A(weight[(o * 9 + a * 3 + b) * C + c]);
        store(sums[(filter * 4 + t) * C + c], sum);
      }
  });
}

/// The transpose of sum_weights: gradients [4 * O, 2, 2, C] to [O, 3, 3, C].
template <class A>
void sum_gradients(const A* dsums, A* dweight, bool accumulate, const UpsampleConvDims& d) {
  const int64_t C = d.in_c;
  parallel_items(d.out_c * 9, 4 * d.weight_numel(), [&](int64_t i) {
    const int64_t o = i / 9, a = i % 9 / 3, b = i % 3;
    A* to = dweight + i * C;
    if (!accumulate) std::fill_n(to, C, A(0));
    for (int64_t kind = 0; kind < 4; ++kind) {
      const int64_t t = tap(kind / 2, a) * 2 + tap(kind % 2, b);
      const A* from = dsums + ((kind * d.out_c + o) * 4 + t) * C;
      for (int64_t c = 0; c < C; ++c) to[c] += from[c];
    }
  });
}

/// Calls f(pixel of y, pixel and kind in z) for the pixels of row h of y, of image n.
template <class F>
void for_row(const UpsampleConvDims& d, int64_t n, int64_t h, const F& f) {
  const int64_t p = h % 2, row = (n * (d.height + 1) + h / 2 + p) * (d.width + 1);
  for (int64_t w = 0; w < 2 * d.width; ++w) {
    const int64_t q = w % 2;
    f((n * 2 * d.height + h) * 2 * d.width + w, row + w / 2 + q, 2 * p + q);
  }
}

template <class T>
void interleave(const T* z, T* y, const UpsampleConvDims& d) {
  const int64_t O = d.out_c;
  parallel_items(d.batch * 2 * d.height, d.y_numel(), [&](int64_t i) {
    for_row(d, i / (2 * d.height), i % (2 * d.height), [&](int64_t at, int64_t from, int64_t kind) {
      std::copy_n(z + (from * 4 + kind) * O, O, y + at * O);
    });
  });
}

/// The transpose of interleave: outputs of z that no pixel of y shows have no gradient.
template <class T>
void separate(const T* dy, T* dz, const UpsampleConvDims& d) {
  const int64_t O = d.out_c, image = (d.height + 1) * (d.width + 1) * 4 * O;
  parallel_items(d.batch, d.y_numel(), [&](int64_t n) {
    std::fill_n(dz + n * image, image, T(0));
    for (int64_t h = 0; h < 2 * d.height; ++h)
      for_row(d, n, h, [&](int64_t at, int64_t to, int64_t kind) {
        std::copy_n(dy + at * O, O, dz + (to * 4 + kind) * O);
      });
  });
}

}  // namespace

template <class T>
void upsample_conv2d_forward(const T* x, const T* weight, const acc_t<T>* bias, T* y,
                             const UpsampleConvDims& d) {
  if (d.y_numel() == 0) return;
  const ConvDims c = d.side_by_side();
  Scratch scratch;
  T* sums = scratch.take<T>(c.weight_numel());
  T* z = scratch.take<T>(c.y_numel());
  acc_t<T>* biases = nullptr;
  if (bias != nullptr) {
    biases = scratch.take<acc_t<T>>(c.out_c);
    for (int64_t kind = 0; kind < 4; ++kind) std::copy_n(bias, d.out_c, biases + kind * d.out_c);
  }
  sum_weights(weight, sums, d);
  conv2d_forward<T>(x, sums, biases, nullptr, z, c);
  interleave(z, y, d);
}

template <class T>
void upsample_conv2d_backward(const T* x, const T* weight, const T* dy, const T* add, T* dx,
                              acc_t<T>* dweight, bool accumulate, const UpsampleConvDims& d) {
  const ConvDims c = d.side_by_side();
  Scratch scratch;
  T* dz = scratch.take<T>(c.y_numel());
  separate(dy, dz, d);
  if (dx != nullptr) {
    T* sums = scratch.take<T>(c.weight_numel());
    sum_weights(weight, sums, d);
    conv2d_backward_data(dz, sums, add, dx, c);
  }
  if (dweight != nullptr) {
    acc_t<T>* dsums = scratch.take<acc_t<T>>(c.weight_numel());
    conv2d_backward_weight(x, dz, dsums, false, c);
    sum_gradients(dsums, dweight, accumulate, d);
  }
}

#define NOISETTE_INSTANTIATE(T)                                                                 \
  template void upsample_conv2d_forward(const T*, const T*, const acc_t<T>*, T*,                \
                                        const UpsampleConvDims&);                               \
  template void upsample_conv2d_backward(const T*, const T*, const T*, const T*, T*, acc_t<T>*, \
                                         bool, const UpsampleConvDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
NOISETTE_INSTANTIATE(double)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
