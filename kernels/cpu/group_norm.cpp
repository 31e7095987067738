// Group normalisation. Contract: kernels/norm.h.
// A sample is cut into chunks of rows that fit the first cache levels. Statistics are taken per
// chunk in two passes over the cached chunk and combined (Chan et al. 1979), so memory is read once
// for them and once to normalise; the second read comes from L2 when a sample fits there, because
// one thread does all of a sample.
#include <cmath>
#include <vector>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"
#include "kernels/norm.h"

namespace noisette::cpu {
namespace {

constexpr int64_t kMinRows = 32;  // below this the per-chunk work on C channels would show

struct Chunks {
  int64_t rows;   // of a full chunk
  int64_t count;  // per sample
  int64_t pixels;

  explicit Chunks(const GroupNormDims& d)
      : rows(std::max(kMinRows, kChunk / std::max<int64_t>(d.channels, 1))),
        count(ceil_div(d.pixels, rows)),
        pixels(d.pixels) {}
  int64_t begin(int64_t k) const { return k * rows; }
  int64_t size(int64_t k) const { return std::min(rows, pixels - k * rows); }
};

/// Runs chunk(n, k) for all chunks, then finish(n), then chunk2(n, k): by sample when there are
/// enough samples for the threads (the sample stays in cache), else by chunk. Both orders compute
/// the same numbers.
template <class A, class B, class C>
void for_each_sample(const GroupNormDims& d, const Chunks& chunks, const A& first, const B& finish,
                     const C& second) {
  const int64_t threads = omp_get_max_threads();
  const int64_t work = d.batch * d.pixels * d.channels;
  if (d.batch % threads == 0 || d.batch >= 4 * threads || chunks.count == 1) {
    parallel_items(d.batch, work, [&](int64_t n) {
      for (int64_t k = 0; k < chunks.count; ++k) first(n, k);
      finish(n);
      for (int64_t k = 0; k < chunks.count; ++k) second(n, k);
    });
    return;
  }
  const int64_t all = d.batch * chunks.count;
  parallel_items(all, work, [&](int64_t i) { first(i / chunks.count, i % chunks.count); });
  for (int64_t n = 0; n < d.batch; ++n) finish(n);
  parallel_items(all, work, [&](int64_t i) { second(i / chunks.count, i % chunks.count); });
}

/// sum[c] = sum over rows of x[r, c]
template <class T>
void column_sums(const T* x, int64_t rows, int64_t channels, acc_t<T>* sum) {
  using A = acc_t<T>;
  std::fill_n(sum, channels, A(0));
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4, x += 4 * channels) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c)
      sum[c] += (A(x[c]) + A(x[channels + c])) + (A(x[2 * channels + c]) + A(x[3 * channels + c]));
  }
  for (; r < rows; ++r, x += channels) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) sum[c] += A(x[c]);
  }
}

/// sum[c] = sum over rows of (x[r, c] - center[c])^2
template <class T>
void column_squares(const T* x, const acc_t<T>* center, int64_t rows, int64_t channels,
                    acc_t<T>* sum) {
  using A = acc_t<T>;
  std::fill_n(sum, channels, A(0));
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4, x += 4 * channels) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      const A m = center[c];
      const A a = A(x[c]) - m, b = A(x[channels + c]) - m;
      const A e = A(x[2 * channels + c]) - m, f = A(x[3 * channels + c]) - m;
      sum[c] += (a * a + b * b) + (e * e + f * f);
    }
  }
  for (; r < rows; ++r, x += channels) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      const A a = A(x[c]) - center[c];
      sum[c] += a * a;
    }
  }
}

/// Mean and sum of squared distances from it, of one group in one chunk.
struct Moments {
  double mean = 0;
  double squares = 0;
};

