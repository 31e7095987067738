// Elements of f32 and bf16 memory, sixteen bytes at a time.
#pragma once
#include <cstdint>

#include "kernels/bfloat16.h"
#include "kernels/cuda/launch.cuh"

namespace noisette::cuda {

__device__ inline float load(const float* p) { return *p; }
__device__ inline float load(const double* p) { return float(*p); }
__device__ inline float load(const bfloat16* p) { return float(*p); }
__device__ inline void store(float* p, float v) { *p = v; }
__device__ inline void store(double* p, float v) { *p = double(v); }
__device__ inline void store(bfloat16* p, float v) { *p = bfloat16(v); }

/// kWidth neighbouring elements of T as f32.
template <class T, int kWidth = 16 / sizeof(T)>
struct alignas(sizeof(T) * kWidth) Pack {
  static_assert(sizeof(T) * kWidth <= 16);
  T e[kWidth];

  __device__ static Pack read(const T* p) { return *reinterpret_cast<const Pack*>(p); }
  __device__ void write(T* p) const { *reinterpret_cast<Pack*>(p) = *this; }
  __device__ float operator[](int i) const { return load(&e[i]); }
  __device__ void set(int i, float v) { store(&e[i], v); }
};

/// Whether all pointers (null ones too) start on sixteen bytes.
template <class... P>
bool aligned16(const P*... p) {
  return ((reinterpret_cast<std::uintptr_t>(p) | ... | 0) & 15u) == 0;
}

/// Elements of T that one vector access moves.
template <class T>
inline constexpr int kVector = 16 / int(sizeof(T));

}  // namespace noisette::cuda
