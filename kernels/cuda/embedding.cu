// Table look-up and sinusoidal embeddings. Contract: kernels/embedding.h. Reference:
// kernels/cpu/embedding.cpp.
#include "kernels/embedding.h"

#include <cmath>

#include "kernels/cuda/map.cuh"
#include "kernels/cuda/reduce.cuh"

namespace noisette::cuda {
namespace {

/// An item is kWidth elements of y.
template <int kWidth, class T>
__global__ void embedding_fwd(const T* table, const int64_t* index, T* y, int64_t items,
                              int64_t rows, int64_t dim) {
  using P = Pack<T, kWidth>;
  P nothing;
#pragma unroll
  for (int k = 0; k < kWidth; ++k) nothing.set(k, NAN);
  for_each_item(items, [&](int64_t item) {
    const DivMod at(item * kWidth, dim);
    const int64_t row = index[at.quotient];
    const bool there = row >= 0 && row < rows;
    (there ? P::read(table + row * dim + at.remainder) : nothing).write(y + item * kWidth);
  });
}

/// Which of the 32 entries of index from `begin` on, below `end`, are `row`: a bit each. By a warp.
__device__ inline unsigned entries_of(int64_t row, const int64_t* index, int64_t begin,
                                      int64_t end) {
  const int64_t n = begin + threadIdx.x;
  return __ballot_sync(kAllLanes, n < end && index[n] == row);
}

/// A warp a row of the table: adds up the entries of index that are this row, in their order, and
/// writes it once. Blocks [32, 32], whose warps share what they read of index.
template <class T>
__global__ void embedding_bwd(const T* dy, const int64_t* index, float* dtable, int64_t count,
                              int64_t rows, int64_t dim, bool accumulate) {
  const int64_t row = int64_t(blockIdx.x) * blockDim.y + threadIdx.y;
  if (row >= rows) return;
  int64_t first = 0;
  while (first < count && entries_of(row, index, first, count) == 0) first += 32;
  if (accumulate && first >= count) return;
  for (int64_t begin = 0; begin < dim; begin += 32) {
    const int64_t c = begin + threadIdx.x;
    float* const to = dtable + row * dim + c;
    float sum = accumulate && c < dim ? *to : 0;
    for (int64_t n = first; n < count; n += 32)
      for (unsigned bits = entries_of(row, index, n, count); bits != 0; bits &= bits - 1)
        if (c < dim) sum += load(dy + (n + __ffs(int(bits)) - 1) * dim + c);
    if (c < dim) *to = sum;
  }
}

template <class T, class Time>
__global__ void timestep_fwd(const Time* t, T* y, int64_t count, int64_t dim, double step,
                             bool cosine_first) {
  const int64_t half = dim / 2;
  const int64_t sine = cosine_first ? half : 0, cosine = half - sine;
  for_each_item(count * half, [&](int64_t item) {
    const DivMod at(item, half);
    const double angle = double(t[at.quotient]) * exp(step * double(at.remainder));
    T* out = y + at.quotient * dim + at.remainder;
    store(out + sine, float(sin(angle)));
    store(out + cosine, float(cos(angle)));
  });
  if (dim % 2 != 0) for_each_item(count, [&](int64_t n) { store(y + n * dim + dim - 1, 0.f); });
}

}  // namespace

template <class T>
void embedding_forward(const T* table, const int64_t* index, T* y, int64_t count, int64_t rows,
                       int64_t dim) {
  if (count * dim == 0) return;
  const auto run = [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    const int64_t items = count * dim / kWidth;
    launch("embedding_forward", embedding_fwd<kWidth, T>, blocks_for(items), kThreads, 0, table,
           index, y, items, rows, dim);
  };
  with_width<T>(dim, run, table, y);
}

template <class T>
void embedding_backward(const T* dy, const int64_t* index, acc_t<T>* dtable, int64_t count,
                        int64_t rows, int64_t dim, bool accumulate) {
  if (rows * dim == 0) return;
  constexpr unsigned kRows = 32;
  launch("embedding_backward", embedding_bwd<T>, dim3(unsigned(ceil_div(rows, kRows))),
         dim3(32, kRows), 0, dy, index, dtable, count, rows, dim, accumulate);
}

template <class T, class Time>
void timestep_embedding(const Time* t, T* y, int64_t count, int64_t dim,
                        const TimestepOptions& options) {
  if (count * dim == 0) return;
  const double step = -std::log(options.max_period) / (double(dim / 2) - options.freq_shift);
  launch("timestep_embedding", timestep_fwd<T, Time>, blocks_for(count * dim), kThreads, 0, t, y,
         count, dim, step, options.flip_sin_to_cos);
}

#define NOISETTE_INSTANTIATE_TIME(T, Time)                                     \
  template void timestep_embedding<T, Time>(const Time*, T*, int64_t, int64_t, \
                                            const TimestepOptions&);
#define NOISETTE_INSTANTIATE(T)                                                                    \
  template void embedding_forward<T>(const T*, const int64_t*, T*, int64_t, int64_t, int64_t);     \
  template void embedding_backward<T>(const T*, const int64_t*, float*, int64_t, int64_t, int64_t, \
                                      bool);                                                       \
  NOISETTE_INSTANTIATE_TIME(T, float)                                                              \
  NOISETTE_INSTANTIATE_TIME(T, double)                                                             \
  NOISETTE_INSTANTIATE_TIME(T, int64_t)                                                            \
  NOISETTE_INSTANTIATE_TIME(T, int32_t)
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE
#undef NOISETTE_INSTANTIATE_TIME

}  // namespace noisette::cuda
