// What becomes of the sums of a matrix product: four neighbours of a row at a time.
#pragma once
#include <type_traits>

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/map.cuh"
#include "kernels/cuda/products.h"
#include "kernels/cuda/vec.cuh"

namespace noisette::cuda::gemm {

/// In one access: the compiler splits an assignment here, by element, which was up to half of the
/// traffic.
template <class T>
__device__ inline void store_four(T* to, const Pack<T, 4>& four) {
  using All = std::conditional_t<sizeof(T) == 2, uint2, uint4>;
  __stwb(reinterpret_cast<All*>(to), *reinterpret_cast<const All*>(four.e));
}

/// c[i] = sum, with a residual that may be absent.
template <class T>
struct AddResidual {
  const T* residual;
  T* c;
  __device__ void operator()(int64_t i, float sum) const {
    store(c + i, residual != nullptr ? sum + load(residual + i) : sum);
  }
  __device__ void operator()(int64_t i, const float (&sums)[4]) const {
    using P = Pack<T, 4>;
    P out;
    const P more = residual != nullptr ? P::read(residual + i) : P{};
#pragma unroll
    for (int k = 0; k < 4; ++k) out.set(k, residual != nullptr ? sums[k] + more[k] : sums[k]);
    store_four(c + i, out);
  }
  bool aligned() const { return aligned16(residual, c); }
};
struct Accumulate {
  float* c;
  bool accumulate;
  __device__ void operator()(int64_t i, double sum) const {
    c[i] = accumulate ? c[i] + float(sum) : float(sum);
  }
  __device__ void operator()(int64_t i, const float (&sums)[4]) const {
    AddResidual<float>{accumulate ? c : nullptr, c}(i, sums);
  }
  bool aligned() const { return aligned16(c); }
};

// What ends a product: end(s, i, j, sums) for results (i, j .. j + 3) of number s of the batch,
// where sums(0) are theirs and sums(further) those so many columns further on.

/// To write(index into c, values), with a bias by column that may be absent.
template <class Write>
struct Finish {
  static constexpr bool kShared = false;
  Write write;
  const float* bias;
  int64_t m, n;
  /// Whether a column of the result comes from two, of values and of gates.
  __device__ static constexpr bool gated() { return false; }
  __host__ __device__ int64_t columns() const { return n; }  // of the result

  template <class Sums>
  __device__ void operator()(int64_t s, int64_t i, int64_t j, const Sums& four) const {
    const float4 v = four(0);
    float sums[4] = {v.x, v.y, v.z, v.w};
    if (bias != nullptr)
#pragma unroll
      for (int k = 0; k < 4; ++k) sums[k] += bias[j + k];
    write((s * m + i) * n + j, sums);
  }
};

/// matmul_activation, matmul_geglu and rows of a residual that are shared, all chosen when the
/// kernel runs. Tiles pass through shared memory, so that this stands in a loop: once, and not for
/// each of a thread's sums. A bias read one by one was half of a tile's traffic.
template <class T>
struct Epilogue {
  static constexpr bool kShared = true;
  enum class Then { nothing, activation, geglu };

  const float* bias;  // [n], may be null
  const T* residual;  // [batch * m / residual_rows, n], may be null
  int64_t residual_rows;
  T *before, *c;  // before may be null
  int64_t m, n;
  Then then = Then::nothing;
  Activation kind = {};

  __host__ __device__ bool gated() const { return then == Then::geglu; }
  __host__ __device__ int64_t columns() const { return gated() ? n / 2 : n; }
  bool aligned() const { return aligned16(bias, residual, before, c); }

  template <class Sums>
  __device__ void operator()(int64_t s, int64_t i, int64_t j, const Sums& sums) const {
    const int64_t row = s * m + i;
    P out = rounded(sums(0), row, j);
    if (gated()) {
      const P gate = rounded(sums(kN / 2), row, n / 2 + j);
#pragma unroll
      for (int k = 0; k < 4; ++k) out.set(k, out[k] * Gelu::value(gate[k]));
    } else if (then == Then::activation) {
      with_activation(kind, [&](auto f) {
#pragma unroll
        for (int k = 0; k < 4; ++k) out.set(k, f.value(out[k]));
      });
    }
    out.write(c + row * columns() + j);
  }

 private:
  using P = Pack<T, 4>;
  /// What comes before the activation.
  __device__ P rounded(float4 v, int64_t row, int64_t j) const {
    float sums[4] = {v.x, v.y, v.z, v.w};
    P out;
    if (bias != nullptr) {
      const auto more = Pack<float, 4>::read(bias + j);
#pragma unroll
      for (int k = 0; k < 4; ++k) sums[k] += more[k];
    }
    if (residual != nullptr) {
      const P more = P::read(residual + DivMod(row, residual_rows).quotient * n + j);
#pragma unroll
      for (int k = 0; k < 4; ++k) sums[k] += more[k];
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) out.set(k, sums[k]);
    if (before != nullptr) out.write(before + row * n + j);
    return out;
  }
};

/// The sum of the parts of four neighbours, in order; `one` elements apart.
__device__ inline float4 sum_of_parts(const float* first, int64_t count, int64_t one) {
  float4 sum = {};
#pragma unroll 4
  for (int64_t p = 0; p < count; ++p) {
    const float4 part = *reinterpret_cast<const float4*>(first + p * one);
    sum.x += part.x, sum.y += part.y, sum.z += part.z, sum.w += part.w;
  }
  return sum;
}

/// Adds up the parts of every element, in order.
template <class End>
__global__ void add_parts(const float* parts, int64_t count, End end, Extents d) {
  const int64_t columns = end.columns(), one = d.m * d.n, width = kN >> int(end.gated());
  for_each_item(d.batch * d.m * columns / 4, [&](int64_t item) {
    const int64_t row = item * 4 / columns, j = item * 4 % columns, s = row / d.m, i = row % d.m;
    const float* first = parts + s * count * one + i * d.n + j / width * kN + j % width;
    end(s, i, j, [&](int further) { return sum_of_parts(first + further, count, one); });
  });
}

}  // namespace noisette::cuda::gemm
