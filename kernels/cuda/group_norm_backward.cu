// Group normalisation, backward. Contract: kernels/norm.h. Reference: kernels/cpu/group_norm.cpp.
// With du the gradient behind the SiLU and v = (z - mean) * rstd:
//   dx = rstd * (weight * du - a - v * b),   a, b = means over the group of weight * du and of that
//   times v
// As in forward, a block keeps x and dy of a few whole groups in shared memory, so that both are
// read once; u and the SiLU are computed twice. What finds no room, of dy first, is read twice, the
// second time from the L2 cache. Groups too large for that go in three steps: sums by channel of
// tiles of pixels, sums by group, dx; x and dy are read twice. Sums by sample and channel become
// the gradients of weight and bias at the end.
// Simulated for an H100, not yet run on a card: sectors between L2 and the multiprocessors over the
// least possible, 16 samples: 1.00 for 32x32x128, 1.31 in f32 for 32x32x384, whose accesses fill
// their sectors, but of whose x and dy, 192 KB a tile, less than half finds room; 1.00 to memory in
// both. f32 is bound by memory, bf16 by the issue of instructions. Dropped: a block a group, 4.2
// and 2.1; for 32x32x384 three steps, 1.71, and the fewest groups whose x is kept as a whole, 1.72.
#include "kernels/cuda/group_norm.cuh"

namespace noisette::cuda {
namespace {

using namespace group_norm;

/// Sums over pixels of one channel.
enum Term { kDu, kDuNormal, kNormal, kTerms };

/// Sums over the pixels of one sample and channel, [N, 3, C]: rows that begin with the sample's
/// part of the gradients of bias and weight.
struct SampleSums {
  float* data;
  int64_t channels;

  __device__ float& at(int64_t n, int term, int64_t c) const {
    return data[(n * kTerms + term) * channels + c];
  }
};

/// Gradient behind the SiLU.
template <int kWidth>
__device__ inline float gradient(const Channels<kWidth>& channels, int k, float normal, float dy,
                                 bool silu) {
  return silu ? dy * silu_slope(channels.scaled(k, normal)) : dy;
}

/// Reads a tile of x and of dy for the first time: the sums over its pixels.
template <int kWidth, class T, class X>
__device__ void sum_terms(const Group<T>& g, const Tile<kWidth>& tile,
                          const Channels<kWidth>& channels, const X& x, const X& dy,
                          const ColumnSums<kWidth> (&sums)[kTerms]) {
  float sum[kTerms][kWidth] = {};
  tile.for_each([&](int64_t at, int slot) {
    const auto in = x.first(at, slot), grad = dy.first(at, slot);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      const float normal = channels.normal(k, in[k]);
      const float du = gradient(channels, k, normal, grad[k], g.d.silu);
      sum[kDu][k] += du;
      sum[kDuNormal][k] += du * normal;
      sum[kNormal][k] += normal;
    }
  });
#pragma unroll
  for (int term = 0; term < kTerms; ++term) sums[term].add_up(tile, sum[term]);
}

/// What dx takes off within a group: a and b by channel of a thread.
template <int kWidth>
struct Means {
  float a[kWidth], b[kWidth];
};

/// dx of a tile of x and dy.
template <int kWidth, class T, class X>
__device__ void write_dx(const Group<T>& g, const Tile<kWidth>& tile,
                         const Channels<kWidth>& channels, const Means<kWidth>& means, const X& x,
                         const X& dy, const T* add, T* dx) {
  using P = Pack<T, kWidth>;
  tile.for_each([&](int64_t at, int slot) {
    const P in = x.again(at, slot), grad = dy.again(at, slot);
    const P other = add != nullptr ? P::read(add + at) : P{};
    P out;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      const float normal = channels.normal(k, in[k]);
      const float du = gradient(channels, k, normal, grad[k], g.d.silu);
      const float value =
          channels.rstd[k] * (channels.weight[k] * du - means.a[k] - normal * means.b[k]);
      out.set(k, add != nullptr ? value + other[k] : value);
    }
    out.write(dx + at);
  });
}

/// The gradient of the shift of a channel.
template <class T>
__device__ inline float dshift_of(const Group<T>& g, int64_t channel, float rstd, float a, float b,
                                  float du, float normal) {
  return rstd * (g.weight[channel] * du - float(g.d.pixels) * a - b * normal);
}