template <class T>
void chunk_moments(const T* x, const T* shift, int64_t rows, const GroupNormDims& d,
                   acc_t<T>* scratch, Moments* out) {
  using A = acc_t<T>;
  const int64_t width = d.channels / d.groups;
  A* sum = scratch;
  A* center = scratch + d.channels;
  column_sums(x, rows, d.channels, sum);
  for (int64_t g = 0; g < d.groups; ++g) {
    double total = 0;
    for (int64_t c = g * width; c < (g + 1) * width; ++c)
      total += double(sum[c]) + (shift ? double(rows) * double(A(shift[c])) : 0.0);
    const A mean = A(total / double(rows * width));
    out[g].mean = double(mean);
    for (int64_t c = g * width; c < (g + 1) * width; ++c)
      center[c] = shift ? mean - A(shift[c]) : mean;
  }
  // The mean was rounded to A: squares around a point m0 are squares around the mean plus n (m0 -
  // mean)^2, a term of second order in the rounding.
  column_squares(x, center, rows, d.channels, sum);
  for (int64_t g = 0; g < d.groups; ++g) {
    double total = 0;
    for (int64_t c = g * width; c < (g + 1) * width; ++c) total += double(sum[c]);
    out[g].squares = total;
  }
}

/// The per-channel constants of one sample: u = (x - center) * rstd * weight + bias.
template <class A>
struct Channels {
  A* center;
  A* rstd;
  A* weight;
  A* bias;
};

template <class T>
void fill_channels(const T* shift, const acc_t<T>* weight, const acc_t<T>* bias,
                   const acc_t<T>* mean, const acc_t<T>* rstd, const GroupNormDims& d,
                   const Channels<acc_t<T>>& out) {
  using A = acc_t<T>;
  const int64_t width = d.channels / d.groups;
  for (int64_t c = 0; c < d.channels; ++c) {
    out.center[c] = shift ? mean[c / width] - A(shift[c]) : mean[c / width];
    out.rstd[c] = rstd[c / width];
    out.weight[c] = weight[c];
    out.bias[c] = bias[c];
  }
}

template <bool kSilu, class T>
void normalise(const T* x, T* y, int64_t rows, int64_t channels, const acc_t<T>* center,
               const acc_t<T>* scale, const acc_t<T>* bias) {
  using A = acc_t<T>;
  for (int64_t r = 0; r < rows; ++r, x += channels, y += channels) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      A u = (A(x[c]) - center[c]) * scale[c] + bias[c];
      if constexpr (kSilu) u *= vsigmoid(u);
      store(y[c], u);
    }
  }
}

/// d(loss)/du from dy, given u.
template <bool kSilu, class A>
inline A grad_of_u(A dy, A u) {
  if constexpr (!kSilu) return dy;
  const A s = vsigmoid(u);
  return dy * (s + u * s * (A(1) - s));
}

/// Column sums of one chunk: du, du * xhat and xhat, each [C], one after the other in `sums`.
template <bool kSilu, class T>
void backward_sums(const T* x, const T* dy, int64_t rows, int64_t channels,
                   const Channels<acc_t<T>>& k, acc_t<T>* sums) {
  using A = acc_t<T>;
  std::fill_n(sums, 3 * channels, A(0));
  A* sum_du = sums;
  A* sum_duxhat = sums + channels;
  A* sum_xhat = sums + 2 * channels;
  for (int64_t r = 0; r < rows; ++r, x += channels, dy += channels) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      const A xhat = (A(x[c]) - k.center[c]) * k.rstd[c];
      const A du = grad_of_u<kSilu>(A(dy[c]), xhat * k.weight[c] + k.bias[c]);
      sum_du[c] += du;
      sum_duxhat[c] += du * xhat;
      sum_xhat[c] += xhat;
    }
  }
}

/// dx = rstd * (weight * du - s1 - xhat * s2) [+ add]
template <bool kSilu, bool kAdd, class T>
void backward_dx(const T* x, const T* dy, const T* add, T* dx, int64_t rows, int64_t channels,
                 const Channels<acc_t<T>>& k, const acc_t<T>* s1, const acc_t<T>* s2) {
  using A = acc_t<T>;
  for (int64_t r = 0; r < rows; ++r, x += channels, dy += channels, dx += channels) {
    if constexpr (kAdd) add += r > 0 ? channels : 0;
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      const A xhat = (A(x[c]) - k.center[c]) * k.rstd[c];
      const A du = grad_of_u<kSilu>(A(dy[c]), xhat * k.weight[c] + k.bias[c]);
      const A value = k.rstd[c] * (k.weight[c] * du - s1[c] - xhat * s2[c]);
      store(dx[c], kAdd ? value + A(add[c]) : value);
    }
  }
}

