#include "kernels/accumulate.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/vector_math.h"

namespace noisette::cpu {

template <class D, class S>
void accumulate(D* dst, const S* src, int64_t n, bool accumulate) {
  using A = acc_t<D>;
  if (accumulate) {
#pragma omp parallel for simd schedule(static) if (n > 16384)
    for (int64_t i = 0; i < n; ++i) store(dst[i], A(dst[i]) + A(src[i]));
  } else {
#pragma omp parallel for simd schedule(static) if (n > 16384)
    for (int64_t i = 0; i < n; ++i) store(dst[i], A(src[i]));
  }
}

template <class T>
void add_into(const T* a, const T* b, T* sum, int64_t n) {
  using A = acc_t<T>;
#pragma omp parallel for simd schedule(static) if (n > 16384)
  for (int64_t i = 0; i < n; ++i) store(sum[i], A(a[i]) + A(b[i]));
}

template <class T>
bool all_finite(const T* x, int64_t n) {
  int bad = 0;
#pragma omp parallel for schedule(static) reduction(| : bad) if (n > 16384)
  for (int64_t i = 0; i < n; ++i) bad |= !std::isfinite(acc_t<T>(x[i]));
  return bad == 0;
}

template <class T>
void fill(T* x, T value, int64_t n) {
  std::fill_n(x, n, value);
}

#define NOISETTE_INSTANTIATE(T)                            \
  template void add_into(const T*, const T*, T*, int64_t); \
  template bool all_finite(const T*, int64_t);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
NOISETTE_INSTANTIATE(double)
#undef NOISETTE_INSTANTIATE
template void accumulate(float*, const float*, int64_t, bool);
template void accumulate(float*, const bfloat16*, int64_t, bool);
template void accumulate(bfloat16*, const float*, int64_t, bool);
template void accumulate(bfloat16*, const bfloat16*, int64_t, bool);
template void accumulate(double*, const double*, int64_t, bool);
template void fill(float*, float, int64_t);
template void fill(bfloat16*, bfloat16, int64_t);
template void fill(double*, double, int64_t);
template void fill(int32_t*, int32_t, int64_t);
template void fill(int64_t*, int64_t, int64_t);
template void fill(uint8_t*, uint8_t, int64_t);

}  // namespace noisette::cpu
