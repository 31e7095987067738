// Group normalisation. Contract: kernels/norm.h. Reference: kernels/cpu/group_norm.cpp.
// A block has the values of one group of one sample: first the mean, then the variance about it
// (E[x^2] - E[x]^2 cancels in f32), then the values; after the first pass they come from the
// caches. A thread stays with one channel, so that no index is divided in the loops and sums by
// channel are sums by thread.
#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/map.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/norm.h"

namespace noisette::cuda {
namespace {

/// The part of a group that a thread has: one channel of every step-th pixel, for each run of
/// `width` channels.
struct Share {
  int64_t channels;  // of the group
  int width, height, column, row;

  __device__ explicit Share(const GroupNormDims& d) : channels(d.channels / d.groups) {
    width = int(channels < kThreads ? channels : kThreads);
    height = kThreads / width;
    column = int(threadIdx.x) % width;
    row = int(threadIdx.x) / width;
  }
  /// Calls f(pixel, c), c counted in the group.
  template <class F>
  __device__ void for_each(int64_t pixels, const F& f) const {
    if (row >= height) return;
    for (int64_t c = column; c < channels; c += width)
      for (int64_t p = row; p < pixels; p += height) f(p, c);
  }
};

/// The arguments of all kernels; pointers may be null as in the contract.
template <class T>
struct Group {
  const T *x, *shift;
  const float *weight, *bias;
  GroupNormDims d;

