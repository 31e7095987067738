// Losses by sample. Contract: kernels/loss.h.
#include "kernels/loss.h"

#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace noisette::cpu {
namespace {

// Loops with reductions are functions of their own: inside a closure the compiler gives up on
// vectorising them.

template <class T>
double squared_distance(const T* x, const acc_t<T>* target, int64_t n) {
  using A = acc_t<T>;
  A sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += (A(x[i]) - target[i]) * (A(x[i]) - target[i]);
  return double(sum);
}

template <class A>
struct LogSum {
  A largest, sum;  // log(sum over c of exp(x[c])) = largest + log(sum)
};

template <class T>
LogSum<acc_t<T>> log_sum(const T* x, int64_t n) {
  using A = acc_t<T>;
  A largest = -std::numeric_limits<A>::infinity(), sum = 0;
#pragma omp simd reduction(max : largest)
  for (int64_t c = 0; c < n; ++c) largest = A(x[c]) > largest ? A(x[c]) : largest;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < n; ++c) sum += vexp(A(x[c]) - largest);
  return {largest, sum};
}

}  // namespace

template <class T>
void weighted_mse_forward(const T* x, const acc_t<T>* target, const acc_t<T>* weight,
                          acc_t<T>* loss, int64_t batch, int64_t per_item) {
  using A = acc_t<T>;
  parallel_items(batch, batch * per_item, [=](int64_t n) {
    const T* got = x + n * per_item;
    const A* want = target + n * per_item;
    double total = 0;
    for (int64_t begin = 0; begin < per_item; begin += kChunk)
      total += squared_distance(got + begin, want + begin, std::min(kChunk, per_item - begin));
    loss[n] = A(double(weight[n]) * total / double(per_item));
  });
}

template <class T>
void weighted_mse_backward(const T* x, const acc_t<T>* target, const acc_t<T>* weight,
                           const acc_t<T>* dloss, T* dx, int64_t batch, int64_t per_item) {
  using A = acc_t<T>;
  parallel_items(batch, batch * per_item, [=](int64_t n) {
    const T* got = x + n * per_item;
    const A* want = target + n * per_item;
    T* out = dx + n * per_item;
    const A factor = A(double(dloss[n]) * 2 * double(weight[n]) / double(per_item));
#pragma omp simd
    for (int64_t i = 0; i < per_item; ++i) store(out[i], factor * (A(got[i]) - want[i]));
  });
}

template <class T, class Label>
void cross_entropy_forward(const T* x, const Label* label, acc_t<T>* loss, int64_t batch,
                           int64_t classes) {
  using A = acc_t<T>;
  parallel_items(batch, batch * classes, [=](int64_t n) {
    const T* row = x + n * classes;
    const auto s = log_sum(row, classes);
    const int64_t k = int64_t(label[n]);
    loss[n] = k >= 0 && k < classes ? (s.largest - A(row[k])) + std::log(s.sum)
                                    : std::numeric_limits<A>::quiet_NaN();
  });
}

template <class T, class Label>
void cross_entropy_backward(const T* x, const Label* label, const acc_t<T>* dloss, T* dx,
                            int64_t batch, int64_t classes) {
  using A = acc_t<T>;
  parallel_items(batch, batch * classes, [=](int64_t n) {
    const T* row = x + n * classes;
    T* out = dx + n * classes;
    const auto s = log_sum(row, classes);
    const A factor = dloss[n] / s.sum;
#pragma omp simd
    for (int64_t c = 0; c < classes; ++c) store(out[c], factor * vexp(A(row[c]) - s.largest));
    const int64_t k = int64_t(label[n]);
    if (k >= 0 && k < classes) out[k] = T(dloss[n] * (vexp(A(row[k]) - s.largest) / s.sum - A(1)));
  });
}

#define NOISETTE_INSTANTIATE_LABEL(T, L)                                                       \
  template void cross_entropy_forward<T, L>(const T*, const L*, acc_t<T>*, int64_t, int64_t);  \
  template void cross_entropy_backward<T, L>(const T*, const L*, const acc_t<T>*, T*, int64_t, \
                                             int64_t);
#define NOISETTE_INSTANTIATE(T)                                                                \
  template void weighted_mse_forward<T>(const T*, const acc_t<T>*, const acc_t<T>*, acc_t<T>*, \
                                        int64_t, int64_t);                                     \
  template void weighted_mse_backward<T>(const T*, const acc_t<T>*, const acc_t<T>*,           \
                                         const acc_t<T>*, T*, int64_t, int64_t);               \
  NOISETTE_INSTANTIATE_LABEL(T, int64_t)                                                       \
  NOISETTE_INSTANTIATE_LABEL(T, int32_t)
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
NOISETTE_INSTANTIATE(double)
#undef NOISETTE_INSTANTIATE
#undef NOISETTE_INSTANTIATE_LABEL

}  // namespace noisette::cpu