/// `room`: vectors of x, then of dy, that a block keeps.
template <int kWidth, bool kAll, class T>
__global__ void group_norm_bwd(Group<T> g, Cut cut, int room, const float* mean, const float* rstd,
                               const T* dy, const T* add, T* dx, T* dshift, SampleSums to) {
  __shared__ float fold[kTerms][kThreads], of_channel[2][kThreads];
  const Tile<kWidth> tile(g.d.pixels, g.d.channels, cut);
  Channels<kWidth> channels;
  channels.read_parameters(g, tile, of_channel);
  channels.read_statistics(g, tile, mean, rstd, of_channel);
  const int vectors = tile.rows * tile.width, of_x = room < vectors ? room : vectors;
  auto* const memory = dynamic_shared<Pack<T, kWidth>>();
  const Kept<kWidth, kAll, T> x(g.x, memory, of_x), grad(dy, memory + of_x, room - of_x);
  const ColumnSums<kWidth> sums[kTerms] = {{tile, fold[0]}, {tile, fold[1]}, {tile, fold[2]}};
  sum_terms(g, tile, channels, x, grad, sums);
  const int c = int(threadIdx.x);
  if (c < tile.cols)
#pragma unroll
    for (int term = 0; term < kTerms; ++term)
      to.at(tile.batch, term, tile.first_col + c) = sums[term].of(c);
  const auto means = [&](Term term, float* of) {
    over_groups(
        tile.cols, g.width(),
        [&](int i) { return g.weight[tile.first_col + i] * sums[term].of(i); },
        [&](int i, int, float total) { of[i] = total / g.count(); });
  };
  float *const a_of = of_channel[0], *const b_of = of_channel[1];
  means(kDu, a_of);
  means(kDuNormal, b_of);
  if (dshift != nullptr && c < tile.cols) {
    const int64_t channel = tile.first_col + c;
    const float r = rstd[tile.batch * g.d.groups + channel / g.width()];
    store(dshift + tile.batch * g.d.channels + channel,
          dshift_of(g, channel, r, a_of[c], b_of[c], sums[kDu].of(c), sums[kNormal].of(c)));
  }
  if (dx == nullptr) return;
  Means<kWidth> own;
  take(a_of, tile, own.a);
  take(b_of, tile, own.b);
  write_dx(g, tile, channels, own, x, grad, add, dx);
}

/// The first of three steps: sums over tiles, [N * tiles, 3, C].
template <int kWidth, class T>
__global__ void group_norm_bwd_sums(Group<T> g, Cut cut, int64_t tiles, const float* mean,
                                    const float* rstd, const T* dy, SampleSums to) {
  __shared__ float fold[kTerms][kThreads], of_channel[2][kThreads];
  const Tile<kWidth> tile(g.d.pixels, g.d.channels, cut);
  Channels<kWidth> channels;
  channels.read_parameters(g, tile, of_channel);
  channels.read_statistics(g, tile, mean, rstd, of_channel);
  const ColumnSums<kWidth> sums[kTerms] = {{tile, fold[0]}, {tile, fold[1]}, {tile, fold[2]}};
  using X = NotKept<kWidth, T>;
  sum_terms(g, tile, channels, X{g.x}, X{dy}, sums);
  const int c = int(threadIdx.x);
  if (c < tile.cols)
#pragma unroll
    for (int term = 0; term < kTerms; ++term)
      to.at(tile.batch * tiles + tile.down, term, tile.first_col + c) = sums[term].of(c);
}

/// The second, a warp a group: a and b, [N, groups], and the gradient of the shift.
template <class T>
__global__ void group_norm_bwd_groups(Group<T> g, const float* rstd, SampleSums sums, T* dshift,
                                      float2* means) {
  const int64_t group = int64_t(blockIdx.x) * blockDim.y + threadIdx.y;
  if (group >= g.d.batch * g.d.groups) return;
  const DivMod at(group, g.d.groups);
  const int64_t n = at.quotient, first = at.remainder * g.width();
  float a = 0, b = 0;
  for (int c = int(threadIdx.x); c < g.width(); c += 32) {
    const float weight = g.weight[first + c];
    a += weight * sums.at(n, kDu, first + c);
    b += weight * sums.at(n, kDuNormal, first + c);
  }
  a = warp_reduce(a, Add{}) / g.count();
  b = warp_reduce(b, Add{}) / g.count();
  if (threadIdx.x == 0) means[group] = {a, b};
  if (dshift == nullptr) return;
  for (int64_t c = first + threadIdx.x; c < first + g.width(); c += 32)
    store(dshift + n * g.d.channels + c,
          dshift_of(g, c, rstd[group], a, b, sums.at(n, kDu, c), sums.at(n, kNormal, c)));
}

