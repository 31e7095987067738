// Sums over long rows, the same bits every time: chunks of a fixed length are summed by one block
// each, and the sums of the chunks added up in order, in double.
#pragma once
#include <cstdint>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/scratch.h"
#include "kernels/cuda/vec.cuh"

namespace noisette::cuda {

inline constexpr int64_t kSumChunk = 64 * kThreads;

/// What is summed, of flat f32 memory or elements of T.
struct Square {
  const float* x;
  __device__ double operator()(int64_t i) const { return double(x[i]) * double(x[i]); }
};
/// 0 for a finite element, else NaN.
template <class T>
struct Excess {
  const T* x;
  __device__ double operator()(int64_t i) const { return double(load(x + i) - load(x + i)); }
};

/// partial[row * chunks + k] = sum of f(i) over chunk k of row `row`, i counted through all rows.
template <class F>
__global__ void sum_chunks(F f, int64_t per_row, int64_t chunks, double* partial) {
  const int64_t row = blockIdx.x / chunks, begin = blockIdx.x % chunks * kSumChunk;
  const int64_t end = begin + kSumChunk < per_row ? begin + kSumChunk : per_row;
  double sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) sum += f(row * per_row + i);
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

template <class Finish>
__global__ void finish_sums(const double* partial, int64_t chunks, Finish finish) {
  double sum = 0;
  for (int64_t k = threadIdx.x; k < chunks; k += kThreads) sum += partial[blockIdx.x * chunks + k];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) finish(blockIdx.x, sum);
}

/// Calls finish(row, sum over i in [0, per_row) of f(row * per_row + i)) for every row, on the
/// device. f returns double.
template <class F, class Finish>
void sum_rows(const char* name, int64_t rows, int64_t per_row, const F& f, const Finish& finish) {
  if (rows == 0) return;
  const int64_t chunks = ceil_div(per_row, kSumChunk);
  Scratch scratch;
  double* partial = scratch.take<double>(rows * chunks);
  if (chunks > 0)
    launch(name, sum_chunks<F>, dim3(unsigned(rows * chunks)), kThreads, 0, f, per_row, chunks,
           partial);
  launch(name, finish_sums<Finish>, dim3(unsigned(rows)), kThreads, 0, partial, chunks, finish);
}

}  // namespace noisette::cuda