template <bool kSilu, class T>
void backward(const T* x, const T* shift, const acc_t<T>* weight, const acc_t<T>* bias,
              const acc_t<T>* mean, const acc_t<T>* rstd, const T* dy, const T* add, T* dx,
              acc_t<T>* dweight, acc_t<T>* dbias, T* dshift, bool accumulate,
              const GroupNormDims& d) {
  using A = acc_t<T>;
  const Chunks chunks(d);
  const int64_t channels = d.channels, width = channels / d.groups;
  const int64_t per_sample = d.pixels * channels;
  // Per sample: center, rstd, weight, bias, s1, s2; per sample and chunk: three column sums.
  std::vector<A> table(size_t(d.batch * 6 * channels));
  std::vector<A> chunk_sums(size_t(d.batch * chunks.count * 3 * channels));
  std::vector<double> sums(size_t(d.batch * 3 * channels));
  auto table_of = [&](int64_t n) { return table.data() + n * 6 * channels; };
  auto channels_of = [&](int64_t n) {
    A* t = table_of(n);
    return Channels<A>{t, t + channels, t + 2 * channels, t + 3 * channels};
  };

  auto first = [&](int64_t n, int64_t k) {
    const Channels<A> constants = channels_of(n);
    const int64_t at = n * per_sample + chunks.begin(k) * channels;
    backward_sums<kSilu>(x + at, dy + at, chunks.size(k), channels, constants,
                         chunk_sums.data() + (n * chunks.count + k) * 3 * channels);
  };
  auto finish = [&](int64_t n) {
    double* total = sums.data() + n * 3 * channels;
    for (int64_t k = 0; k < chunks.count; ++k) {
      const A* part = chunk_sums.data() + (n * chunks.count + k) * 3 * channels;
      for (int64_t i = 0; i < 3 * channels; ++i) total[i] += double(part[i]);
    }
    const double* du = total;
    const double* duxhat = total + channels;
    const double* xhat = total + 2 * channels;
    A* s1 = table_of(n) + 4 * channels;
    A* s2 = s1 + channels;
    const double count = double(d.pixels * width);
    for (int64_t g = 0; g < d.groups; ++g) {
      double a = 0, b = 0;
      for (int64_t c = g * width; c < (g + 1) * width; ++c) {
        a += double(weight[c]) * du[c];
        b += double(weight[c]) * duxhat[c];
      }
      a /= count;
      b /= count;
      for (int64_t c = g * width; c < (g + 1) * width; ++c) {
        s1[c] = A(a);
        s2[c] = A(b);
        if (!dshift) continue;
        dshift[n * channels + c] =
            T(A(double(rstd[n * d.groups + g]) *
                (double(weight[c]) * du[c] - double(d.pixels) * a - xhat[c] * b)));
      }
    }
  };
  auto second = [&](int64_t n, int64_t k) {
    if (!dx) return;
    const A* t = table_of(n);
    const int64_t at = n * per_sample + chunks.begin(k) * channels;
    auto run = [&](auto with_add) {
      backward_dx<kSilu, with_add()>(x + at, dy + at, with_add() ? add + at : nullptr, dx + at,
                                     chunks.size(k), channels, channels_of(n), t + 4 * channels,
                                     t + 5 * channels);
    };
    if (add)
      run(std::true_type{});
    else
      run(std::false_type{});
  };
  for (int64_t n = 0; n < d.batch; ++n)
    fill_channels(shift ? shift + n * channels : nullptr, weight, bias, mean + n * d.groups,
                  rstd + n * d.groups, d, channels_of(n));
  for_each_sample(d, chunks, first, finish, second);

  auto reduce = [&](acc_t<T>* out, int64_t offset) {
    if (!out) return;
    for (int64_t c = 0; c < channels; ++c) {
      double total = accumulate ? double(out[c]) : 0.0;
      for (int64_t n = 0; n < d.batch; ++n) total += sums[size_t((n * 3 + offset) * channels + c)];
      out[c] = A(total);
    }
  };
  reduce(dbias, 0);
  reduce(dweight, 1);
}

}  // namespace

