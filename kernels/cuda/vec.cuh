// Elements of f32 and bf16 memory, sixteen bytes at a time.
#pragma once
#include <cstdint>
#include <type_traits>

#include "kernels/bfloat16.h"
#include "kernels/cuda/launch.cuh"

namespace noisette::cuda {

__device__ inline float load(const float* p) { return *p; }
__device__ inline float load(const double* p) { return float(*p); }
__device__ inline float load(const bfloat16* p) { return float(*p); }
__device__ inline void store(float* p, float v) { *p = v; }
__device__ inline void store(double* p, float v) { *p = double(v); }
__device__ inline void store(bfloat16* p, float v) { *p = bfloat16(v); }

/// kWidth neighbouring elements of T as f32; more than sixteen bytes take several accesses.
template <class T, int kWidth = 16 / sizeof(T)>
struct alignas(sizeof(T) * kWidth < 16 ? sizeof(T) * kWidth : 16) Pack {
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

/// Calls f(width), an integral constant: the elements that one access moves where rows of `unit`
/// elements start at all these addresses. That is kVector<T>, or 1 where anything is odd.
template <class T, class F, class... P>
void with_width(int64_t unit, const F& f, const P*... p) {
  if (unit % kVector<T> == 0 && aligned16(p...))
    f(std::integral_constant<int, kVector<T>>{});
  else
    f(std::integral_constant<int, 1>{});
}

}  // namespace noisette::cuda