  __device__ int64_t sample() const { return blockIdx.x / d.groups; }
  __device__ int64_t first_channel() const {
    return blockIdx.x % d.groups * (d.channels / d.groups);
  }
  __device__ int64_t at(int64_t p, int64_t c) const {
    return (sample() * d.pixels + p) * d.channels + first_channel() + c;
  }
  __device__ int64_t of_sample(int64_t c) const {
    return sample() * d.channels + first_channel() + c;
  }
  __device__ float z(int64_t p, int64_t c) const {
    const float value = load(x + at(p, c));
    return shift != nullptr ? value + load(shift + of_sample(c)) : value;
  }
  __device__ float count() const { return float(d.pixels * (d.channels / d.groups)); }
  __device__ float normalised(int64_t p, int64_t c, float mean, float rstd) const {
    return (z(p, c) - mean) * rstd;
  }
  __device__ float scaled(float normal, int64_t c) const {
    return normal * weight[first_channel() + c] + bias[first_channel() + c];
  }
};

template <class T>
__device__ inline void write_values(const Group<T>& g, const Share& share, float mean, float rstd,
                                    T* y) {
  share.for_each(g.d.pixels, [&](int64_t p, int64_t c) {
    const float u = g.scaled(g.normalised(p, c, mean, rstd), c);
    store(y + g.at(p, c), g.d.silu ? u * sigmoid(u) : u);
  });
}

template <class T>
__global__ void group_norm_fwd(Group<T> g, T* y, float* mean, float* rstd) {
  const Share share(g.d);
  float sum = 0, squares = 0;
  share.for_each(g.d.pixels, [&](int64_t p, int64_t c) { sum += g.z(p, c); });
  const float mu = block_sum<kThreads>(sum) / g.count();
  share.for_each(g.d.pixels, [&](int64_t p, int64_t c) {
    const float distance = g.z(p, c) - mu;
    squares += distance * distance;
  });
  const float r = rsqrtf(block_sum<kThreads>(squares) / g.count() + float(g.d.eps));
  write_values(g, share, mu, r, y);
  if (threadIdx.x > 0) return;
  mean[blockIdx.x] = mu;
  rstd[blockIdx.x] = r;
}

template <class T>
__global__ void group_norm_again(Group<T> g, const float* mean, const float* rstd, T* y) {
  write_values(g, Share(g.d), mean[blockIdx.x], rstd[blockIdx.x], y);
}

/// Sums over the pixels of one sample and channel, [N, C] each.
struct ChannelSums {
  float *du, *du_normal, *normal;
};

/// du and du * normalised, summed by channel into `sums`; returns the group's sums of weight * du
/// and weight * du * normalised.
template <class T>
__device__ inline float2 sum_gradient(const Group<T>& g, const Share& share, float mean, float rstd,
                                      const T* dy, const ChannelSums& sums) {
  __shared__ float part[3][kThreads];
  float2 of_group{0, 0};
  for (int64_t first = 0; first < share.channels; first += share.width) {
    const int64_t c = first + share.column;
    float du_sum = 0, du_normal = 0, normal_sum = 0;
    if (share.row < share.height && c < share.channels)
      for (int64_t p = share.row; p < g.d.pixels; p += share.height) {
        const float normal = g.normalised(p, c, mean, rstd);
        float du = load(dy + g.at(p, c));
        if (g.d.silu) {
          const float u = g.scaled(normal, c), s = sigmoid(u);
          du *= s * (1.f + u * (1.f - s));
        }
        du_sum += du;
        du_normal += du * normal;
        normal_sum += normal;
      }
    __syncthreads();
    part[0][threadIdx.x] = du_sum;
    part[1][threadIdx.x] = du_normal;
    part[2][threadIdx.x] = normal_sum;
    __syncthreads();
    if (share.row > 0 || c >= share.channels) continue;
    for (int r = 1; r < share.height; ++r) {
      du_sum += part[0][r * share.width + share.column];
      du_normal += part[1][r * share.width + share.column];
      normal_sum += part[2][r * share.width + share.column];
    }
    sums.du[g.of_sample(c)] = du_sum;
    sums.du_normal[g.of_sample(c)] = du_normal;
    sums.normal[g.of_sample(c)] = normal_sum;
    const float w = g.weight[g.first_channel() + c];
    of_group.x += w * du_sum;
    of_group.y += w * du_normal;
  }
  return {block_sum<kThreads>(of_group.x), block_sum<kThreads>(of_group.y)};
}

template <class T>
__global__ void group_norm_bwd(Group<T> g, const float* mean, const float* rstd, const T* dy,
                               const T* add, T* dx, T* dshift, ChannelSums sums) {
  const Share share(g.d);
  const float mu = mean[blockIdx.x], r = rstd[blockIdx.x];
  const float2 total = sum_gradient(g, share, mu, r, dy, sums);
  const float a = total.x / g.count(), b = total.y / g.count();
  if (dx != nullptr)
    share.for_each(g.d.pixels, [&](int64_t p, int64_t c) {
      const float normal = g.normalised(p, c, mu, r);
      float du = load(dy + g.at(p, c));
      if (g.d.silu) {
        const float u = g.scaled(normal, c), s = sigmoid(u);
        du *= s * (1.f + u * (1.f - s));
      }
      float value = r * (g.weight[g.first_channel() + c] * du - a - normal * b);
      if (add != nullptr) value += load(add + g.at(p, c));
      store(dx + g.at(p, c), value);
    });
  if (dshift == nullptr) return;
  __syncthreads();  // the sums of all channels
  for (int64_t c = threadIdx.x; c < share.channels; c += kThreads) {
    const int64_t i = g.of_sample(c);
    store(dshift + i, r * (g.weight[g.first_channel() + c] * sums.du[i] - float(g.d.pixels) * a -
                           b * sums.normal[i]));
  }
}

dim3 groups_of(const GroupNormDims& d) { return dim3(unsigned(d.batch * d.groups)); }

}  // namespace

template <class T>
void group_norm_forward(const T* x, const T* shift, const acc_t<T>* weight, const acc_t<T>* bias,
                        T* y, acc_t<T>* mean, acc_t<T>* rstd, const GroupNormDims& d) {
  if (d.batch * d.groups == 0) return;
  launch("group_norm_forward", group_norm_fwd<T>, groups_of(d), kThreads, 0,
         Group<T>{x, shift, weight, bias, d}, y, mean, rstd);
}

template <class T>
void group_norm_repeat(const T* x, const T* shift, const acc_t<T>* weight, const acc_t<T>* bias,
                       const acc_t<T>* mean, const acc_t<T>* rstd, T* y, const GroupNormDims& d) {
  if (d.batch * d.groups == 0) return;
  launch("group_norm_repeat", group_norm_again<T>, groups_of(d), kThreads, 0,
         Group<T>{x, shift, weight, bias, d}, mean, rstd, y);
}

template <class T>
void group_norm_backward(const T* x, const T* shift, const acc_t<T>* weight, const acc_t<T>* bias,
                         const acc_t<T>* mean, const acc_t<T>* rstd, const T* dy, const T* add,
                         T* dx, acc_t<T>* dweight, acc_t<T>* dbias, T* dshift, bool accumulate,
                         const GroupNormDims& d) {
  const int64_t n = d.batch * d.channels;
  Scratch scratch;
  const ChannelSums sums{scratch.take<float>(n), scratch.take<float>(n), scratch.take<float>(n)};
  if (n > 0)
    launch("group_norm_backward", group_norm_bwd<T>, groups_of(d), kThreads, 0,
           Group<T>{x, shift, weight, bias, d}, mean, rstd, dy, add, dx, dshift, sums);
  if (dweight != nullptr)
    sum_columns("group_norm_dweight", Element<float>{sums.du_normal, d.channels}, 1, d.batch,
                d.channels, StoreGradient{dweight, accumulate});
  if (dbias != nullptr)
    sum_columns("group_norm_dbias", Element<float>{sums.du, d.channels}, 1, d.batch, d.channels,
                StoreGradient{dbias, accumulate});
}

#define NOISETTE_INSTANTIATE(T)                                                                    \
  template void group_norm_forward<T>(const T*, const T*, const float*, const float*, T*, float*,  \
                                      float*, const GroupNormDims&);                               \
  template void group_norm_repeat<T>(const T*, const T*, const float*, const float*, const float*, \
                                     const float*, T*, const GroupNormDims&);                      \
  template void group_norm_backward<T>(const T*, const T*, const float*, const float*,             \
                                       const float*, const float*, const T*, const T*, T*, float*, \
                                       float*, T*, bool, const GroupNormDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cuda
