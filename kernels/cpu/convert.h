// bf16 operands as f32, for machines on which only f32 has fast code. No-ops when T is float.
#pragma once
#include <type_traits>

#include "kernels/bfloat16.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/vector_math.h"

namespace noisette::cpu {

template <class T>
void to_f32(const T* from, float* to, int64_t n) {
  parallel_ranges(n, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = float(from[i]);
  });
}

/// x in f32: itself, or a copy.
template <class T>
const float* as_f32(Scratch& scratch, const T* x, int64_t n) {
  if constexpr (std::is_same_v<T, float>) return x;
  float* copy = scratch.take<float>(n);
  to_f32(x, copy, n);
  return copy;
}

/// Where an f32 result is computed: y itself, or memory that from_f32 will read; with `keep` it
/// starts as what is in y.
template <class T>
float* output_f32(Scratch& scratch, T* y, int64_t n, bool keep) {
  if constexpr (std::is_same_v<T, float>) return y;
  float* copy = scratch.take<float>(n);
  if (keep) to_f32(y, copy, n);
  return copy;
}

template <class T>
void from_f32(const float* from, T* to, int64_t n) {
  if constexpr (!std::is_same_v<T, float>)
    parallel_ranges(n, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) store(to[i], from[i]);
    });
}

}  // namespace noisette::cpu
