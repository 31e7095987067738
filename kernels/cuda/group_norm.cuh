// What forward and backward of group normalisation share: tiles of whole groups, their values in
// shared memory, sums by group, and what a thread knows of its channels.
#pragma once
#include <algorithm>
#include <optional>
#include <type_traits>

#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/norm.h"

namespace noisette::cuda::group_norm {

/// The arguments of all kernels; pointers may be null as in the contract.
template <class T>
struct Group {
  const T *x, *shift;
  const float *weight, *bias;
  GroupNormDims d;

  __device__ int width() const { return int(d.channels / d.groups); }
  __device__ float count() const { return float(d.pixels * (d.channels / d.groups)); }
  __device__ float shift_of(int64_t sample, int64_t channel) const {
    return shift != nullptr ? load(shift + sample * d.channels + channel) : 0.f;
  }
};

/// Tiles of all pixels and of whole groups (cuts.h), of several as long as a block keeps all their
/// values, `tensors` for an element, and enough blocks are left. None: tiles are too large.
template <class T>
std::optional<Cut> tiles_of_groups(const GroupNormDims& d, int width, int64_t tensors) {
  constexpr int64_t kBlocks = 132, kVectors = 8 * kThreads;
  const auto least = cuts::channels_of_groups(d.pixels, d.channels, d.groups, sizeof(T), width);
  if (!least) return {};
  int64_t channels = *least;
  while (channels < d.channels && 2 * channels <= kThreads &&
         2 * d.pixels * channels * tensors * int64_t(sizeof(T)) <= cuts::kKept &&
         2 * d.pixels * channels <= kVectors * width &&
         d.batch * ceil_div(d.channels, 2 * channels) >= kBlocks)
    channels = std::min(2 * channels, d.channels);
  return Cut{std::max<int64_t>(d.pixels, 1), channels};
}

/// Values of a tile of x, in shared memory: all of them, or as many as find room there, and the
/// others are read again.
template <int kWidth, bool kAll, class T>
class Kept {
 public:
  using P = Pack<T, kWidth>;

  /// `room`: vectors in `memory`.
  __device__ Kept(const T* x, P* memory, int room) : x_(x), memory_(memory), room_(room) {}

  __device__ P first(int64_t at, int slot) const {
    const P p = P::read(x_ + at);
    if (kAll || slot < room_) memory_[slot] = p;
    return p;
  }
  /// After first, by the same thread.
  __device__ P again(int64_t at, int slot) const {
    if (kAll || slot < room_) return memory_[slot];
    return P::read(x_ + at);
  }

 private:
  const T* x_;
  P* memory_;
  int room_;
};

/// Values of a tile of x, none of which is kept.
template <int kWidth, class T>
struct NotKept {
  const T* x;

  __device__ Pack<T, kWidth> first(int64_t at, int) const { return Pack<T, kWidth>::read(x + at); }
  __device__ Pack<T, kWidth> again(int64_t at, int slot) const { return first(at, slot); }
};

/// Calls f(all, bytes): whether a block keeps all values of a tile, `tensors` for an element, and
/// in how much shared memory.
template <class T, class F>
void with_room(const Cut& cut, int64_t tensors, const F& f) {
  const int64_t bytes = cut.rows * cut.cols * tensors * int64_t(sizeof(T));
  if (bytes <= cuts::kKept)
    f(std::true_type{}, std::size_t(bytes));
  else
    f(std::false_type{}, std::size_t(cuts::kKept));
}

/// Calls done(c, first, sum) for the channels c of every group of `width` neighbours, where sum is
/// that of value(c) over the group, which begins at `first`. Some lanes of a warp have a group.
/// All threads of the block call; a barrier follows.
template <class Value, class Done>
__device__ void over_groups(int channels, int width, const Value& value, const Done& done) {
  int lanes = 1;
  while (lanes < width && lanes < 32) lanes *= 2;
  const int lane = int(threadIdx.x) % lanes;
  for (int first = 0; first < channels; first += kThreads / lanes * width) {
    const int begin = first + int(threadIdx.x) / lanes * width;
    const int end = begin < channels ? begin + width : begin;
    float sum = 0;
    for (int c = begin + lane; c < end; c += lanes) sum += value(c);
    for (int step = lanes / 2; step > 0; step /= 2) sum += __shfl_xor_sync(kAllLanes, sum, step);
    for (int c = begin + lane; c < end; c += lanes) done(c, begin, sum);
  }
  __syncthreads();
}

/// Those of a thread's vector among values by channel of the tile.
template <int kWidth>
__device__ inline void take(const float* of_channel, const Tile<kWidth>& tile,
                            float (&own)[kWidth]) {
#pragma unroll
  for (int k = 0; k < kWidth; ++k) own[k] = of_channel[tile.column * kWidth + k];
}

/// What a thread knows of its channels: u = (x - base) * rstd * weight + bias, base = mean - shift.
template <int kWidth>
struct Channels {
  float base[kWidth], rstd[kWidth], weight[kWidth], bias[kWidth];

  __device__ float normal(int k, float x) const { return (x - base[k]) * rstd[k]; }
  __device__ float scaled(int k, float normal) const { return normal * weight[k] + bias[k]; }

  /// Through shared memory, so that each parameter is read once. All threads of the block call.
  template <class T>
  __device__ void read_parameters(const Group<T>& g, const Tile<kWidth>& tile,
                                  float (&of_channel)[2][kThreads]) {
    const int c = int(threadIdx.x);
    __syncthreads();
    if (c < tile.cols) {
      of_channel[0][c] = g.weight[tile.first_col + c];
      of_channel[1][c] = g.bias[tile.first_col + c];
    }
    __syncthreads();
    take(of_channel[0], tile, weight);
    take(of_channel[1], tile, bias);
  }
  /// Likewise what forward has found.
  template <class T>
  __device__ void read_statistics(const Group<T>& g, const Tile<kWidth>& tile, const float* mean,
                                  const float* rstds, float (&of_channel)[2][kThreads]) {
    const int c = int(threadIdx.x);
    __syncthreads();
    if (c < tile.cols) {
      const int64_t channel = tile.first_col + c;
      const int64_t group = tile.batch * g.d.groups + DivMod(channel, g.width()).quotient;
      of_channel[0][c] = mean[group] - g.shift_of(tile.batch, channel);
      of_channel[1][c] = rstds[group];
    }
    __syncthreads();
    take(of_channel[0], tile, base);
    take(of_channel[1], tile, rstd);
  }
};

}  // namespace noisette::cuda::group_norm
