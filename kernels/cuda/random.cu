// Keyed random numbers. Contract: kernels/random.h. Reference: kernels/cpu/random.cpp, whose bits
// these are: the formulas are the same functions, and this file is compiled without contracting
// products and sums. A thread makes the four draws of one Philox block.
#include "kernels/random.h"

#include "kernels/cpu/vector_math.h"
#include "kernels/cuda/map.cuh"

namespace noisette::cuda {
namespace {

struct Normals {
  __device__ void operator()(const PhiloxBlock& draws, float (&out)[4]) const {
#pragma unroll
    for (int j = 0; j < 4; j += 2) {
      const float u = uniform_open(draws[j]), v = uniform(draws[j + 1]);
      const float radius = sqrtf(-2.0f * cpu::vlog(u));
      float sine = 0, cosine = 0;
      cpu::vsincos_turns(v, sine, cosine);
      out[j] = radius * cosine;
      out[j + 1] = radius * sine;
    }
  }
};
struct Uniforms {
  __device__ void operator()(const PhiloxBlock& draws, float (&out)[4]) const {
#pragma unroll
    for (int j = 0; j < 4; ++j) out[j] = uniform(draws[j]);
  }
};

template <class T>
struct Store {
  T* y;

  bool aligned() const { return aligned16(y); }
  template <int kWidth>
  __device__ void run(int64_t i, const float* value) const {
    Pack<T, kWidth> out;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) out.set(k, value[k]);
    out.write(y + i);
  }
};
template <class T>
struct Drop {
  const T* x;
  T* y;
  float p, scale;

  bool aligned() const { return aligned16(x, y); }
  template <int kWidth>
  __device__ void run(int64_t i, const float* value) const {
    const auto in = Pack<T, kWidth>::read(x + i);
    Pack<T, kWidth> out;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) out.set(k, value[k] >= p ? scale * in[k] : 0.f);
    out.write(y + i);
  }
};

/// write.run<kWidth>(i, draws) for all elements of every item, kWidth at a time.
template <int kWidth, class Draw, class Write>
__global__ void draw_kernel(Draw draw, Write write, const int64_t* index, int64_t batch,
                            int64_t per_item, int64_t blocks, RngKey key) {
  for_each_item(batch * blocks, [&](int64_t item) {
    const DivMod at(item, blocks);
    float value[4];
    draw(philox_block(key, uint64_t(index[at.quotient]), uint32_t(at.remainder)), value);
    const int64_t first = at.remainder * 4, rest = per_item - first;
#pragma unroll
    for (int j = 0; j < 4; j += kWidth)
      if (j < rest) write.template run<kWidth>(at.quotient * per_item + first + j, value + j);
  });
}

template <class Draw, class Write>
void draw(const char* name, const Write& write, const int64_t* index, int64_t batch,
          int64_t per_item, const RngKey& key) {
  if (batch * per_item == 0) return;
  const int64_t blocks = ceil_div(per_item, 4);
  const auto run = [&](auto width) {
    launch(name, draw_kernel<decltype(width)::value, Draw, Write>, blocks_for(batch * blocks),
           kThreads, 0, Draw{}, write, index, batch, per_item, blocks, key);
  };
  with_width<float>(write.aligned() ? per_item : 1, run);
}

__global__ void integers_kernel(int64_t* y, const int64_t* index, int64_t batch, uint32_t bound,
                                RngKey key) {
  for_each_item(batch, [&](int64_t n) {
    y[n] = bounded(philox_block(key, uint64_t(index[n]), 0)[0], bound);
  });
}

__global__ void replace_kernel(const int64_t* x, int64_t* y, const int64_t* index, int64_t batch,
                               int64_t replacement, double p, RngKey key) {
  for_each_item(batch, [&](int64_t n) {
    const float draw = uniform(philox_block(key, uint64_t(index[n]), 0)[0]);
    y[n] = double(draw) < p ? replacement : x[n];
  });
}

}  // namespace

template <class T>
void fill_normal(T* y, const int64_t* index, int64_t batch, int64_t per_item, const RngKey& key) {
  draw<Normals>("fill_normal", Store<T>{y}, index, batch, per_item, key);
}

template <class T>
void fill_uniform(T* y, const int64_t* index, int64_t batch, int64_t per_item, const RngKey& key) {
  draw<Uniforms>("fill_uniform", Store<T>{y}, index, batch, per_item, key);
}

void fill_integers(int64_t* y, const int64_t* index, int64_t batch, int64_t bound,
                   const RngKey& key) {
  if (batch > 0)
    launch("fill_integers", integers_kernel, blocks_for(batch), kThreads, 0, y, index, batch, bound,
           key);
}

void replace_at_random(const int64_t* x, int64_t* y, const int64_t* index, int64_t batch,
                       int64_t replacement, double p, const RngKey& key) {
  if (batch > 0)
    launch("replace_at_random", replace_kernel, blocks_for(batch), kThreads, 0, x, y, index, batch,
           replacement, p, key);
}

template <class T>
void dropout(const T* x, T* y, const int64_t* index, int64_t batch, int64_t per_item, double p,
             const RngKey& key) {
  draw<Uniforms>("dropout", Drop<T>{x, y, float(p), float(1.0 / (1.0 - p))}, index, batch, per_item,
                 key);
}

#define NOISETTE_INSTANTIATE(T)                                                       \
  template void fill_normal<T>(T*, const int64_t*, int64_t, int64_t, const RngKey&);  \
  template void fill_uniform<T>(T*, const int64_t*, int64_t, int64_t, const RngKey&); \
  template void dropout<T>(const T*, T*, const int64_t*, int64_t, int64_t, double, const RngKey&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cuda
