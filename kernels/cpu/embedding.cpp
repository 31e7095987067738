// Table look-up and sinusoidal embeddings. Contract: kernels/embedding.h.
#include "kernels/embedding.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cpu/parallel.h"

namespace noisette::cpu {

template <class T>
void embedding_forward(const T* table, const int64_t* index, T* y, int64_t count, int64_t rows,
                       int64_t dim) {
  parallel_items(count, count * dim, [=](int64_t n) {
    const int64_t i = index[n];
    if (i >= 0 && i < rows)
      std::memcpy(y + n * dim, table + i * dim, size_t(dim) * sizeof(T));
    else
      std::fill_n(y + n * dim, dim, T(std::numeric_limits<acc_t<T>>::quiet_NaN()));
  });
}

template <class T>
void embedding_backward(const T* dy, const int64_t* index, acc_t<T>* dtable, int64_t count,
                        int64_t rows, int64_t dim, bool accumulate) {
  using A = acc_t<T>;
  constexpr int64_t kStrip =
      64;  // columns: each strip belongs to one thread, which takes the samples in order
  parallel_items(ceil_div(dim, kStrip), count * dim, [=](int64_t s) {
    const int64_t begin = s * kStrip, end = std::min(dim, begin + kStrip);
    if (!accumulate)
      for (int64_t r = 0; r < rows; ++r)
        std::fill(dtable + r * dim + begin, dtable + r * dim + end, A(0));
    for (int64_t n = 0; n < count; ++n) {
      if (index[n] < 0 || index[n] >= rows) continue;
      const T* from = dy + n * dim;
      A* to = dtable + index[n] * dim;
#pragma omp simd
      for (int64_t c = begin; c < end; ++c) to[c] += A(from[c]);
    }
  });
}

template <class T, class Time>
void timestep_embedding(const Time* t, T* y, int64_t count, int64_t dim,
                        const TimestepOptions& options) {
  const int64_t half = dim / 2;
  const double step = -std::log(options.max_period) / (double(half) - options.freq_shift);
  const int64_t sine = options.flip_sin_to_cos ? half : 0, cosine = half - sine;
  for (int64_t n = 0; n < count; ++n) {
    T* out = y + n * dim;
    for (int64_t i = 0; i < half; ++i) {
      const double angle = double(t[n]) * std::exp(step * double(i));
      out[sine + i] = T(acc_t<T>(std::sin(angle)));
      out[cosine + i] = T(acc_t<T>(std::cos(angle)));
    }
    if (dim % 2) out[dim - 1] = T(acc_t<T>(0));
  }
}

#define NOISETTE_INSTANTIATE_TIME(T, Time)                                     \
  template void timestep_embedding<T, Time>(const Time*, T*, int64_t, int64_t, \
                                            const TimestepOptions&);
#define NOISETTE_INSTANTIATE(T)                                                                \
  template void embedding_forward<T>(const T*, const int64_t*, T*, int64_t, int64_t, int64_t); \
  template void embedding_backward<T>(const T*, const int64_t*, acc_t<T>*, int64_t, int64_t,   \
                                      int64_t, bool);                                          \
  NOISETTE_INSTANTIATE_TIME(T, float)                                                          \
  NOISETTE_INSTANTIATE_TIME(T, double)                                                         \
  NOISETTE_INSTANTIATE_TIME(T, int64_t)                                                        \
  NOISETTE_INSTANTIATE_TIME(T, int32_t)
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
NOISETTE_INSTANTIATE(double)
#undef NOISETTE_INSTANTIATE
#undef NOISETTE_INSTANTIATE_TIME

}  // namespace noisette::cpu
