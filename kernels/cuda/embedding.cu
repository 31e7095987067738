// Table look-up and sinusoidal embeddings. Contract: kernels/embedding.h. Reference:
// kernels/cpu/embedding.cpp.
#include "kernels/embedding.h"

#include <cmath>

#include "kernels/cuda/map.cuh"
#include "kernels/cuda/runtime.h"

namespace noisette::cuda {
namespace {

/// A block an entry of index.
template <class T>
__global__ void embedding_fwd(const T* table, const int64_t* index, T* y, int64_t rows,
                              int64_t dim) {
  const int64_t n = blockIdx.x, row = index[n];
  const bool there = row >= 0 && row < rows;
  for (int64_t c = threadIdx.x; c < dim; c += blockDim.x)
    if (there)
      y[n * dim + c] = table[row * dim + c];
    else
      store(y + n * dim + c, NAN);
}

/// A block an entry of index: the first entry of a row of the table adds up all of that row, in
/// order, so that no two blocks write the same row.
template <class T>
__global__ void embedding_bwd(const T* dy, const int64_t* index, float* dtable, int64_t count,
                              int64_t rows, int64_t dim) {
  const int64_t first = blockIdx.x, row = index[first];
  if (row < 0 || row >= rows) return;
  for (int64_t n = 0; n < first; ++n)
    if (index[n] == row) return;
  for (int64_t c = threadIdx.x; c < dim; c += blockDim.x) {
    float sum = dtable[row * dim + c];
    for (int64_t n = first; n < count; ++n)
      if (index[n] == row) sum += load(dy + n * dim + c);
    dtable[row * dim + c] = sum;
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
  launch("embedding_forward", embedding_fwd<T>, dim3(unsigned(count)), kThreads, 0, table, index, y,
         rows, dim);
}

template <class T>
void embedding_backward(const T* dy, const int64_t* index, acc_t<T>* dtable, int64_t count,
                        int64_t rows, int64_t dim, bool accumulate) {
  if (!accumulate) set_bytes(dtable, 0, std::size_t(rows * dim) * sizeof(float));
  if (count * dim == 0) return;
  launch("embedding_backward", embedding_bwd<T>, dim3(unsigned(count)), kThreads, 0, dy, index,
         dtable, count, rows, dim);
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
