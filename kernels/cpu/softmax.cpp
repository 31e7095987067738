// Softmax over the last axis. Contract: kernels/softmax.h. A row stays in L1 between its passes;
// the exponentials are computed twice rather than rounded to T in between.
#include "kernels/softmax.h"

#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace noisette::cpu {

namespace {

// One row each. Functions of their own: inside a closure the compiler gives up on vectorising the
// reductions.

template <class T>
void forward_row(const T* x, T* y, int64_t cols) {
  using A = acc_t<T>;
  A largest = -std::numeric_limits<A>::infinity(), sum = 0;
#pragma omp simd reduction(max : largest)
  for (int64_t c = 0; c < cols; ++c) largest = A(x[c]) > largest ? A(x[c]) : largest;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < cols; ++c) sum += vexp(A(x[c]) - largest);
  const A factor = A(1) / sum;
#pragma omp simd
  for (int64_t c = 0; c < cols; ++c) store(y[c], vexp(A(x[c]) - largest) * factor);
}

template <class T>
void backward_row(const T* y, const T* dy, T* dx, int64_t cols) {
  using A = acc_t<T>;
  A sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < cols; ++c) sum += A(y[c]) * A(dy[c]);
#pragma omp simd
  for (int64_t c = 0; c < cols; ++c) store(dx[c], A(y[c]) * (A(dy[c]) - sum));
}

}  // namespace

template <class T>
void softmax_forward(const T* x, T* y, int64_t rows, int64_t cols) {
  parallel_items(rows, rows * cols,
                 [=](int64_t r) { forward_row(x + r * cols, y + r * cols, cols); });
}

template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, int64_t rows, int64_t cols) {
  parallel_items(rows, rows * cols, [=](int64_t r) {
    backward_row(y + r * cols, dy + r * cols, dx + r * cols, cols);
  });
}

#define NOISETTE_INSTANTIATE(T)                                     \
  template void softmax_forward<T>(const T*, T*, int64_t, int64_t); \
  template void softmax_backward<T>(const T*, const T*, T*, int64_t, int64_t);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
NOISETTE_INSTANTIATE(double)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
