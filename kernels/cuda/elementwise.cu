// Sums, products and per-sample broadcasts. Contract: kernels/elementwise.h. Reference:
// kernels/cpu/elementwise.cpp. Bound by memory: every element is read and written once.
#include "kernels/elementwise.h"

#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/map.cuh"
#include "kernels/cuda/sums.cuh"

namespace noisette::cuda {
namespace {

struct Scaled {
  float a;
  __device__ float operator()(float x) const { return a * x; }
};
struct ScaledSum {
  float a, b;
  __device__ float operator()(float x, float z) const { return a * x + b * z; }
};
struct Product {
  __device__ float operator()(float x, float z) const { return x * z; }
};

/// y[n,p,c] = x[n,p,c] + e[n,c]; an item is kWidth channels of one pixel.
template <int kWidth, class T>
__global__ void add_per_sample(const T* x, const T* e, T* y, int64_t items, int64_t per_sample,
                               int64_t channels) {
  for_each_item(items, [&](int64_t item) {
    const int64_t i = item * kWidth;
    const int64_t n = DivMod(i, per_sample).quotient, c = DivMod(i, channels).remainder;
    map_packs<kWidth>(ScaledSum{1, 1}, y + i, Pack<T, kWidth>::read(x + i),
                      Pack<T, kWidth>::read(e + n * channels + c));
  });
}

/// y[n,i] = s[n] * x[n,i]
template <class T>
struct ScaledSample {
  using Widest = T;
  const T* x;
  const float* s;
  T* y;

  bool aligned() const { return aligned16(x, y); }
  __device__ Scaled of_sample(int64_t n) const { return {s[n]}; }
  template <int kWidth>
  __device__ void run(const Scaled& f, int64_t i) const {
    map_packs<kWidth>(f, y + i, Pack<T, kWidth>::read(x + i));
  }
};

/// scale * *dy, whatever the place.
struct ScaledNumber {
  const float* dy;
  double scale;
  __device__ float operator()() const { return float(scale * double(*dy)); }
};

template <class T>
__global__ void to_signed(const uint8_t* image, T* y, int64_t n) {
  for_each_item(
      n, [&](int64_t i) { store(y + i, float(int(image[i]) * 2 - 255) * float(1.0 / 255)); });
}

struct Value {
  __device__ double operator()(float x) const { return double(x); }
};
struct WideProduct {
  __device__ double operator()(float x, float z) const { return double(x * z); }
};
struct StoreScaled {
  float* y;
  double scale;
  __device__ void operator()(int64_t row, double sum) const { y[row] = float(scale * sum); }
};
struct StoreFlag {
  float* flag;
  bool keep;
  __device__ void operator()(int64_t, double bad) const {
    *flag = bad == 0 && (!keep || *flag != 0) ? 1.f : 0.f;
  }
};
struct StoreTotal {
  double* total;
  bool accumulate;
  __device__ void operator()(int64_t, double sum) const {
    *total = sum + (accumulate ? *total : 0.0);
  }
};
template <class T>
struct StoreRounded {
  T* y;
  __device__ void operator()(int64_t i, float sum) const { store(y + i, sum); }
};

}  // namespace

template <class T>
void scaled_sum(const T* x, const T* z, T* y, double a, double b, int64_t n) {
  if (z == nullptr)
    map("scaled_sum", Scaled{float(a)}, n, y, x);
  else
    map("scaled_sum", ScaledSum{float(a), float(b)}, n, y, x, z);
}

template <class T>
void multiply(const T* x, const T* z, T* y, int64_t n) {
  map("multiply", Product{}, n, y, x, z);
}

template <class T>
void add_per_sample_forward(const T* x, const T* e, T* y, int64_t batch, int64_t pixels,
                            int64_t channels) {
  if (batch * pixels * channels == 0) return;
  const auto run = [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    const int64_t items = batch * pixels * channels / kWidth;
    launch("add_per_sample_forward", add_per_sample<kWidth, T>, blocks_for(items), kThreads, 0, x,
           e, y, items, pixels * channels, channels);
  };
  with_width<T>(channels, run, x, e, y);
}

template <class T>
void add_per_sample_backward(const T* dy, T* de, int64_t batch, int64_t pixels, int64_t channels) {
  sum_columns("add_per_sample_backward", dy, batch, pixels, channels, StoreRounded<T>{de});
}

template <class T>
void scale_per_sample_forward(const T* x, const acc_t<T>* s, T* y, int64_t batch,
                              int64_t per_item) {
  run_by_sample("scale_per_sample_forward", ScaledSample<T>{x, s, y}, batch, per_item);
}

template <class T>
void scale_per_sample_backward(const T* x, const T* dy, acc_t<T>* ds, int64_t batch,
                               int64_t per_item) {
  sum_rows("scale_per_sample_backward", batch, per_item, WideProduct{}, StoreScaled{ds, 1}, x, dy);
}

template <class T>
void sum_forward(const T* x, acc_t<T>* y, double scale, int64_t n) {
  sum_rows("sum_forward", 1, n, Value{}, StoreScaled{y, scale}, x);
}

template <class T>
void sum_backward(const acc_t<T>* dy, T* dx, double scale, int64_t n) {
  map("sum_backward", ScaledNumber{dy, scale}, n, dx);
}

template <class D, class S>
void cast(const S* from, D* to, int64_t n) {
  map("cast", Identity{}, n, to, from);
}

template <class T>
void image_to_signed(const uint8_t* image, T* y, int64_t n) {
  if (n > 0) launch("image_to_signed", to_signed<T>, blocks_for(n), kThreads, 0, image, y, n);
}

template <class T>
void finite_flag(const T* x, int64_t n, bool keep, float* flag) {
  sum_rows("finite_flag", 1, n, Excess{}, StoreFlag{flag, keep}, x);
}

template <class A>
void sum_of_squares(const A* x, int64_t n, bool accumulate, double* total) {
  sum_rows("sum_of_squares", 1, n, Square{}, StoreTotal{total, accumulate}, x);
}

#define NOISETTE_INSTANTIATE(T)                                                             \
  template void scaled_sum(const T*, const T*, T*, double, double, int64_t);                \
  template void multiply(const T*, const T*, T*, int64_t);                                  \
  template void add_per_sample_forward(const T*, const T*, T*, int64_t, int64_t, int64_t);  \
  template void add_per_sample_backward(const T*, T*, int64_t, int64_t, int64_t);           \
  template void scale_per_sample_forward<T>(const T*, const float*, T*, int64_t, int64_t);  \
  template void scale_per_sample_backward<T>(const T*, const T*, float*, int64_t, int64_t); \
  template void sum_forward<T>(const T*, float*, double, int64_t);                          \
  template void sum_backward<T>(const float*, T*, double, int64_t);                         \
  template void image_to_signed(const uint8_t*, T*, int64_t);                               \
  template void finite_flag(const T*, int64_t, bool, float*);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE
template void cast(const float*, bfloat16*, int64_t);
template void cast(const bfloat16*, float*, int64_t);
template void cast(const float*, float*, int64_t);
template void cast(const bfloat16*, bfloat16*, int64_t);
template void cast(const float*, double*, int64_t);
template void cast(const bfloat16*, double*, int64_t);
template void cast(const double*, float*, int64_t);
template void cast(const double*, bfloat16*, int64_t);
template void cast(const double*, double*, int64_t);
template void sum_of_squares(const float*, int64_t, bool, double*);

}  // namespace noisette::cuda
