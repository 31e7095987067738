// Group normalisation. Contract: kernels/norm.h.
// A sample is cut into chunks of rows that fit the first cache levels. Statistics are taken per
// chunk in two passes over the cached chunk and combined (Chan et al. 1979), so memory is read once
// for them and once to normalise; the second read comes from L2 when a sample fits there, because
// one thread does all of a sample.
#include <cmath>
#include <vector>

#include "kernels/cpu/lanes.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/scratch.h"
#include "kernels/norm.h"

namespace noisette::cpu {
namespace {

using lanes::read;
using lanes::write;

/// Up to here a sample's du stays in L2 beside x and dy, which is cheaper than a second sigmoid.
constexpr int64_t kKeptBytes = int64_t(1) << 19;
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

/// Runs first(n, k, memory) for all chunks, then finish(n), then second(n, k, memory): by sample
/// when there are enough samples for the threads (the sample stays in cache), else by chunk. Both
/// orders compute the same numbers. `memory` holds `count` values of V that belong to the sample.
template <class V, class A, class B, class C>
void for_each_sample(const GroupNormDims& d, const Chunks& chunks, int64_t count, const A& first,
                     const B& finish, const C& second) {
  const int64_t threads = omp_get_max_threads();
  const int64_t work = d.batch * d.pixels * d.channels;
  if (d.batch % threads == 0 || d.batch >= 4 * threads || chunks.count == 1) {
    parallel_items(d.batch, work, [&](int64_t n) {
      Scratch scratch;
      V* memory = scratch.take<V>(count);
      for (int64_t k = 0; k < chunks.count; ++k) first(n, k, memory);
      finish(n);
      for (int64_t k = 0; k < chunks.count; ++k) second(n, k, memory);
    });
    return;
  }
  Scratch scratch;
  V* memory = scratch.take<V>(d.batch * count);
  const int64_t all = d.batch * chunks.count;
  parallel_items(all, work, [&](int64_t i) {
    first(i / chunks.count, i % chunks.count, memory + i / chunks.count * count);
  });
  for (int64_t n = 0; n < d.batch; ++n) finish(n);
  parallel_items(all, work, [&](int64_t i) {
    second(i / chunks.count, i % chunks.count, memory + i / chunks.count * count);
  });
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

/// Calls f(rows, at, c, n) for blocks of `rows` rows (4, then single ones) by n channels (a vector,
/// then what is left) that cover a chunk: the constants of a channel are read once per block.
/// Inlined, so that what f captures stays in registers: stores of vectors may alias anything.
template <class T, class F>
[[gnu::always_inline]] inline void for_blocks(int64_t rows, int64_t channels, const F& f) {
  constexpr int64_t width = lanes::kWidth<T>;
  const auto across = [&](int64_t r, auto count) {
    int64_t c = 0;
    for (; c + width <= channels; c += width) f(count, r * channels + c, c, width);
    if (c < channels) f(count, r * channels + c, c, channels - c);
  };
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) across(r, std::integral_constant<int, 4>{});
  for (; r < rows; ++r) across(r, std::integral_constant<int, 1>{});
}

template <bool kSilu, class T>
void normalise(const T* x, T* y, int64_t rows, int64_t channels, const acc_t<T>* center,
               const acc_t<T>* scale, const acc_t<T>* bias) {
  for_blocks<T>(rows, channels, [=](auto count, int64_t at, int64_t c, int64_t n) {
    const auto m = read(center + c, n), s = read(scale + c, n), b = read(bias + c, n);
    for (int r = 0; r < count; ++r) {
      auto u = (read(x + at + r * channels, n) - m) * s + b;
      if constexpr (kSilu) u *= lanes::sigmoid<T>(u);
      write(y + at + r * channels, u, n);
    }
  });
}

/// d(loss)/du from dy, given u.
template <bool kSilu, class T, class V>
inline V grad_of_u(V dy, V u) {
  if constexpr (!kSilu) return dy;
  const V s = lanes::sigmoid_for_sums<T>(u), y = u * s;
  return dy * (s + y - y * s);
}

/// Column sums of one chunk: du, du * xhat and xhat, each [C], one after the other in `sums`.
/// With kKeep, du goes to `kept` as well.
template <bool kSilu, bool kKeep, class T>
void backward_sums(const T* x, const T* dy, acc_t<T>* kept, int64_t rows, int64_t channels,
                   const Channels<acc_t<T>>& k, acc_t<T>* sums) {
  using A = acc_t<T>;
  std::fill_n(sums, 3 * channels, A(0));
  for_blocks<T>(rows, channels, [=](auto count, int64_t at, int64_t c, int64_t n) {
    A *du_at = sums + c, *duxhat_at = du_at + channels, *xhat_at = duxhat_at + channels;
    const auto center = read(k.center + c, n), rstd = read(k.rstd + c, n);
    const auto weight = read(k.weight + c, n), bias = read(k.bias + c, n);
    auto sum_du = read(du_at, n), sum_duxhat = read(duxhat_at, n), sum_xhat = read(xhat_at, n);
    for (int r = 0; r < count; ++r) {
      const auto xhat = (read(x + at + r * channels, n) - center) * rstd;
      const auto du = grad_of_u<kSilu, T>(read(dy + at + r * channels, n), xhat * weight + bias);
      if constexpr (kKeep) write(kept + at + r * channels, du, n);
      sum_du += du;
      sum_duxhat += du * xhat;
      sum_xhat += xhat;
    }
    write(du_at, sum_du, n);
    write(duxhat_at, sum_duxhat, n);
    write(xhat_at, sum_xhat, n);
  });
}

/// dx = rstd * (weight * du - s1 - xhat * s2) [+ add], du from `kept` or again from dy.
template <bool kSilu, bool kKept, bool kAdd, class T>
void backward_dx(const T* x, const T* dy, const acc_t<T>* kept, const T* add, T* dx, int64_t rows,
                 int64_t channels, const Channels<acc_t<T>>& k, const acc_t<T>* s1,
                 const acc_t<T>* s2) {
  for_blocks<T>(rows, channels, [=](auto count, int64_t at, int64_t c, int64_t n) {
    const auto center = read(k.center + c, n), rstd = read(k.rstd + c, n);
    const auto weight = read(k.weight + c, n), bias = read(k.bias + c, n);
    const auto mean_du = read(s1 + c, n), mean_duxhat = read(s2 + c, n);
    for (int r = 0; r < count; ++r) {
      const int64_t i = at + r * channels;
      const auto xhat = (read(x + i, n) - center) * rstd;
      const auto du =
          kKept ? read(kept + i, n) : grad_of_u<kSilu, T>(read(dy + i, n), xhat * weight + bias);
      auto value = rstd * (weight * du - mean_du - xhat * mean_duxhat);
      if constexpr (kAdd) value += read(add + i, n);
      write(dx + i, value, n);
    }
  });
}

template <bool kSilu, bool kKeep, class T>
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

