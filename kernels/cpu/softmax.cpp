// Softmax over the last axis. Contract: kernels/softmax.h. A row stays in L1 between its passes; the exponentials are
// computed twice rather than rounded to T in between.
#include "kernels/softmax.h"

#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace noisette::cpu {

template <class T>
void softmax_forward(const T* x, T* y, int64_t rows, int64_t cols) {
  using A = acc_t<T>;
  parallel_items(rows, rows * cols, [=](int64_t r) {
    const T* in = x + r * cols;
    T* out = y + r * cols;
    A largest = -std::numeric_limits<A>::infinity(), sum = 0;
#pragma omp simd reduction(max : largest)
    for (int64_t c = 0; c < cols; ++c) largest = A(in[c]) > largest ? A(in[c]) : largest;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < cols; ++c) sum += vexp(A(in[c]) - largest);
    const A factor = A(1) / sum;
#pragma omp simd
    for (int64_t c = 0; c < cols; ++c) store(out[c], vexp(A(in[c]) - largest) * factor);
  });
}

template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, int64_t rows, int64_t cols) {
  using A = acc_t<T>;
  parallel_items(rows, rows * cols, [=](int64_t r) {
    const T* out = y + r * cols;
    const T* grad = dy + r * cols;
    T* in = dx + r * cols;
    A sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < cols; ++c) sum += A(out[c]) * A(grad[c]);
#pragma omp simd
    for (int64_t c = 0; c < cols; ++c) store(in[c], A(out[c]) * (A(grad[c]) - sum));
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
