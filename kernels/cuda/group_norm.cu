// Group normalisation, forward. Contract: kernels/norm.h. Reference: kernels/cpu/group_norm.cpp.
// A block has all pixels of a few neighbouring groups of one sample, as many as fill whole sectors,
// and keeps them in shared memory: x is read once and y written once. First the mean, then the
// variance about it (E[x^2] - E[x]^2 cancels in f32), then the values. Where up to a third finds no
// room it is read three times, from the L2 cache. Groups too large for that are cut into tiles of
// pixels: each tile's mean and squares by channel, merged in a fixed order, then the values, which
// reads x twice.
// Simulated for an H100, not yet run on a card: sectors between L2 and the multiprocessors over the
// least possible, 16 samples: 1.00 for 32x32x128, 1.01 for 16x16x256, 1.08 in f32 for 32x32x384, of
// which an eighth finds no room; again from known statistics 1.05 for 32x32x128. Those of bf16 with
// SiLU are bound by instructions, f32 at 32x32 by memory. Dropped: a block a group, which read four
// times the sectors in bf16 (pieces of eight bytes); the fewest groups that are kept as a whole,
// 1.35 for 32x32x384, whose groups of 48 bytes fill no sectors.
#include "kernels/cuda/group_norm.cuh"

namespace noisette::cuda {
namespace {

using namespace group_norm;

/// Reads a tile of x and finds, for every `group` neighbouring channels, the mean over `count`
/// values and the squared distances from it. Calls note(c, first, mean) and squares(c, first, sum)
/// for the channels c of every group, which begins at `first`; leaves the means less the shifts in
/// `base`.
template <int kWidth, class X, class Mean, class Squares>
__device__ void statistics(const X& x, const Tile<kWidth>& tile, int group, float count,
                           const float* shift, float (&base)[kWidth], const Mean& note,
                           const Squares& squares) {
  __shared__ float fold[kThreads], base_of[kThreads];
  const ColumnSums<kWidth> sums(tile, fold);
  float sum[kWidth] = {};
  tile.for_each([&](int64_t at, int slot) {
    const auto in = x.first(at, slot);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) sum[k] += in[k];
  });
  sums.add_up(tile, sum);
  over_groups(
      tile.cols, group, [&](int c) { return sums.of(c) + float(tile.rows) * shift[c]; },
      [&](int c, int first, float total) {
        base_of[c] = total / count - shift[c];
        note(c, first, total / count);
      });
  take(base_of, tile, base);
#pragma unroll
  for (int k = 0; k < kWidth; ++k) sum[k] = 0;
  tile.for_each([&](int64_t at, int slot) {
    const auto in = x.again(at, slot);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      const float distance = in[k] - base[k];
      sum[k] += distance * distance;
    }
  });
  sums.add_up(tile, sum);
  over_groups(
      tile.cols, group, [&](int c) { return sums.of(c); }, squares);
}

/// y = u or silu(u), of values that value(at, slot) gives.
template <int kWidth, class T, class Value>
__device__ inline void write_values(const Tile<kWidth>& tile, const Channels<kWidth>& channels,
                                    bool silu, T* y, const Value& value) {
  tile.for_each([&](int64_t at, int slot) {
    const Pack<T, kWidth> in = value(at, slot);
    Pack<T, kWidth> out;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      const float u = channels.scaled(k, channels.normal(k, in[k]));
      out.set(k, silu ? u * sigmoid(u) : u);
    }
    out.write(y + at);
  });
}

__device__ inline float rstd_of(float squares, float count, double eps) {
  return rsqrtf(squares / count + float(eps));
}