  auto first = [&](int64_t n, int64_t k, A* kept) {
    const Channels<A> constants = channels_of(n);
    const int64_t at = n * per_sample + chunks.begin(k) * channels;
    backward_sums<kSilu, kKeep>(x + at, dy + at, kept + chunks.begin(k) * channels, chunks.size(k),
                                channels, constants,
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
  auto second = [&](int64_t n, int64_t k, const A* kept) {
    if (!dx) return;
    const A* t = table_of(n);
    const int64_t at = n * per_sample + chunks.begin(k) * channels;
    auto run = [&](auto with_add) {
      backward_dx<kSilu, kKeep, with_add()>(
          x + at, dy + at, kept + chunks.begin(k) * channels, with_add() ? add + at : nullptr,
          dx + at, chunks.size(k), channels, channels_of(n), t + 4 * channels, t + 5 * channels);
    };
    if (add)
      run(std::true_type{});
    else
      run(std::false_type{});
  };
  for (int64_t n = 0; n < d.batch; ++n)
    fill_channels(shift ? shift + n * channels : nullptr, weight, bias, mean + n * d.groups,
                  rstd + n * d.groups, d, channels_of(n));
  for_each_sample<A>(d, chunks, kKeep ? per_sample : 0, first, finish, second);

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

/// y of one chunk, from the constants of its sample with weight already times rstd.
template <class T>
void normalise_chunk(const T* x, T* y, int64_t rows, const Channels<acc_t<T>>& t,
                     const GroupNormDims& d) {
  (d.silu ? normalise<true, T> : normalise<false, T>)(x, y, rows, d.channels, t.center, t.weight,
                                                      t.bias);
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

  auto first = [&](int64_t n, int64_t k, A*) {
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
  auto second = [&](int64_t n, int64_t k, A*) {
    const Channels<A> t = channels_of(n);
    const int64_t at = n * per_sample + chunks.begin(k) * channels;
    normalise_chunk(x + at, y + at, chunks.size(k), t, d);
  };
  for_each_sample<A>(d, chunks, 0, first, finish, second);
}

template <class T>
void group_norm_repeat(const T* x, const T* shift, const acc_t<T>* weight, const acc_t<T>* bias,
                       const acc_t<T>* mean, const acc_t<T>* rstd, T* y, const GroupNormDims& d) {
  using A = acc_t<T>;
  const Chunks chunks(d);
  const int64_t channels = d.channels;
  std::vector<A> table(size_t(d.batch * 4 * channels));
  auto channels_of = [&](int64_t n) {
    A* t = table.data() + n * 4 * channels;
    return Channels<A>{t, t + channels, t + 2 * channels, t + 3 * channels};
  };
  for (int64_t n = 0; n < d.batch; ++n) {
    const Channels<A> t = channels_of(n);
    fill_channels(shift ? shift + n * channels : nullptr, weight, bias, mean + n * d.groups,
                  rstd + n * d.groups, d, t);
    for (int64_t c = 0; c < channels; ++c) t.weight[c] *= t.rstd[c];
  }
  parallel_items(d.batch * chunks.count, d.batch * d.pixels * channels, [&](int64_t i) {
    const int64_t n = i / chunks.count, k = i % chunks.count;
    const int64_t at = (n * d.pixels + chunks.begin(k)) * channels;
    normalise_chunk(x + at, y + at, chunks.size(k), channels_of(n), d);
  });
}

template <class T>
void group_norm_backward(const T* x, const T* shift, const acc_t<T>* weight, const acc_t<T>* bias,
                         const acc_t<T>* mean, const acc_t<T>* rstd, const T* dy, const T* add,
                         T* dx, acc_t<T>* dweight, acc_t<T>* dbias, T* dshift, bool accumulate,
                         const GroupNormDims& d) {
  const bool keep = d.pixels * d.channels * int64_t(sizeof(acc_t<T>)) <= kKeptBytes;
  const auto run = !d.silu ? backward<false, false, T>
                   : keep  ? backward<true, true, T>
                           : backward<true, false, T>;
  run(x, shift, weight, bias, mean, rstd, dy, add, dx, dweight, dbias, dshift, accumulate, d);
}

#define NOISETTE_INSTANTIATE(T)                                                                   \
  template void group_norm_forward<T>(const T*, const T*, const acc_t<T>*, const acc_t<T>*, T*,   \
                                      acc_t<T>*, acc_t<T>*, const GroupNormDims&);                \
  template void group_norm_repeat<T>(const T*, const T*, const acc_t<T>*, const acc_t<T>*,        \
                                     const acc_t<T>*, const acc_t<T>*, T*, const GroupNormDims&); \
  template void group_norm_backward<T>(const T*, const T*, const acc_t<T>*, const acc_t<T>*,      \
                                       const acc_t<T>*, const acc_t<T>*, const T*, const T*, T*,  \
                                       acc_t<T>*, acc_t<T>*, T*, bool, const GroupNormDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
NOISETTE_INSTANTIATE(double)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
