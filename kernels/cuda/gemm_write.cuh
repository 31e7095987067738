// What becomes of the sums of a matrix product: four neighbours of a row at a time.
#pragma once
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vec.cuh"

namespace noisette::cuda::gemm {

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
    out.write(c + i);
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

/// To write(index into c, values), with a bias by column that may be absent.
template <class Write>
struct Finish {
  Write write;
  const float* bias;
  int64_t m, n;
  __device__ void operator()(int64_t s, int64_t i, int64_t j, float4 v) const {
    float sums[4] = {v.x, v.y, v.z, v.w};
    if (bias != nullptr)
#pragma unroll
      for (int k = 0; k < 4; ++k) sums[k] += bias[j + k];
    write((s * m + i) * n + j, sums);
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
template <class Write>
__global__ void add_parts(const float* parts, int64_t count, Finish<Write> finish, int64_t batch) {
  const int64_t rows = finish.m, columns = finish.n, one = rows * columns;
  for_each_item(batch * one / 4, [&](int64_t item) {
    const int64_t s = item * 4 / one, i = item * 4 - s * one;
    const float4 sum = sum_of_parts(parts + s * count * one + i, count, one);
    finish(s, i / columns, i % columns, sum);
  });
}

}  // namespace noisette::cuda::gemm
