// Functions of elements: y[i] = f(x[i], z[i], ...), sixteen bytes at a time where the pointers
// allow.
#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vec.cuh"

namespace noisette::cuda {

struct Identity {
  __device__ float operator()(float x) const { return x; }
};
/// 1 / (1 + e^-x). The quick reciprocal is within 1 ulp; a correct division takes twenty
/// instructions, which bound the norms with SiLU in bf16.
__device__ inline float sigmoid(float x) { return __fdividef(1.f, 1.f + expf(-x)); }
/// The derivative of x * sigmoid(x).
__device__ inline float silu_slope(float x) {
  const float s = sigmoid(x);
  return s * (1.f + x * (1.f - s));
}

template <int kWidth, class F, class Out, class... In>
__device__ inline void map_packs(const F& f, Out* y, const Pack<In, kWidth>&... x) {
  Pack<Out, kWidth> out;
#pragma unroll
  for (int k = 0; k < kWidth; ++k) out.set(k, f(x[k]...));
  out.write(y);
}

/// kWidth elements an item; the rest one by one.
template <int kWidth, class F, class Out, class... In>
__global__ void map_kernel(F f, int64_t n, Out* y, const In*... x) {
  for_each_item(n / kWidth, [&](int64_t i) {
    map_packs<kWidth>(f, y + i * kWidth, Pack<In, kWidth>::read(x + i * kWidth)...);
  });
  if constexpr (kWidth > 1) {
    const int64_t done = n / kWidth * kWidth;
    for_each_item(n - done, [&](int64_t i) {
      map_packs<1>(f, y + done + i, Pack<In, 1>::read(x + done + i)...);
    });
  }
}

/// f takes and returns f32. y may be one of the x.
template <class F, class Out, class... In>
void map(const char* name, const F& f, int64_t n, Out* y, const In*... x) {
  if (n == 0) return;
  constexpr int kWidth = 16 / int(std::max({sizeof(Out), sizeof(In)...}));
  if (aligned16(y, x...))
    launch(name, map_kernel<kWidth, F, Out, In...>, blocks_for(ceil_div(n, kWidth)), kThreads, 0, f,
           n, y, x...);
  else
    launch(name, map_kernel<1, F, Out, In...>, blocks_for(n), kThreads, 0, f, n, y, x...);
}

/// f.run<kWidth>(f.of_sample(n), i) for the elements of every sample. Grid (blocks of a sample,
/// samples).
template <int kWidth, class F>
__global__ void sample_kernel(F f, int64_t batch, int64_t per_item) {
  for (int64_t n = blockIdx.y; n < batch; n += gridDim.y) {
    const auto numbers = f.of_sample(n);
    for_each_item(per_item / kWidth, [&](int64_t item) {
      f.template run<kWidth>(numbers, n * per_item + item * kWidth);
    });
  }
}

/// Functions of elements that use numbers of their sample: of_sample(n) on the device, then
/// run<kWidth>(those, i) for elements [i, i + kWidth), where kWidth is kVector<Widest> if
/// aligned(), or 1.
template <class F>
void run_by_sample(const char* name, const F& f, int64_t batch, int64_t per_item) {
  if (batch * per_item == 0) return;
  const auto run = [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    dim3 grid = blocks_for(per_item / kWidth);
    grid.y = unsigned(std::min<int64_t>(batch, 65535));
    launch(name, sample_kernel<kWidth, F>, grid, kThreads, 0, f, batch, per_item);
  };
  with_width<typename F::Widest>(f.aligned() ? per_item : 1, run);
}

/// Quotient and remainder, in 32 bits where both numbers fit: division in 64 bits takes a hundred
/// instructions.
struct DivMod {
  int64_t quotient, remainder;
  __device__ DivMod(int64_t a, int64_t b) {
    if (((a | b) >> 31) == 0) {
      quotient = uint32_t(a) / uint32_t(b);
      remainder = uint32_t(a) - uint32_t(quotient) * uint32_t(b);
    } else {
      quotient = a / b;
      remainder = a - quotient * b;
    }
  }
};

}  // namespace noisette::cuda