/// `room`: vectors that a block keeps.
template <int kWidth, bool kAll, class T>
__global__ void group_norm_fwd(Group<T> g, Cut cut, int room, T* y, float* mean, float* rstd) {
  __shared__ float shift[kThreads], rstd_of_channel[kThreads], parameters[2][kThreads];
  const Tile<kWidth> tile(g.d.pixels, g.d.channels, cut);
  const int64_t first_group = tile.batch * g.d.groups + tile.first_col / g.width();
  if (int(threadIdx.x) < tile.cols)
    shift[threadIdx.x] = g.shift_of(tile.batch, tile.first_col + threadIdx.x);
  Channels<kWidth> channels;
  channels.read_parameters(g, tile, parameters);
  const Kept<kWidth, kAll, T> x(g.x, dynamic_shared<Pack<T, kWidth>>(), room);
  statistics(
      x, tile, g.width(), g.count(), shift, channels.base,
      [&](int c, int first, float mu) {
        if (c == first) mean[first_group + c / g.width()] = mu;
      },
      [&](int c, int first, float squares) {
        const float r = rstd_of(squares, g.count(), g.d.eps);
        rstd_of_channel[c] = r;
        if (c == first) rstd[first_group + c / g.width()] = r;
      });
  take(rstd_of_channel, tile, channels.rstd);
  write_values(tile, channels, g.d.silu, y,
               [&](int64_t at, int slot) { return x.again(at, slot); });
}

template <int kWidth, class T>
__global__ void group_norm_again(Group<T> g, Cut cut, const float* mean, const float* rstd, T* y) {
  __shared__ float of_channel[2][kThreads];
  const Tile<kWidth> tile(g.d.pixels, g.d.channels, cut);
  Channels<kWidth> channels;
  channels.read_parameters(g, tile, of_channel);
  channels.read_statistics(g, tile, mean, rstd, of_channel);
  write_values(tile, channels, g.d.silu, y,
               [&](int64_t at, int) { return Pack<T, kWidth>::read(g.x + at); });
}

/// Mean and squared distances from it of one channel of x in one tile, without shift.
struct Moments {
  float mean, squares;
};

/// moments [N, tiles, C]
template <int kWidth, class T>
__global__ void group_norm_moments(Group<T> g, Cut cut, int64_t tiles, Moments* moments) {
  __shared__ float no_shift[kThreads];
  const Tile<kWidth> tile(g.d.pixels, g.d.channels, cut);
  no_shift[threadIdx.x] = 0;
  Moments* const to = moments + (tile.batch * tiles + tile.down) * g.d.channels + tile.first_col;
  float base[kWidth];
  const Kept<kWidth, true, T> x(g.x, dynamic_shared<Pack<T, kWidth>>(), tile.rows * tile.width);
  statistics(
      x, tile, 1, float(tile.rows), no_shift, base, [&](int c, int, float mu) { to[c].mean = mu; },
      [&](int c, int, float squares) { to[c].squares = squares; });
}

/// Mean and rstd of a group by a warp, from its channels' moments in all tiles. Chan, Golub &
/// LeVeque 1983, "Algorithms for Computing the Sample Variance", equation 2.1 for many parts.
template <class T>
__global__ void group_norm_merge(Group<T> g, Cut cut, int64_t tiles, const Moments* moments,
                                 float* mean, float* rstd) {
  const int64_t group = int64_t(blockIdx.x) * blockDim.y + threadIdx.y;
  if (group >= g.d.batch * g.d.groups) return;
  const DivMod at(group, g.d.groups);
  const int64_t width = g.width(), first = at.remainder * width;
  const auto sum_over = [&](const auto& f) {  // of f(pixels, mean, squares)
    float sum = 0;
    for (int64_t i = threadIdx.x; i < tiles * width; i += 32) {
      const DivMod part(i, width);
      const int64_t channel = first + part.remainder, rest = g.d.pixels - part.quotient * cut.rows;
      const Moments m = moments[(at.quotient * tiles + part.quotient) * g.d.channels + channel];
      sum += f(float(rest < cut.rows ? rest : cut.rows), m.mean + g.shift_of(at.quotient, channel),
               m.squares);
    }
    return warp_reduce(sum, Add{});
  };
  const float mu = sum_over([](float n, float m, float) { return n * m; }) / g.count();
  const float squares =
      sum_over([=](float n, float m, float s) { return s + n * (m - mu) * (m - mu); });
  if (threadIdx.x > 0) return;
  mean[group] = mu;
  rstd[group] = rstd_of(squares, g.count(), g.d.eps);
}

