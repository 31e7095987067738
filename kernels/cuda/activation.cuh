// The activations of kernels/activation.h and their derivatives.
#pragma once
#include "kernels/activation.h"
#include "kernels/cuda/map.cuh"

namespace noisette::cuda {

/// Distribution function and density of the standard normal.
__device__ inline float normal_cdf(float x) { return 0.5f * erfcf(-0.707106781f * x); }
__device__ inline float normal_pdf(float x) { return 0.398942280f * expf(-0.5f * x * x); }

struct Silu {
  __device__ static float value(float x) { return x * sigmoid(x); }
  __device__ static float slope(float x) { return silu_slope(x); }
};
struct Gelu {
  __device__ static float value(float x) { return x * normal_cdf(x); }
  __device__ static float slope(float x) { return normal_cdf(x) + x * normal_pdf(x); }
};
struct GeluTanh {
  static constexpr float kScale = 0.797884561f, kCubic = 0.044715f;  // sqrt(2 / pi)
  __device__ static float tanh_of(float x) { return tanhf(kScale * (x + kCubic * x * x * x)); }
  __device__ static float value(float x) { return 0.5f * x * (1.f + tanh_of(x)); }
  __device__ static float slope(float x) {
    const float t = tanh_of(x);
    return 0.5f * (1.f + t) + 0.5f * x * (1.f - t * t) * kScale * (1.f + 3.f * kCubic * x * x);
  }
};
struct QuickGelu {
  static constexpr float kScale = 1.702f;
  __device__ static float value(float x) { return x * sigmoid(kScale * x); }
  __device__ static float slope(float x) {
    const float s = sigmoid(kScale * x);
    return s * (1.f + kScale * x * (1.f - s));
  }
};

/// f(Silu{}) or the like.
#pragma nv_exec_check_disable
template <class F>
__host__ __device__ inline void with_activation(Activation kind, const F& f) {
  switch (kind) {
    case Activation::silu:
      return f(Silu{});
    case Activation::gelu:
      return f(Gelu{});
    case Activation::gelu_tanh:
      return f(GeluTanh{});
    case Activation::quick_gelu:
      return f(QuickGelu{});
  }
}

}  // namespace noisette::cuda