/// The third.
template <int kWidth, class T>
__global__ void group_norm_bwd_dx(Group<T> g, Cut cut, const float* mean, const float* rstd,
                                  const float2* means, const T* dy, const T* add, T* dx) {
  __shared__ float a_of[kThreads], b_of[kThreads], of_channel[2][kThreads];
  const Tile<kWidth> tile(g.d.pixels, g.d.channels, cut);
  const int c = int(threadIdx.x);
  if (c < tile.cols) {
    const DivMod group(tile.first_col + c, g.width());
    const float2 m = means[tile.batch * g.d.groups + group.quotient];
    a_of[c] = m.x;
    b_of[c] = m.y;
  }
  Channels<kWidth> channels;
  channels.read_parameters(g, tile, of_channel);
  channels.read_statistics(g, tile, mean, rstd, of_channel);
  Means<kWidth> own;
  take(a_of, tile, own.a);
  take(b_of, tile, own.b);
  using X = NotKept<kWidth, T>;
  write_dx(g, tile, channels, own, X{g.x}, X{dy}, add, dx);
}

/// Of groups that no block can keep.
template <int kWidth, class T>
void backward_in_parts(const Group<T>& g, const float* mean, const float* rstd, const T* dy,
                       const T* add, T* dx, T* dshift, SampleSums sums) {
  const auto& d = g.d;
  Scratch scratch;
  const Cut long_tiles = cut_into_tiles<T>(d.batch, d.pixels, d.channels, kWidth, 8, 64);
  const int64_t tiles = long_tiles.down(d.pixels), sums_of_sample = kTerms * d.channels;
  const SampleSums of_tiles{scratch.take<float>(d.batch * tiles * sums_of_sample), d.channels};
  launch("group_norm_backward_sums", group_norm_bwd_sums<kWidth, T>,
         long_tiles.blocks(d.batch, d.pixels, d.channels), kThreads, 0, g, long_tiles, tiles, mean,
         rstd, dy, of_tiles);
  sum_columns("group_norm_backward_samples", of_tiles.data, d.batch, tiles, sums_of_sample,
              StoreSum{sums.data});
  auto* means = scratch.take<float2>(d.batch * d.groups);
  launch("group_norm_backward_groups", group_norm_bwd_groups<T>,
         dim3(unsigned(ceil_div(d.batch * d.groups, 8))), dim3(32, 8), 0, g, rstd, sums, dshift,
         means);
  if (dx == nullptr) return;
  const Cut cut = cut_into_tiles<T>(d.batch, d.pixels, d.channels, kWidth, 4, 16);
  launch("group_norm_backward", group_norm_bwd_dx<kWidth, T>,
         cut.blocks(d.batch, d.pixels, d.channels), kThreads, 0, g, cut, mean, rstd, means, dy, add,
         dx);
}

}  // namespace

template <class T>
void group_norm_backward(const T* x, const T* shift, const acc_t<T>* weight, const acc_t<T>* bias,
                         const acc_t<T>* mean, const acc_t<T>* rstd, const T* dy, const T* add,
                         T* dx, acc_t<T>* dweight, acc_t<T>* dbias, T* dshift, bool accumulate,
                         const GroupNormDims& d) {
  const Group<T> g{x, shift, weight, bias, d};
  Scratch scratch;
  const SampleSums sums{scratch.take<float>(d.batch * kTerms * d.channels), d.channels};
  const auto run = [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    const auto cut = tiles_of_groups<T>(d, kWidth, 2);
    if (!cut) return backward_in_parts<kWidth>(g, mean, rstd, dy, add, dx, dshift, sums);
    with_room<T>(*cut, 2, [&](auto all, std::size_t bytes) {
      launch("group_norm_backward", group_norm_bwd<kWidth, decltype(all)::value, T>,
             cut->blocks(d.batch, d.pixels, d.channels), kThreads, bytes, g, *cut,
             bytes / sizeof(Pack<T, kWidth>), mean, rstd, dy, add, dx, dshift, sums);
    });
  };
  if (d.batch * d.channels > 0) with_width<T>(d.channels, run, x, dy, add, dx);
  if (dweight != nullptr || dbias != nullptr)
    sum_columns("group_norm_dweight", sums.data, 1, d.batch, kTerms * d.channels,
                StoreTwoGradients{dbias, dweight, d.channels, accumulate});
}

#define NOISETTE_INSTANTIATE(T)                                                                    \
  template void group_norm_backward<T>(const T*, const T*, const float*, const float*,             \
                                       const float*, const float*, const T*, const T*, T*, float*, \
                                       float*, T*, bool, const GroupNormDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cuda
