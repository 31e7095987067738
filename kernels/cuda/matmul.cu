// Matrix products. Contract: kernels/matmul.h. Reference: kernels/cpu/matmul.cpp.
// bf16 runs on tensor cores (gemm.cuh) where rows are whole chunks of sixteen bytes. f32, and what
// is left of bf16, is computed plainly: a thread an element of the result.
#include "kernels/matmul.h"

#include <type_traits>

#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/gemm.cuh"

namespace noisette::cuda {
namespace {

constexpr int kTile = 16;

/// Terms that are added up before the sum meets the rest: long chains of additions in f32 are what
/// most of the error comes from.
constexpr int64_t kTerms = 32;

/// write(index into c, bias[j] + sum over l of A[s,i,l] B[s,l,j]). Grid (columns, rows, batch).
template <class T, class Write>
__global__ void product(const T* a, const T* b, const float* bias, Write write, MatmulDims d) {
  const int64_t j = int64_t(blockIdx.x) * kTile + threadIdx.x;
  if (j >= d.n) return;
  const int64_t a_step = d.trans_a ? d.m : 1, b_step = d.trans_b ? 1 : d.n;
  for (int64_t s = blockIdx.z; s < d.batch; s += gridDim.z)
    for (int64_t i = int64_t(blockIdx.y) * kTile + threadIdx.y; i < d.m;
         i += int64_t(gridDim.y) * kTile) {
      const T* left = a + s * d.m * d.k + (d.trans_a ? i : i * d.k);
      const T* right = b + s * d.k * d.n + (d.trans_b ? j * d.k : j);
      float sum = 0;
      for (int64_t from = 0; from < d.k; from += kTerms) {
        float part = 0;
        const int64_t to = from + kTerms < d.k ? from + kTerms : d.k;
        for (int64_t l = from; l < to; ++l)
          part += load(left + l * a_step) * load(right + l * b_step);
        sum += part;
      }
      if (bias != nullptr) sum += bias[j];
      write((s * d.m + i) * d.n + j, sum);
    }
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

/// What tensor cores hand out, four neighbours of a row at a time, to write(index into c, values).
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
struct StorePart {
  float* parts;
  int64_t m, n;
  __device__ void operator()(int64_t s, int64_t i, int64_t j, float4 v) const {
    *reinterpret_cast<float4*>(parts + (s * m + i) * n + j) = v;
  }
};

/// Adds up the parts of every element, in order.
template <class Write>
__global__ void add_parts(const float* parts, int64_t count, const float* bias, Write write,
                          MatmulDims d) {
  const int64_t one = d.m * d.n;
  for_each_item(d.batch * one, [&](int64_t item) {
    const int64_t s = item / one, i = item - s * one;
    float sum = 0;
    for (int64_t p = 0; p < count; ++p) sum += parts[(s * count + p) * one + i];
    write(item, bias != nullptr ? sum + bias[i % d.n] : sum);
  });
}

template <class Write>
void multiply_tensor_cores(const char* name, const bfloat16* a, const bfloat16* b,
                           const float* bias, const Write& write, const MatmulDims& d) {
  const int64_t parts = gemm::parts_of(d);
  if (parts == 1) return gemm::run(name, a, b, Finish<Write>{write, bias, d.m, d.n}, 1, d);
  Scratch scratch;
  float* sums = scratch.take<float>(parts * d.c_numel());
  gemm::run(name, a, b, StorePart{sums, d.m, d.n}, parts, d);
  launch(name, add_parts<Write>, blocks_for(d.c_numel()), kThreads, 0, sums, parts, bias, write, d);
}

template <class T, class Write>
void multiply(const char* name, const T* a, const T* b, const float* bias, const Write& write,
              const MatmulDims& d) {
  if (d.c_numel() == 0) return;
  if constexpr (std::is_same_v<T, bfloat16>)
    if (gemm::takes(d) && aligned16(a, b) && write.aligned())
      return multiply_tensor_cores(name, a, b, bias, write, d);
  constexpr int64_t kMost = 65535;
  const dim3 grid(unsigned(ceil_div(d.n, kTile)), unsigned(std::min(ceil_div(d.m, kTile), kMost)),
                  unsigned(std::min(d.batch, kMost)));
  launch(name, product<T, Write>, grid, dim3(kTile, kTile), 0, a, b, bias, write, d);
}

}  // namespace

template <class T>
void matmul(const T* a, const T* b, const acc_t<T>* bias, const T* residual, T* c,
            const MatmulDims& d) {
  multiply("matmul", a, b, bias, AddResidual<T>{residual, c}, d);
}

template <class T>
void matmul_accumulate(const T* a, const T* b, acc_t<T>* c, bool accumulate, const MatmulDims& d) {
  multiply("matmul_accumulate", a, b, nullptr, Accumulate{c, accumulate}, d);
}

template <class T>
void column_sum(const T* x, acc_t<T>* out, int64_t rows, int64_t cols, bool accumulate) {
  sum_columns("column_sum", Element<T>{x, cols}, 1, rows, cols, Accumulate{out, accumulate});
}

#define NOISETTE_INSTANTIATE(T)                                                               \
  template void matmul<T>(const T*, const T*, const float*, const T*, T*, const MatmulDims&); \
  template void matmul_accumulate<T>(const T*, const T*, float*, bool, const MatmulDims&);    \
  template void column_sum<T>(const T*, float*, int64_t, int64_t, bool);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cuda
