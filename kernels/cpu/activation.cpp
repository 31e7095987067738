// Pointwise activations. Contract: kernels/activation.h.
#include "kernels/activation.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace noisette::cpu {
namespace {

struct Silu {
  template <class A>
  static A value(A x) {
    return x * vsigmoid(x);
  }
  template <class A>
  static A slope(A x) {
    const A s = vsigmoid(x);
    return s + x * s * (A(1) - s);
  }
};

struct Gelu {
  template <class A>
  static A value(A x) {
    return x * vnormal_cdf(x);
  }
  template <class A>
  static A slope(A x) {
    return vnormal_cdf(x) + x * vnormal_pdf(x);
  }
};

struct GeluTanh {
  static constexpr double kScale = 0.79788456080286535588;  // sqrt(2 / pi)
  static constexpr double kCubic = 0.044715;
  // (1 + tanh(u)) / 2 = sigmoid(2 u): one exponential and no cancellation for u < 0.
  template <class A>
  static A gate(A x) {
    return vsigmoid(A(2 * kScale) * (x + A(kCubic) * x * x * x));
  }
  template <class A>
  static A value(A x) {
    return x * gate(x);
  }
  template <class A>
  static A slope(A x) {
    const A s = gate(x);
    return s + x * s * (A(1) - s) * A(2 * kScale) * (A(1) + A(3 * kCubic) * x * x);
  }
};

struct QuickGelu {
  template <class A>
  static A value(A x) {
    return x * vsigmoid(A(1.702) * x);
  }
  template <class A>
  static A slope(A x) {
    const A s = vsigmoid(A(1.702) * x);
    return s + A(1.702) * x * s * (A(1) - s);
  }
};

template <class F>
void with(Activation kind, const F& run) {
  switch (kind) {
    case Activation::silu:
      return run(Silu{});
    case Activation::gelu:
      return run(Gelu{});
    case Activation::gelu_tanh:
      return run(GeluTanh{});
    case Activation::quick_gelu:
      return run(QuickGelu{});
  }
}

}  // namespace

template <class T>
void activation_forward(const T* x, T* y, int64_t n, Activation kind) {
  using A = acc_t<T>;
  with(kind, [=](auto f) {
    parallel_ranges(n, [=](int64_t begin, int64_t end) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) store(y[i], f.value(A(x[i])));
    });
  });
}

template <class T>
void activation_backward(const T* x, const T* dy, T* dx, int64_t n, Activation kind) {
  using A = acc_t<T>;
  with(kind, [=](auto f) {
    parallel_ranges(n, [=](int64_t begin, int64_t end) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) store(dx[i], A(dy[i]) * f.slope(A(x[i])));
    });
  });
}

template <class T>
void geglu_forward(const T* x, T* y, int64_t rows, int64_t channels) {
  using A = acc_t<T>;
  parallel_items(rows, rows * channels, [=](int64_t r) {
    const T* value = x + r * 2 * channels;
    const T* gate = value + channels;
    T* out = y + r * channels;
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) store(out[c], A(value[c]) * Gelu::value(A(gate[c])));
  });
}

template <class T>
void geglu_backward(const T* x, const T* dy, T* dx, int64_t rows, int64_t channels) {
  using A = acc_t<T>;
  parallel_items(rows, rows * channels, [=](int64_t r) {
    const T* value = x + r * 2 * channels;
    const T* gate = value + channels;
    const T* grad = dy + r * channels;
    T* dvalue = dx + r * 2 * channels;
    T* dgate = dvalue + channels;
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      const A g = A(gate[c]), cdf = vnormal_cdf(g), dout = A(grad[c]);
      store(dvalue[c], dout * g * cdf);
      store(dgate[c], dout * A(value[c]) * (cdf + g * vnormal_pdf(g)));
    }
  });
}

#define NOISETTE_INSTANTIATE(T)                                                      \
  template void activation_forward<T>(const T*, T*, int64_t, Activation);            \
  template void activation_backward<T>(const T*, const T*, T*, int64_t, Activation); \
  template void geglu_forward<T>(const T*, T*, int64_t, int64_t);                    \
  template void geglu_backward<T>(const T*, const T*, T*, int64_t, int64_t);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
NOISETTE_INSTANTIATE(double)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