template <class T>
void group_norm_forward(const T* x, const T* shift, const acc_t<T>* weight, const acc_t<T>* bias,
                        T* y, acc_t<T>* mean, acc_t<T>* rstd, const GroupNormDims& d) {
  using A = acc_t<T>;
  const Chunks chunks(d);
  const int64_t channels = d.channels, width = channels / std::max<int64_t>(d.groups, 1);
  const int64_t per_sample = d.pixels * channels;
  std::vector<A> table(size_t(d.batch * 4 * channels));
  std::vector<Moments> moments(size_t(d.batch * chunks.count * d.groups));
  auto channels_of = [&](int64_t n) {
    A* t = table.data() + n * 4 * channels;
    return Channels<A>{t, t + channels, t + 2 * channels, t + 3 * channels};
  };
  auto shift_of = [&](int64_t n) { return shift ? shift + n * channels : nullptr; };

  auto first = [&](int64_t n, int64_t k) {
    thread_local std::vector<A> scratch;
    if (int64_t(scratch.size()) < 2 * channels) scratch.resize(size_t(2 * channels));
    chunk_moments(x + n * per_sample + chunks.begin(k) * channels, shift_of(n), chunks.size(k), d,
                  scratch.data(), moments.data() + (n * chunks.count + k) * d.groups);
  };
  auto finish = [&](int64_t n) {
    for (int64_t g = 0; g < d.groups; ++g) {
      Moments all;
      double count = 0;
      for (int64_t k = 0; k < chunks.count; ++k) {
        const Moments& m = moments[size_t((n * chunks.count + k) * d.groups + g)];
        const double add = double(chunks.size(k) * width), delta = m.mean - all.mean;
        all.squares += m.squares + delta * delta * count * add / (count + add);
        count += add;
        all.mean += delta * add / count;
      }
      mean[n * d.groups + g] = A(all.mean);
      rstd[n * d.groups + g] = A(1.0 / std::sqrt(all.squares / std::max(count, 1.0) + d.eps));
    }
    const Channels<A> t = channels_of(n);
    fill_channels(shift_of(n), weight, bias, mean + n * d.groups, rstd + n * d.groups, d, t);
    for (int64_t c = 0; c < channels; ++c) t.weight[c] *= t.rstd[c];
  };
  auto second = [&](int64_t n, int64_t k) {
    const Channels<A> t = channels_of(n);
    const int64_t at = n * per_sample + chunks.begin(k) * channels;
    if (d.silu)
      normalise<true>(x + at, y + at, chunks.size(k), channels, t.center, t.weight, t.bias);
    else
      normalise<false>(x + at, y + at, chunks.size(k), channels, t.center, t.weight, t.bias);
  };
  for_each_sample(d, chunks, first, finish, second);
}

template <class T>
void group_norm_backward(const T* x, const T* shift, const acc_t<T>* weight, const acc_t<T>* bias,
                         const acc_t<T>* mean, const acc_t<T>* rstd, const T* dy, const T* add,
                         T* dx, acc_t<T>* dweight, acc_t<T>* dbias, T* dshift, bool accumulate,
                         const GroupNormDims& d) {
  (d.silu ? backward<true, T> : backward<false, T>)(x, shift, weight, bias, mean, rstd, dy, add, dx,
                                                    dweight, dbias, dshift, accumulate, d);
}

#define NOISETTE_INSTANTIATE(T)                                                                  \
  template void group_norm_forward<T>(const T*, const T*, const acc_t<T>*, const acc_t<T>*, T*,  \
                                      acc_t<T>*, acc_t<T>*, const GroupNormDims&);               \
  template void group_norm_backward<T>(const T*, const T*, const acc_t<T>*, const acc_t<T>*,     \
                                       const acc_t<T>*, const acc_t<T>*, const T*, const T*, T*, \
                                       acc_t<T>*, acc_t<T>*, T*, bool, const GroupNormDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
NOISETTE_INSTANTIATE(double)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
