// Pointwise activations. Contract: kernels/activation.h. Reference: kernels/cpu/activation.cpp.
// Bound by memory: every element is read and written once.
#include "kernels/activation.h"

#include "kernels/cuda/activation.cuh"

namespace noisette::cuda {
namespace {

template <class Act>
struct Forward {
  __device__ float operator()(float x) const { return Act::value(x); }
};
template <class Act>
struct Backward {
  __device__ float operator()(float x, float dy) const { return dy * Act::slope(x); }
};

/// y[r,c] = x[r,c] * gelu(x[r,C+c]); an item is kWidth channels of y.
template <int kWidth, class T>
__global__ void geglu_fwd(const T* x, T* y, int64_t items, int64_t channels) {
  using P = Pack<T, kWidth>;
  for_each_item(items, [&](int64_t item) {
    const DivMod at(item * kWidth, channels);
    const T* row = x + at.quotient * 2 * channels + at.remainder;
    const P value = P::read(row), gate = P::read(row + channels);
    P out;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) out.set(k, value[k] * Gelu::value(gate[k]));
    out.write(y + item * kWidth);
  });
}

template <int kWidth, class T>
__global__ void geglu_bwd(const T* x, const T* dy, T* dx, int64_t items, int64_t channels) {
  using P = Pack<T, kWidth>;
  for_each_item(items, [&](int64_t item) {
    const DivMod at(item * kWidth, channels);
    const int64_t row = at.quotient * 2 * channels + at.remainder;
    const P value = P::read(x + row), gate = P::read(x + row + channels);
    const P grad = P::read(dy + item * kWidth);
    P dvalue, dgate;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      dvalue.set(k, grad[k] * Gelu::value(gate[k]));
      dgate.set(k, grad[k] * value[k] * Gelu::slope(gate[k]));
    }
    dvalue.write(dx + row);
    dgate.write(dx + row + channels);
  });
}

}  // namespace

template <class T>
void activation_forward(const T* x, T* y, int64_t n, Activation kind) {
  with_activation(kind, [&]<class A>(A) { map("activation_forward", Forward<A>{}, n, y, x); });
}

template <class T>
void activation_backward(const T* x, const T* dy, T* dx, int64_t n, Activation kind) {
  with_activation(kind,
                  [&]<class A>(A) { map("activation_backward", Backward<A>{}, n, dx, x, dy); });
}

template <class T>
void geglu_forward(const T* x, T* y, int64_t rows, int64_t channels) {
  if (rows * channels == 0) return;
  const auto run = [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    const int64_t items = rows * channels / kWidth;
    launch("geglu_forward", geglu_fwd<kWidth, T>, blocks_for(items), kThreads, 0, x, y, items,
           channels);
  };
  with_width<T>(channels, run, x, y);
}

template <class T>
void geglu_backward(const T* x, const T* dy, T* dx, int64_t rows, int64_t channels) {
  if (rows * channels == 0) return;
  const auto run = [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    const int64_t items = rows * channels / kWidth;
    launch("geglu_backward", geglu_bwd<kWidth, T>, blocks_for(items), kThreads, 0, x, dy, dx, items,
           channels);
  };
  with_width<T>(channels, run, x, dy, dx);
}

#define NOISETTE_INSTANTIATE(T)                                                   \
  template void activation_forward(const T*, T*, int64_t, Activation);            \
  template void activation_backward(const T*, const T*, T*, int64_t, Activation); \
  template void geglu_forward(const T*, T*, int64_t, int64_t);                    \
  template void geglu_backward(const T*, const T*, T*, int64_t, int64_t);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cuda
