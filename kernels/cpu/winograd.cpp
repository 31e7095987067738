#include "kernels/cpu/winograd.h"

#include <omp.h>

#include "kernels/cpu/gemm_tile.h"
#include "kernels/cpu/kept_filters.h"
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

/// Which filters the pass takes from `weight`.
FilterKey key_of(ConvPass pass, const ConvDims& d, const void* weight) {
  const bool turned = pass == ConvPass::backward_data;
  return {weight, turned, d.kernel_h, turned ? d.out_c : d.in_c, turned ? d.in_c : d.out_c};
}

template <class S>
int64_t numel_of(const FilterKey& key) {
  return Filters{nullptr, S::kPoints, key.in, key.out}.numel();
}

/// The filters under `key`: kept ones, or made by `fill` where they are to be kept or in `scratch`.
template <class S, class Fill>
Filters filters_of(const FilterKey& key, Scratch& scratch, const Fill& fill) {
  const int64_t numel = numel_of<S>(key);
  const KeptFilters kept = kept_filters(key, numel);
  float* u = kept.data != nullptr ? kept.data : scratch.take<float>(numel);
  if (!kept.filled) fill(u);
  return {u, S::kPoints, key.in, key.out};
}

/// Fills u. read(to, n, from, a) gives tap a of the filters from input channel `from` to the
/// n <= kLanes output channels from `to` on; the other lanes are zero.
template <class S, class Read>
void transform(float* u, int64_t in, int64_t out, const Read& read) {
  const Filters f{u, S::kPoints, in, out};
  parallel_items(f.panels() * 2, f.numel(), [&](int64_t block) {
    const int64_t to = block * kLanes, n = std::clamp<int64_t>(out - to, 0, kLanes);
    float* panel = u + block / 2 * in * kTileCols + block % 2 * kLanes;
    for (int64_t from = 0; from < in; ++from) {
      Vec g[S::kTaps][S::kTaps] = {};
      if (n > 0)
        for (int a = 0; a < S::kTaps * S::kTaps; ++a)
          g[a / S::kTaps][a % S::kTaps] = read(to, n, from, a);
      transform_filter<S>(g, panel + from * kTileCols, f.point());
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
  const int64_t fitting = std::max<int64_t>(
      kTileRows, (joint ? kJointBytes : kChunkBytes) / int64_t(sizeof(float)) / tile_floats);
  // As many chunks for every thread. A tile's result does not depend on the others of its chunk.
  const int64_t shares = joint ? 1 : omp_get_max_threads();
  const int64_t chunk = ceil_div(tiles, shares * ceil_div(tiles, shares * fitting));
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

// In units of one multiplication and addition of a product. Per tile: one product a point against
// one a tap for each of its pixels inside the image. Transforms cost kPerPoint for each value of V
// and M, and kPerFilter for each of U, which is what a few tiles with many channels are bound by.
// Fitted to times of both forms on two AVX2 cores (docs/winograd.md); kMargin keeps the definition
// where the difference is small.
bool winograd_pays(ConvPass pass, const ConvDims& d, bool filters_kept) {
  if (!winograd_takes(d)) return false;
  constexpr double kPerPoint = 15, kMargin = 1.15;
  const double per_filter = filters_kept && pass != ConvPass::backward_weight ? 0 : 35;
  const double in = double(d.in_c), out = double(d.out_c);
  const double direct = d.flops() / 2;
  const double winograd = with_scheme(d.kernel_h, [&]<class S>(S) {
    const double tiles = double(d.batch * Grid::patches<S>(d).per_image());
    const double products = tiles * in * double(padded(d.out_c));
    return S::kPoints * (products + kPerPoint * tiles * (in + out) + per_filter * in * out);
  });
  return direct > kMargin * winograd;
}

bool winograd_keeps_filters(ConvPass pass, const ConvDims& d, const void* weight) {
  if (!winograd_takes(d) || pass == ConvPass::backward_weight) return false;
  const FilterKey key = key_of(pass, d, weight);
  return with_scheme(d.kernel_h,
                     [&]<class S>(S) { return can_keep_filters(key, numel_of<S>(key)); });
}

template <class T>
void winograd_forward(const T* x, const T* weight, const float* bias, const T* residual, T* y,
                      const ConvDims& d) {
  with_scheme(d.kernel_h, [&]<class S>(S) {
    constexpr int kAll = S::kTaps * S::kTaps;
    const auto read = [&](int64_t o, int64_t n, int64_t c, int a) {
      Vec g = {};
      for (int64_t l = 0; l < n; ++l) g[l] = float(weight[((o + l) * kAll + a) * d.in_c + c]);
      return g;
    };
    Scratch scratch;
    const Filters filters =
        filters_of<S>(key_of(ConvPass::forward, d, weight), scratch,
                      [&](float* u) { transform<S>(u, d.in_c, d.out_c, read); });
    convolve<S>(x, filters, bias, residual, y, d);
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
  // dx is the convolution of dy with the filters turned by half a turn, in and out exchanged.
  with_scheme(d.kernel_h, [&]<class S>(S) {
    constexpr int kAll = S::kTaps * S::kTaps;
    const auto read = [&](int64_t c, int64_t n, int64_t o, int a) {
      return lanes::read(weight + (o * kAll + kAll - 1 - a) * d.in_c + c, n);
    };
    Scratch scratch;
    const Filters filters =
        filters_of<S>(key_of(ConvPass::backward_data, d, weight), scratch,
                      [&](float* u) { transform<S>(u, d.out_c, d.in_c, read); });
    convolve<S>(dy, filters, static_cast<const float*>(nullptr), add, dx, mirrored);
  });
}

#define NOISETTE_INSTANTIATE(T)                                                                    \
  template void winograd_forward(const T*, const T*, const float*, const T*, T*, const ConvDims&); \
  template void winograd_backward_data(const T*, const T*, const T*, T*, const ConvDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
