// Tiles of matrices [batch, rows, cols], and sums down their columns, the same bits every time.
// A thread stays with one vector of columns of its tile, so that no index is divided in its loop
// and what belongs to a column stays in registers. Sums by column are sums by thread, then of
// threads, in shared memory, then of tiles, each in a fixed order and in f32.
#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/cuda/cuts.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/map.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/scratch.h"
#include "kernels/cuda/vec.cuh"

namespace noisette::cuda {

/// Rows and columns of a tile, at the ends of a matrix less; at most kThreads columns.
struct Cut {
  int64_t rows = 0, cols = 0;

  int64_t across(int64_t all_cols) const { return ceil_div(all_cols, cols); }
  int64_t down(int64_t all_rows) const { return all_rows > rows ? ceil_div(all_rows, rows) : 1; }
  dim3 blocks(int64_t batch, int64_t all_rows, int64_t all_cols) const {
    return dim3(unsigned(batch * down(all_rows) * across(all_cols)));
  }
};

static_assert(cuts::kBlock == kThreads);

/// Tiles of `least` to `most` rows a thread (cuts.h).
template <class T>
Cut cut_into_tiles(int64_t batch, int64_t rows, int64_t cols, int width, int64_t least,
                   int64_t most) {
  constexpr int64_t kElement = sizeof(T);
  return {cuts::tile_rows(batch, rows, cols, kElement, width, least, most),
          cuts::tile_cols(cols, kElement)};
}

/// The tile of a block, which are counted across, then down, then through the batch.
template <int kWidth>
struct Tile {
  int64_t batch, down, first_col;  // down: tiles of rows before this one
  int rows, cols;
  int width, height;  // threads across and down
  int column, row;    // this thread's; one whose row is height or more has no part
  int64_t first, stride;

  __device__ Tile(int64_t all_rows, int64_t all_cols, const Cut& cut) : stride(all_cols) {
    const DivMod across(blockIdx.x, ceil_div(all_cols, cut.cols));
    const DivMod below(across.quotient, all_rows > cut.rows ? ceil_div(all_rows, cut.rows) : 1);
    batch = below.quotient;
    down = below.remainder;
    first_col = across.remainder * cut.cols;
    cols = int(all_cols - first_col < cut.cols ? all_cols - first_col : cut.cols);
    const int64_t begin = down * cut.rows;
    lay_out(begin, all_rows - begin < cut.rows ? all_rows - begin : cut.rows, all_rows);
  }
  /// All rows of another matrix [batch, all_rows, the same columns], in the same columns.
  template <int kOther>
  __device__ Tile(const Tile<kOther>& other, int64_t all_rows)
      : batch(other.batch),
        down(0),
        first_col(other.first_col),
        cols(other.cols),
        stride(other.stride) {
    lay_out(0, all_rows, all_rows);
  }
  /// Calls f(at, slot) for the thread's vectors: their first element in the matrix, and their
  /// number in the tile.
  template <class F>
  __device__ void for_each(const F& f) const {
    if (row >= height) return;
    int64_t at = first + row * stride;
    int slot = row * width + column;
#pragma unroll 4
    for (int r = row; r < rows; r += height, at += height * stride, slot += height * width)
      f(at, slot);
  }

 private:
  __device__ void lay_out(int64_t begin, int64_t its_rows, int64_t all_rows) {
    rows = int(its_rows);
    width = (cols + kWidth - 1) / kWidth;
    height = kThreads / width;
    column = int(threadIdx.x) % width;
    row = int(threadIdx.x) / width;
    first = (batch * all_rows + begin) * stride + first_col + column * kWidth;
  }
};

/// Sums by column over the threads of a tile. All threads of the block call.
template <int kWidth>
class ColumnSums {
 public:
  /// `fold`: kThreads floats of shared memory, which keep the sums.
  __device__ ColumnSums(const Tile<kWidth>& tile, float* fold)
      : cols_(tile.cols), folds_(kThreads / tile.cols), fold_(fold) {}

