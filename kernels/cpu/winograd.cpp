#include "kernels/cpu/winograd.h"

#include <omp.h>

#include "kernels/cpu/gemm_tile.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/winograd_tiles.h"

namespace noisette::cpu {
namespace {

using namespace winograd;
using lanes::kLanes;
using lanes::Vec;

/// The transformed filters U, as gemm_rows reads them: for each point and each kTileCols output
/// channels a panel [C, kTileCols]. The last panel is filled up with zeros.
struct Filters {
  const float* data;
  int64_t points, in, out;

  int64_t panels() const { return ceil_div(out, kTileCols); }
  int64_t point() const { return panels() * in * kTileCols; }
  int64_t numel() const { return points * point(); }
  const float* panel(int64_t p, int64_t n) const { return data + p * point() + n * in * kTileCols; }
};

/// U = G g G^T of the filters g[a, b] of a vector of output channels, for one input channel.
template <class S>
void transform_filter(const Vec (&g)[S::kTaps][S::kTaps], float* u, int64_t point_stride) {
  Vec half[S::kTaps][S::kPatch];
  for (int a = 0; a < S::kTaps; ++a) S::filter(g[a], half[a]);
  for (int j = 0; j < S::kPatch; ++j) {
    Vec column[S::kTaps], out[S::kPatch];
    for (int a = 0; a < S::kTaps; ++a) column[a] = half[a][j];
    S::filter(column, out);
    for (int i = 0; i < S::kPatch; ++i)
      lanes::write(u + (i * S::kPatch + j) * point_stride, out[i]);
  }
}

/// Filters of the forward pass, from weight [O, r, r, C].
template <class S, class T>
void transform_forward(const T* weight, float* u, const Filters& f) {
  constexpr int kTaps = S::kTaps, kAll = kTaps * kTaps;
  parallel_items(f.panels() * 2, f.numel(), [&](int64_t block) {
    const int64_t o = block * kLanes, there = std::clamp<int64_t>(f.out - o, 0, kLanes);
    float* to = u + block / 2 * f.in * kTileCols + block % 2 * kLanes;
    for (int64_t c = 0; c < f.in; ++c) {
      Vec g[kTaps][kTaps] = {};
      for (int a = 0; a < kAll; ++a)
        for (int64_t l = 0; l < there; ++l)
          g[a / kTaps][a % kTaps][l] = float(weight[((o + l) * kAll + a) * f.in + c]);
      transform_filter<S>(g, to + c * kTileCols, f.point());
    }
  });
}

/// Filters of the data gradient, a convolution of dy [.., O] to dx [.., C]: turned by half a turn,
/// with in and out exchanged.
template <class S, class T>
void transform_backward(const T* weight, float* u, const Filters& f) {
  constexpr int kTaps = S::kTaps, kAll = kTaps * kTaps;
  parallel_items(f.panels() * 2, f.numel(), [&](int64_t block) {
    const int64_t c = block * kLanes, there = std::clamp<int64_t>(f.out - c, 0, kLanes);
    float* to = u + block / 2 * f.in * kTileCols + block % 2 * kLanes;
    for (int64_t o = 0; o < f.in; ++o) {
      Vec g[kTaps][kTaps] = {};
      if (there > 0)
        for (int a = 0; a < kAll; ++a)
          g[a / kTaps][a % kTaps] =
              lanes::read(weight + (o * kAll + kAll - 1 - a) * f.out + c, there);
      transform_filter<S>(g, to + o * kTileCols, f.point());
    }
  });
}

/// Bytes of V and M that one thread works on at a time: what a second-level cache holds.
constexpr int64_t kChunkBytes = 640 << 10;
/// Filters larger than this are read by one thread each instead of by every thread: all work on one
/// large chunk.
constexpr int64_t kSharedFilters = 8 << 20;
constexpr int64_t kJointBytes = 8 << 20;

/// Point p of M = V U, for the panels [first, last) of U.
void multiply(const Points& v, const Filters& f, int64_t p, int64_t first, int64_t last,
              const Points& m, int64_t tiles) {
  for (int64_t n = first; n < last; ++n)
    for (int64_t t = 0; t < tiles; t += kTileRows)
      gemm_rows(std::min<int64_t>(kTileRows, tiles - t), v.at(p, t), v.row, 1, f.panel(p, n),
                kTileCols, m.at(p, t) + n * kTileCols, m.row, f.in, false);
}

template <class S, class T>
void convolve(const T* x, const Filters& f, const float* bias, const T* add, T* y,
              const ConvDims& d) {
  const Grid in = Grid::patches<S>(d), out = Grid::outputs<S>(d);
  const int64_t tiles = d.batch * in.per_image();
  const int64_t tile_floats = S::kPoints * (Points(1, d.in_c).row + Points(1, d.out_c).row);
  const bool joint = f.numel() * int64_t(sizeof(float)) > kSharedFilters;
  const int64_t fitting =
      (joint ? kJointBytes : kChunkBytes) / int64_t(sizeof(float)) / tile_floats;
  const int64_t chunk =
      std::min(tiles, std::max<int64_t>(1, ceil_div(fitting, kTileRows)) * kTileRows);
  const int64_t chunks = ceil_div(tiles, chunk);

  const auto work = [&](int64_t number) {
    const int64_t first = number * chunk, count = std::min(chunk, tiles - first);
    Points v(count, d.in_c), m(count, d.out_c);
    Scratch scratch;
    v.data = scratch.take<float>(S::kPoints * v.point);
    m.data = scratch.take<float>(S::kPoints * m.point);
    parallel_items(count, S::kPoints * v.point, [&](int64_t t) {
      gather<S::kPatch, S::kPatch>(x, in, first + t, v.at(0, t), v.point,
                                   [](const auto& d, auto& out) { S::input(d, out); });
    });
    // Filters come in panels; a few of them make an item, so that many threads have work.
    const int64_t group = 4, groups = ceil_div(f.panels(), group);
    parallel_items(S::kPoints * groups, S::kPoints * m.point, [&](int64_t item) {
      const int64_t p = item / groups, n = item % groups * group;
      multiply(v, f, p, n, std::min(f.panels(), n + group), m, count);
    });
    parallel_items(count, S::kPoints * m.point, [&](int64_t t) {
      scatter<S>(m.at(0, t), m.point, bias, add, y, out, first + t);
    });
  };
  if (joint || chunks < omp_get_max_threads())
    for (int64_t i = 0; i < chunks; ++i) work(i);
  else
    parallel_items(chunks, d.x_numel() + kSerial, work);
}

}  // namespace

namespace {

/// Calls f with the scheme for the kernel of d.
template <class F>
auto with_scheme(const ConvDims& d, const F& f) {
  return d.kernel_h == 3 ? f(ThreeTaps{}) : f(TwoTaps{});
}

}  // namespace

// In units of one multiplication and addition of a product. Per tile: one product a point against
// one a tap for each of its pixels inside the image. Transforms cost kPerPoint for each value of V
// and M, and kPerFilter for each of U, which is what a few tiles with many channels are bound by.
// Fitted to times of both forms on two AVX2 cores (docs/winograd.md); kMargin keeps the definition
// where the difference is small.
bool winograd_pays(ConvPass pass, const ConvDims& d) {
  if (!winograd_takes(d)) return false;
  constexpr double kPerPoint = 15, kMargin = 1.15;
  const double per_filter = pass == ConvPass::backward_weight ? 65 : 35;
  const double in = double(d.in_c), out = double(d.out_c);
  const double direct = d.flops() / 2;
  const double winograd = with_scheme(d, [&]<class S>(S) {
    const double tiles = double(d.batch * Grid::patches<S>(d).per_image());
    const double products = tiles * in * double(padded(d.out_c));
    return S::kPoints * (products + kPerPoint * tiles * (in + out) + per_filter * in * out);
  });
  return direct > kMargin * winograd;
}

template <class T>
void winograd_forward(const T* x, const T* weight, const float* bias, const T* residual, T* y,
                      const ConvDims& d) {
  with_scheme(d, [&]<class S>(S) {
    Scratch scratch;
    Filters f{nullptr, S::kPoints, d.in_c, d.out_c};
    float* u = scratch.take<float>(f.numel());
    transform_forward<S>(weight, u, f);
    f.data = u;
    convolve<S>(x, f, bias, residual, y, d);
  });
}

template <class T>
void winograd_backward_data(const T* dy, const T* weight, const T* add, T* dx, const ConvDims& d) {
  const int64_t r = d.kernel_h, most = r - 1;
  const ConvDims mirrored{.batch = d.batch,
                          .in_h = d.out_h(),
                          .in_w = d.out_w(),
                          .in_c = d.out_c,
                          .out_c = d.in_c,
                          .kernel_h = r,
                          .kernel_w = r,
                          .stride = 1,
                          .pad_top = most - d.pad_top,
                          .pad_left = most - d.pad_left,
                          .pad_bottom = most - d.pad_bottom,
                          .pad_right = most - d.pad_right};
  with_scheme(d, [&]<class S>(S) {
    Scratch scratch;
    Filters f{nullptr, S::kPoints, d.out_c, d.in_c};
    float* u = scratch.take<float>(f.numel());
    transform_backward<S>(weight, u, f);
    f.data = u;
    convolve<S>(dy, f, static_cast<const float*>(nullptr), add, dx, mirrored);
  });
}

#define NOISETTE_INSTANTIATE(T)                                                                    \
  template void winograd_forward(const T*, const T*, const float*, const T*, T*, const ConvDims&); \
  template void winograd_backward_data(const T*, const T*, const T*, T*, const ConvDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
