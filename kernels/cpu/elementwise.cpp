// Sums, products and per-sample broadcasts. Contract: kernels/elementwise.h.
#include "kernels/elementwise.h"

#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace noisette::cpu {
namespace {

// Reductions over one chunk. Functions of their own: inside a closure the compiler gives up on
// vectorising them.

template <class T>
double sum_of(const T* x, int64_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += double(acc_t<T>(x[i]));
  return sum;
}

template <class T>
double dot_of(const T* x, const T* z, int64_t n) {
  using A = acc_t<T>;
  A sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += A(x[i]) * A(z[i]);
  return double(sum);
}

/// 0 when every element is finite, NaN otherwise: x - x is 0 or NaN.
template <class T>
double excess_of(const T* x, int64_t n) {
  using A = acc_t<T>;
  A sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += A(x[i]) - A(x[i]);
  return double(sum);
}

template <class A>
double squares_of(const A* x, int64_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += double(x[i]) * double(x[i]);
  return sum;
}

}  // namespace

template <class T>
void scaled_sum(const T* x, const T* z, T* y, double a, double b, int64_t n) {
  using A = acc_t<T>;
  const A fx = A(a), fz = A(b);
  parallel_ranges(n, [=](int64_t begin, int64_t end) {
    if (z == nullptr) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) store(y[i], fx * A(x[i]));
    } else {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) store(y[i], fx * A(x[i]) + fz * A(z[i]));
    }
  });
}

template <class T>
void multiply(const T* x, const T* z, T* y, int64_t n) {
  using A = acc_t<T>;
  parallel_ranges(n, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) store(y[i], A(x[i]) * A(z[i]));
  });
}

template <class T>
void add_per_sample_forward(const T* x, const T* e, T* y, int64_t batch, int64_t pixels,
                            int64_t channels) {
  using A = acc_t<T>;
  parallel_items(batch * pixels, batch * pixels * channels, [=](int64_t r) {
    const T* in = x + r * channels;
    const T* add = e + r / pixels * channels;
    T* out = y + r * channels;
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) store(out[c], A(in[c]) + A(add[c]));
  });
}

template <class T>
void add_per_sample_backward(const T* dy, T* de, int64_t batch, int64_t pixels, int64_t channels) {
  using A = acc_t<T>;
  constexpr int64_t kRows = 128;  // a partial sum in A stays short; the total is taken in double
  parallel_items(batch, batch * pixels * channels, [=](int64_t n) {
    std::vector<double> total(size_t(channels), 0.0);
    std::vector<A> partial(static_cast<size_t>(channels));
    for (int64_t from = 0; from < pixels; from += kRows) {
      std::fill(partial.begin(), partial.end(), A(0));
      A* sum = partial.data();
      for (int64_t p = from; p < std::min(pixels, from + kRows); ++p) {
        const T* row = dy + (n * pixels + p) * channels;
#pragma omp simd
        for (int64_t c = 0; c < channels; ++c) sum[c] += A(row[c]);
      }
      for (int64_t c = 0; c < channels; ++c) total[size_t(c)] += double(sum[c]);
    }
    for (int64_t c = 0; c < channels; ++c) de[n * channels + c] = T(A(total[size_t(c)]));
  });
}

template <class T>
void scale_per_sample_forward(const T* x, const acc_t<T>* s, T* y, int64_t batch,
                              int64_t per_item) {
  using A = acc_t<T>;
  const int64_t chunks = ceil_div(per_item, kChunk);
  parallel_items(batch * chunks, batch * per_item, [=](int64_t i) {
    const int64_t n = i / chunks, begin = i % chunks * kChunk;
    const int64_t end = std::min(per_item, begin + kChunk);
    const T* in = x + n * per_item;
    T* out = y + n * per_item;
    const A factor = s[n];
#pragma omp simd
    for (int64_t k = begin; k < end; ++k) store(out[k], factor * A(in[k]));
  });
}

template <class T>
void scale_per_sample_backward(const T* x, const T* dy, acc_t<T>* ds, int64_t batch,
                               int64_t per_item) {
  using A = acc_t<T>;
  for (int64_t n = 0; n < batch; ++n) {
    const T* in = x + n * per_item;
    const T* grad = dy + n * per_item;
    ds[n] = A(parallel_sum(per_item, [=](int64_t begin, int64_t end) {
      return dot_of(in + begin, grad + begin, end - begin);
    }));
  }
}

template <class T>
void sum_forward(const T* x, acc_t<T>* y, double scale, int64_t n) {
  using A = acc_t<T>;
  *y = A(scale * parallel_sum(n, [=](int64_t begin, int64_t end) {
           return sum_of(x + begin, end - begin);
         }));
}

template <class T>
void sum_backward(const acc_t<T>* dy, T* dx, double scale, int64_t n) {
  const T value = T(acc_t<T>(scale * double(*dy)));
  parallel_ranges(n, [=](int64_t begin, int64_t end) { std::fill(dx + begin, dx + end, value); });
}

template <class D, class S>
void cast(const S* from, D* to, int64_t n) {
  parallel_ranges(n, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) store(to[i], acc_t<D>(acc_t<S>(from[i])));
  });
}

template <class T>
void image_to_signed(const uint8_t* image, T* y, int64_t n) {
  using A = acc_t<T>;
  parallel_ranges(n, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) store(y[i], A(int(image[i]) * 2 - 255) * A(1.0 / 255));
  });
}

template <class T>
void finite_flag(const T* x, int64_t n, bool keep, float* flag) {
  const double bad = parallel_sum(
      n, [=](int64_t begin, int64_t end) { return excess_of(x + begin, end - begin); });
  *flag = (bad == 0 && (!keep || *flag != 0)) ? 1.0f : 0.0f;
}

template <class A>
void sum_of_squares(const A* x, int64_t n, bool accumulate, double* total) {
  const double sum = parallel_sum(
      n, [=](int64_t begin, int64_t end) { return squares_of(x + begin, end - begin); });
  *total = sum + (accumulate ? *total : 0.0);
}

#define NOISETTE_INSTANTIATE(T)                                                                \
  template void scaled_sum<T>(const T*, const T*, T*, double, double, int64_t);                \
  template void multiply<T>(const T*, const T*, T*, int64_t);                                  \
  template void add_per_sample_forward<T>(const T*, const T*, T*, int64_t, int64_t, int64_t);  \
  template void add_per_sample_backward<T>(const T*, T*, int64_t, int64_t, int64_t);           \
  template void scale_per_sample_forward<T>(const T*, const acc_t<T>*, T*, int64_t, int64_t);  \
  template void scale_per_sample_backward<T>(const T*, const T*, acc_t<T>*, int64_t, int64_t); \
  template void sum_forward<T>(const T*, acc_t<T>*, double, int64_t);                          \
  template void sum_backward<T>(const acc_t<T>*, T*, double, int64_t);                         \
  template void cast<float, T>(const T*, float*, int64_t);                                     \
  template void cast<bfloat16, T>(const T*, bfloat16*, int64_t);                               \
  template void cast<double, T>(const T*, double*, int64_t);                                   \
  template void image_to_signed<T>(const uint8_t*, T*, int64_t);                               \
  template void finite_flag<T>(const T*, int64_t, bool, float*);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
NOISETTE_INSTANTIATE(double)
#undef NOISETTE_INSTANTIATE
template void sum_of_squares<float>(const float*, int64_t, bool, double*);
template void sum_of_squares<double>(const double*, int64_t, bool, double*);

}  // namespace noisette::cpu