  __device__ void add_up(const Tile<kWidth>& tile, const float (&sum)[kWidth]) const {
    __shared__ alignas(16) float part[kThreads * kWidth];
    using P = Pack<float, kWidth % 4 == 0 ? 4 : 1>;
    constexpr int kStep = sizeof(P) / sizeof(float);
    __syncthreads();
    if (tile.row < tile.height)
#pragma unroll
      for (int k = 0; k < kWidth; k += kStep) {
        P p;
#pragma unroll
        for (int j = 0; j < kStep; ++j) p.set(j, sum[k + j]);
        p.write(part + (tile.row * tile.width + tile.column) * kWidth + k);
      }
    __syncthreads();
    const int c = int(threadIdx.x) % cols_, first = int(threadIdx.x) / cols_;
    if (first < folds_) {
      float total = 0;
#pragma unroll 4
      for (int r = first; r < tile.height; r += folds_) total += part[r * cols_ + c];
      fold_[threadIdx.x] = total;
    }
    __syncthreads();
  }
  /// The sum of column c, after add_up.
  __device__ float of(int c) const {
    float total = 0;
    for (int k = 0; k < folds_; ++k) total += fold_[k * cols_ + c];
    return total;
  }

 private:
  int cols_, folds_;
  float* fold_;
};

/// The sums of a tile of x.
template <int kWidth, class T>
__device__ inline ColumnSums<kWidth> sums_of(const T* x, const Tile<kWidth>& tile, float* fold) {
  const ColumnSums<kWidth> sums(tile, fold);
  float sum[kWidth] = {};
  tile.for_each([&](int64_t at, int) {
    const auto in = Pack<T, kWidth>::read(x + at);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) sum[k] += in[k];
  });
  sums.add_up(tile, sum);
  return sums;
}

/// Calls finish(s * cols + c, sum) for every column. Sums of more than one tile down go by way of
/// `partial` [batch, tiles down, cols]; a counter of `arrived` for each (s, tile across).
template <int kWidth, class T, class Finish>
__global__ void sum_tiles(const T* x, int64_t rows, int64_t cols, Cut cut, float* partial,
                          unsigned* arrived, Finish finish) {
  __shared__ float fold[kThreads];
  const Tile<kWidth> tile(rows, cols, cut);
  const ColumnSums<kWidth> sums = sums_of(x, tile, fold);
  const int64_t down = rows > cut.rows ? ceil_div(rows, cut.rows) : 1;
  const int c = int(threadIdx.x);
  if (down == 1) {
    if (c < tile.cols) finish(tile.batch * cols + tile.first_col + c, sums.of(c));
    return;
  }
  if (c < tile.cols)
    partial[(tile.batch * down + tile.down) * cols + tile.first_col + c] = sums.of(c);
  __shared__ bool last;
  const int64_t here = tile.batch * ceil_div(cols, cut.cols) + tile.first_col / cut.cols;
  if (!last_to_arrive(arrived + here, unsigned(down), last)) return;
  const Tile<kWidth % 4 == 0 ? 4 : 1> of_partial(tile, down);
  const auto total = sums_of(static_cast<const float*>(partial), of_partial, fold);
  if (c < tile.cols) finish(tile.batch * cols + tile.first_col + c, total.of(c));
}

struct StoreSum {
  float* to;
  __device__ void operator()(int64_t i, float sum) const { to[i] = sum; }
};

/// to[c] (+)= sum: the gradient of a parameter.
struct StoreGradient {
  float* to;
  bool accumulate;
  __device__ void operator()(int64_t c, float sum) const {
    to[c] = sum + (accumulate ? to[c] : 0.f);
  }
};

/// The gradients of two parameters, with which a row of sums begins; either may be null.
struct StoreTwoGradients {
  float *first, *second;
  int64_t cols;  // of each
  bool accumulate;
  __device__ void operator()(int64_t c, float sum) const {
    float* const to = c < cols ? first : c < 2 * cols ? second : nullptr;
    if (to != nullptr) StoreGradient{to, accumulate}(c < cols ? c : c - cols, sum);
  }
};

/// finish(s * cols + c, sum over r of x[s, r, c]) for x [batch, rows, cols]
template <class T, class Finish>
void sum_columns(const char* name, const T* x, int64_t batch, int64_t rows, int64_t cols,
                 const Finish& finish) {
  if (batch == 0 || cols == 0) return;
  const auto run = [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    constexpr int64_t kElement = sizeof(T);
    const Cut cut{cuts::sum_rows(batch, rows, cols, kElement, kWidth),
                  cuts::tile_cols(cols, kElement)};
    const int64_t tiles = cut.down(rows);
    Scratch scratch;
    launch(name, sum_tiles<kWidth, T, Finish>, cut.blocks(batch, rows, cols), kThreads, 0, x, rows,
           cols, cut, tiles > 1 ? scratch.take<float>(batch * tiles * cols) : nullptr, arrivals(),
           finish);
  };
  with_width<T>(cols, run, x);
}

}  // namespace noisette::cuda
