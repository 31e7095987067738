// Keyed random numbers. Contract: kernels/random.h.
#include "kernels/random.h"

#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/philox_lanes.h"
#include "kernels/cpu/vector_math.h"

namespace noisette::cpu {
namespace {

constexpr int64_t kDraws = 4 * kLanes;  // of one PhiloxLanes

/// Calls f(n, begin, end, draws) for pieces of at most kDraws elements that cover every item.
template <class F>
void for_each_piece(const int64_t* index, int64_t batch, int64_t per_item, const RngKey& key,
                    const F& f) {
  const int64_t pieces = ceil_div(per_item, kDraws);
  parallel_items(batch * pieces, batch * per_item, [&](int64_t i) {
    const int64_t n = i / pieces, begin = i % pieces * kDraws;
    const PhiloxLanes draws(key, uint64_t(index[n]), uint32_t(begin / 4));
    f(n, begin, std::min(per_item, begin + kDraws), draws);
  });
}

/// lane-wise word[j][i] -> element order e = 4 i + j
void interleave(const float (&word)[4][kLanes], float* out) {
#pragma omp simd
  for (int i = 0; i < kLanes; ++i) {
    out[4 * i] = word[0][i];
    out[4 * i + 1] = word[1][i];
    out[4 * i + 2] = word[2][i];
    out[4 * i + 3] = word[3][i];
  }
}

/// float(x) for x < 2^31: the conversion that every instruction set has.
inline float to_float(uint32_t x) { return float(int32_t(x)); }

void uniform_draws(const PhiloxLanes& draws, float* out) {
  alignas(64) float word[4][kLanes];
  for (int j = 0; j < 4; ++j) {
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) word[j][i] = to_float(draws.word[j][i] >> 8) * 0x1p-24f;
  }
  interleave(word, out);
}

void normal_draws(const PhiloxLanes& draws, float* out) {
  alignas(64) float word[4][kLanes];
  for (int j = 0; j < 4; j += 2) {
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) {
      const float u = to_float((draws.word[j][i] >> 8) + 1) * 0x1p-24f;  // (0, 1]
      const float v = to_float(draws.word[j + 1][i] >> 8) * 0x1p-24f;
      const float radius = std::sqrt(-2.0f * vlog(u));
      float sine = 0, cosine = 0;
      vsincos_turns(v, sine, cosine);
      word[j][i] = radius * cosine;
      word[j + 1][i] = radius * sine;
    }
  }
  interleave(word, out);
}

}  // namespace

template <class T>
void fill_normal(T* y, const int64_t* index, int64_t batch, int64_t per_item, const RngKey& key) {
  for_each_piece(index, batch, per_item, key,
                 [=](int64_t n, int64_t begin, int64_t end, const PhiloxLanes& draws) {
                   alignas(64) float value[kDraws];
                   normal_draws(draws, value);
                   T* out = y + n * per_item + begin;
                   for (int64_t i = 0; i < end - begin; ++i) store(out[i], acc_t<T>(value[i]));
                 });
}

template <class T>
void fill_uniform(T* y, const int64_t* index, int64_t batch, int64_t per_item, const RngKey& key) {
  for_each_piece(index, batch, per_item, key,
                 [=](int64_t n, int64_t begin, int64_t end, const PhiloxLanes& draws) {
                   alignas(64) float value[kDraws];
                   uniform_draws(draws, value);
                   T* out = y + n * per_item + begin;
                   for (int64_t i = 0; i < end - begin; ++i) store(out[i], acc_t<T>(value[i]));
                 });
}

void fill_integers(int64_t* y, const int64_t* index, int64_t batch, int64_t bound,
                   const RngKey& key) {
  for (int64_t n = 0; n < batch; ++n)
    y[n] = bounded(philox_block(key, uint64_t(index[n]), 0)[0], uint32_t(bound));
}

void replace_at_random(const int64_t* x, int64_t* y, const int64_t* index, int64_t batch,
                       int64_t replacement, double p, const RngKey& key) {
  for (int64_t n = 0; n < batch; ++n) {
    const float draw = uniform(philox_block(key, uint64_t(index[n]), 0)[0]);
    y[n] = double(draw) < p ? replacement : x[n];
  }
}

template <class T>
void dropout(const T* x, T* y, const int64_t* index, int64_t batch, int64_t per_item, double p,
             const RngKey& key) {
  using A = acc_t<T>;
  const float threshold = float(p);
  const A scale = A(1.0 / (1.0 - p));
  for_each_piece(index, batch, per_item, key,
                 [=](int64_t n, int64_t begin, int64_t end, const PhiloxLanes& draws) {
                   alignas(64) float value[kDraws];
                   uniform_draws(draws, value);
                   const T* in = x + n * per_item + begin;
                   T* out = y + n * per_item + begin;
#pragma omp simd
                   for (int64_t i = 0; i < end - begin; ++i) {
                     const A kept = scale * A(in[i]);
                     store(out[i], value[i] >= threshold ? kept : A(0));
                   }
                 });
}

#define NOISETTE_INSTANTIATE(T)                                                       \
  template void fill_normal<T>(T*, const int64_t*, int64_t, int64_t, const RngKey&);  \
  template void fill_uniform<T>(T*, const int64_t*, int64_t, int64_t, const RngKey&); \
  template void dropout<T>(const T*, T*, const int64_t*, int64_t, int64_t, double, const RngKey&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
NOISETTE_INSTANTIATE(double)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