template <int kWidth, class T>
void repeat(const char* name, const Group<T>& g, const float* mean, const float* rstd, T* y) {
  const auto& d = g.d;
  const Cut cut = cut_into_tiles<T>(d.batch, d.pixels, d.channels, kWidth, 4, 16);
  launch(name, group_norm_again<kWidth, T>, cut.blocks(d.batch, d.pixels, d.channels), kThreads, 0,
         g, cut, mean, rstd, y);
}

/// Of groups that no block can keep.
template <int kWidth, class T>
void forward_in_parts(const Group<T>& g, T* y, float* mean, float* rstd) {
  constexpr int64_t kTile = 32 << 10;  // bytes
  const auto& d = g.d;
  Cut cut = cut_into_tiles<T>(d.batch, d.pixels, d.channels, kWidth, 1, 1);
  cut.rows = std::max(cut.rows, kTile / (cut.cols * int64_t(sizeof(T))));
  const int64_t tiles = cut.down(d.pixels);
  Scratch scratch;
  auto* moments = scratch.take<Moments>(d.batch * tiles * d.channels);
  launch("group_norm_moments", group_norm_moments<kWidth, T>,
         cut.blocks(d.batch, d.pixels, d.channels), kThreads,
         std::size_t(cut.rows * cut.cols) * sizeof(T), g, cut, tiles, moments);
  launch("group_norm_merge", group_norm_merge<T>, dim3(unsigned(ceil_div(d.batch * d.groups, 8))),
         dim3(32, 8), 0, g, cut, tiles, moments, mean, rstd);
  repeat<kWidth>("group_norm_forward", g, mean, rstd, y);
}

}  // namespace

template <class T>
void group_norm_forward(const T* x, const T* shift, const acc_t<T>* weight, const acc_t<T>* bias,
                        T* y, acc_t<T>* mean, acc_t<T>* rstd, const GroupNormDims& d) {
  if (d.batch * d.groups == 0) return;
  const Group<T> g{x, shift, weight, bias, d};
  const auto run = [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    const auto cut = tiles_of_groups<T>(d, kWidth, 1);
    if (!cut) return forward_in_parts<kWidth>(g, y, mean, rstd);
    with_room<T>(*cut, 1, [&](auto all, std::size_t bytes) {
      launch("group_norm_forward", group_norm_fwd<kWidth, decltype(all)::value, T>,
             cut->blocks(d.batch, d.pixels, d.channels), kThreads, bytes, g, *cut,
             bytes / sizeof(Pack<T, kWidth>), y, mean, rstd);
    });
  };
  with_width<T>(d.channels, run, x, y);
}

template <class T>
void group_norm_repeat(const T* x, const T* shift, const acc_t<T>* weight, const acc_t<T>* bias,
                       const acc_t<T>* mean, const acc_t<T>* rstd, T* y, const GroupNormDims& d) {
  if (d.batch * d.groups == 0) return;
  const auto run = [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    repeat<kWidth>("group_norm_repeat", Group<T>{x, shift, weight, bias, d}, mean, rstd, y);
  };
  with_width<T>(d.channels, run, x, y);
}

#define NOISETTE_INSTANTIATE(T)                                                                    \
  template void group_norm_forward<T>(const T*, const T*, const float*, const float*, T*, float*,  \
                                      float*, const GroupNormDims&);                               \
  template void group_norm_repeat<T>(const T*, const T*, const float*, const float*, const float*, \
                                     const float*, T*, const GroupNormDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cuda
