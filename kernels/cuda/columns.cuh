// Sums down the columns of matrices, the same bits every time: fixed runs of rows are summed in f32
// by one block each, and the sums of the runs added up in order, in double.
#pragma once
#include <cstdint>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/scratch.h"
#include "kernels/cuda/vec.cuh"

namespace noisette::cuda {

inline constexpr int kColumnWidth = 32, kColumnHeight = 8;  // of a block
inline constexpr int64_t kColumnRows = 16 * kColumnHeight;  // of a run

/// An element of a row-major matrix.
template <class T>
struct Element {
  const T* x;
  int64_t cols;
  __device__ float operator()(int64_t row, int64_t c) const { return load(x + row * cols + c); }
};

/// partial[s, run, c] = sum of f(s * rows + r, c) over the rows r of a run. Grid (runs, column
/// blocks, batch).
template <class F>
__global__ void sum_column_runs(F f, int64_t rows, int64_t cols, int64_t runs, int64_t batch,
                                float* partial) {
  __shared__ float sums[kColumnHeight][kColumnWidth];
  const int64_t c = int64_t(blockIdx.y) * kColumnWidth + threadIdx.x;
  const int64_t begin = int64_t(blockIdx.x) * kColumnRows;
  const int64_t end = begin + kColumnRows < rows ? begin + kColumnRows : rows;
  for (int64_t s = blockIdx.z; s < batch; s += gridDim.z) {
    float sum = 0;
    if (c < cols)
      for (int64_t r = begin + threadIdx.y; r < end; r += kColumnHeight) sum += f(s * rows + r, c);
    __syncthreads();
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || c >= cols) continue;
    for (int k = 1; k < kColumnHeight; ++k) sum += sums[k][threadIdx.x];
    partial[(s * runs + blockIdx.x) * cols + c] = sum;
  }
}

/// to[c] (+)= sum: the gradient of a parameter.
struct StoreGradient {
  float* to;
  bool accumulate;
  __device__ void operator()(int64_t c, double sum) const {
    to[c] = float(sum) + (accumulate ? to[c] : 0.f);
  }
};

/// finish(s * cols + c, sum over the runs)
template <class Finish>
__global__ void finish_columns(const float* partial, int64_t batch, int64_t cols, int64_t runs,
                               Finish finish) {
  for_each_item(batch * cols, [&](int64_t i) {
    const int64_t s = i / cols, c = i - s * cols;
    double sum = 0;
    for (int64_t k = 0; k < runs; ++k) sum += double(partial[(s * runs + k) * cols + c]);
    finish(i, sum);
  });
}

template <class F, class Finish>
void sum_columns(const char* name, const F& f, int64_t batch, int64_t rows, int64_t cols,
                 const Finish& finish) {
  if (batch == 0 || cols == 0) return;
  const int64_t runs = ceil_div(rows, kColumnRows);
  Scratch scratch;
  float* partial = scratch.take<float>(batch * runs * cols);
  const dim3 grid(unsigned(runs), unsigned(ceil_div(cols, kColumnWidth)),
                  unsigned(std::min<int64_t>(batch, 65535)));
  if (runs > 0)
    launch(name, sum_column_runs<F>, grid, dim3(kColumnWidth, kColumnHeight), 0, f, rows, cols,
           runs, batch, partial);
  launch(name, finish_columns<Finish>, blocks_for(batch * cols), kThreads, 0, partial, batch, cols,
         runs, finish);
}

}  // namespace noisette::cuda
