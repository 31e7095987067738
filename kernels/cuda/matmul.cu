// Matrix products. Contract: kernels/matmul.h. Reference: kernels/cpu/matmul.cpp.
// Tile by tile (gemm.cuh) where rows are whole chunks of sixteen bytes. What is left is computed
// plainly, a thread an element of the result, which is the reference too. A library may stand in
// (providers/).
#include "kernels/matmul.h"

#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/gemm.cuh"
#include "kernels/cuda/providers/providers.h"
#include "kernels/shape.h"

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

using gemm::Accumulate;
using gemm::AddResidual;
using providers::Operands;
using providers::Operation;
using providers::Work;

template <class T, class Write>
void multiply_tiles(const char* name, const T* a, const T* b, const float* bias, const Write& write,
                    const MatmulDims& d) {
  const auto go = [&]<bool kA, bool kB>(gemm::Matrix<T, kA> left, gemm::Matrix<T, kB> right) {
    gemm::multiply(name, left, right, bias, write, gemm::extents(d));
  };
  const gemm::Matrix<T, true> a_along{a, d.m, d.k}, b_along{b, d.n, d.k};
  const gemm::Matrix<T, false> a_across{a, d.m, d.k}, b_across{b, d.n, d.k};
  if (d.trans_a)
    d.trans_b ? go(a_across, b_along) : go(a_across, b_across);
  else
    d.trans_b ? go(a_along, b_along) : go(a_along, b_across);
}

template <class T, class Write>
void multiply(const char* name, const T* a, const T* b, const float* bias, const Write& write,
              const MatmulDims& d) {
  if (d.c_numel() == 0) return;
  if (gemm::in_tiles(d, kVector<T>) && aligned16(a, b) && write.aligned())
    return multiply_tiles(name, a, b, bias, write, d);
  constexpr int64_t kMost = 65535;
  const dim3 grid(unsigned(ceil_div(d.n, kTile)), unsigned(std::min(ceil_div(d.m, kTile), kMost)),
                  unsigned(std::min(d.batch, kMost)));
  launch(name, product<T, Write>, grid, dim3(kTile, kTile), 0, a, b, bias, write, d);
}

/// In one kernel, where it can be: whether it was.
template <class T>
bool multiply_to_end(const char* name, const T* a, const T* b, const gemm::Epilogue<T>& end,
                     const MatmulDims& d) {
  if (d.c_numel() == 0 || !gemm::in_tiles_to_end(d, end.gated(), kVector<T>) || !aligned16(a, b) ||
      !end.aligned())
    return false;
  const gemm::Matrix<T, true> left{a, d.m, d.k};
  if (end.gated())
    gemm::multiply(name, left, gemm::Rows<T>::halves(b, d.n / 2, d.k), end,
                   gemm::paired_extents(d));
  else
    gemm::multiply(name, left, gemm::Rows<T>::whole(b, d.n, d.k), end, gemm::extents(d));
  return true;
}

}  // namespace

template <class T>
void matmul(const T* a, const T* b, const acc_t<T>* bias, const T* residual, T* c,
            const MatmulDims& d, int64_t residual_rows) {
  if (residual != nullptr && residual_rows > 1) {
    if (multiply_to_end("matmul", a, b,
                        gemm::Epilogue<T>{bias, residual, residual_rows, nullptr, c, d.m, d.n}, d))
      return;
    repeat_rows(residual, c, residual_rows, d.batch * d.m, d.n);
    residual = c;
  }
  const Work work =
      providers::work<T>(Operation::matmul, d, providers::addend(residual, c), bias != nullptr);
  providers::run(work, {{a, b, bias, residual}, {c}}, [&](const Operands& o) {
    multiply("matmul", o.input<T>(0), o.input<T>(1), o.input<float>(2),
             AddResidual<T>{o.input<T>(3), o.result<T>()}, d);
  });
}

template <class T>
void matmul_activation(const T* a, const T* b, const acc_t<T>* bias, const T* residual, T* before,
                       T* c, Activation kind, const MatmulDims& d, int64_t residual_rows) {
  using End = gemm::Epilogue<T>;
  if (multiply_to_end(
          "matmul_activation", a, b,
          End{bias, residual, residual_rows, before, c, d.m, d.n, End::Then::activation, kind}, d))
    return;
  T* const s = before != nullptr ? before : c;
  matmul(a, b, bias, residual, s, d, residual_rows);
  activation_forward(s, c, d.c_numel(), kind);
}

template <class T>
void matmul_geglu(const T* a, const T* b, const acc_t<T>* bias, T* before, T* c,
                  const MatmulDims& d) {
  using End = gemm::Epilogue<T>;
  if (multiply_to_end("matmul_geglu", a, b,
                      End{bias, nullptr, 1, before, c, d.m, d.n, End::Then::geglu}, d))
    return;
  Scratch scratch;
  T* const s = before != nullptr ? before : scratch.take<T>(d.c_numel());
  matmul<T>(a, b, bias, nullptr, s, d);
  geglu_forward(s, c, d.batch * d.m, d.n / 2);
}

template <class T>
void matmul_accumulate(const T* a, const T* b, acc_t<T>* c, bool accumulate, const MatmulDims& d) {
  const Work work =
      providers::work<T>(Operation::matmul_accumulate, d, providers::accumulated(accumulate));
  providers::run(work, {{a, b}, {c}}, [&](const Operands& o) {
    multiply("matmul_accumulate", o.input<T>(0), o.input<T>(1), nullptr,
             Accumulate{o.result<float>(), accumulate}, d);
  });
}

template <class T>
void column_sum(const T* x, acc_t<T>* out, int64_t rows, int64_t cols, bool accumulate) {
  sum_columns("column_sum", x, 1, rows, cols, StoreGradient{out, accumulate});
}

#define NOISETTE_INSTANTIATE(T)                                                               \
  template void matmul<T>(const T*, const T*, const float*, const T*, T*, const MatmulDims&,  \
                          int64_t);                                                           \
  template void matmul_activation<T>(const T*, const T*, const float*, const T*, T*, T*,      \
                                     Activation, const MatmulDims&, int64_t);                 \
  template void matmul_geglu<T>(const T*, const T*, const float*, T*, T*, const MatmulDims&); \
  template void matmul_accumulate<T>(const T*, const T*, float*, bool, const MatmulDims&);    \
  template void column_sum<T>(const T*, float*, int64_t, int64_t, bool);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cuda
