#include "kernels/cpu/winograd.h"

#include <omp.h>

#include "kernels/cpu/gemm_tile.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/winograd_few.h"
#include "kernels/cpu/winograd_tiles.h"

namespace noisette::cpu {
namespace {

using namespace winograd;
using lanes::kLanes;
using lanes::Vec;

/// The weight as filters are read from it. `turned`: the filters of the data gradient, turned by
/// half a turn, which lead from the weight's rows to its columns.
template <class S, class T, bool turned>
struct Weight {
  static constexpr int kAll = S::kTaps * S::kTaps;
  static constexpr bool kTurned = turned;
  const T* data;
  int64_t columns;

  const T* at(int64_t row, int64_t tap, int64_t column) const {
    return data + (row * kAll + tap) * columns + column;
  }

  /// Tap a from m <= kLanes input channels to n <= kLanes output channels: lane l of tap[j], j <
  /// kLanes, leads from channel from + j to channel to + l. Outside the filters it is zero.
  void read(int64_t to, int64_t n, int64_t from, int64_t m, int a, Vec* tap) const {
    const int64_t rows = turned ? m : n, length = turned ? n : m, row = kAll * columns;
    const T* p = turned ? at(from, kAll - 1 - a, to) : at(to, a, from);
    auto& lines = reinterpret_cast<Vec(&)[kLanes]>(*tap);
    if (rows == kLanes && length == kLanes)
      for (int64_t l = 0; l < kLanes; ++l) lines[l] = lanes::read(p + l * row);
    else
      for (int64_t l = 0; l < kLanes; ++l)
        lines[l] = l < rows && length > 0 ? lanes::read(p + l * row, length) : Vec{};
    if (!turned) lanes::transpose(lines);
  }

  /// Calls for share p of S::kPoints of the filters between these channels: short stretches of
  /// memory far from each other, which the CPU doesn't foresee.
  void prefetch(int64_t to, int64_t to_end, int64_t from, int64_t from_end, int64_t p) const {
    constexpr int64_t kLine = 64 / sizeof(T);
    const int64_t row = turned ? from : to, lines = kAll * ((turned ? from_end : to_end) - row);
    const int64_t column = turned ? to : from, end = turned ? to_end : from_end;
    for (int64_t i = lines * p / S::kPoints; i < lines * (p + 1) / S::kPoints; ++i)
      for (int64_t c = column; c < end; c += kLine)
        __builtin_prefetch(at(row + i / kAll, i % kAll, c), 0, 2);
  }
};

/// U = G g G^T for the filters from one input channel to a vector of output channels; point p goes
/// to u[p * point_stride].
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

/// The same of taps[a][j], a the taps.
template <class S, class Taps>
void transform_taps(const Taps& taps, int64_t j, float* u, int64_t point_stride) {
  Vec g[S::kTaps][S::kTaps];
  for (int a = 0; a < S::kTaps * S::kTaps; ++a) g[a / S::kTaps][a % S::kTaps] = taps[a][j];
  transform_filter<S>(g, u, point_stride);
}

/// The taps of the filters from kRunTerms input channels to kRunCols output channels: as many as
/// make the stretches of memory they are read from long enough for the CPU to foresee. A core that
/// waits for lines one by one reads 59 MB of weights in as long a time as it multiplies by them.
template <class S>
struct FilterRun {
  static constexpr int64_t kRunTerms = 4 * kTileTerms, kRunCols = kPanels * kTileCols;
  FewTaps<S>* taps;  // [kRunCols / kLanes][kRunTerms / kTileTerms]

  static FilterRun take(Scratch& scratch) {
    return {scratch.take<FewTaps<S>>(kRunCols / kLanes * (kRunTerms / kTileTerms))};
  }
  /// To the vector of output channels `to`, from `from` on; both counted from the run's first.
  FewTaps<S>& at(int64_t to, int64_t from) const {
    return taps[to / kLanes * (kRunTerms / kTileTerms) + from / kTileTerms];
  }

  /// Reads them, in the order in which they lie in memory. Whole panels: zeros after to_end.
  template <class W>
  void read(int64_t to, int64_t to_end, int64_t from, int64_t from_end, const W& weight) const {
    const auto part = [&](int64_t o, int64_t c, int a) {
      weight.read(o, std::clamp<int64_t>(to_end - o, 0, kLanes), c,
                  std::min<int64_t>(kLanes, from_end - c), a,
                  at(o - to, c - from)[a] + (c - from) % kTileTerms);
    };
    const int64_t o_end = to + ceil_div(to_end - to, kTileCols) * kTileCols;
    if constexpr (W::kTurned) {
      for (int64_t c = from; c < from_end; c += kLanes)
        for (int a = 0; a < W::kAll; ++a)
          for (int64_t o = to; o < o_end; o += kLanes) part(o, c, a);
    } else {
      for (int64_t o = to; o < o_end; o += kLanes)
        for (int a = 0; a < W::kAll; ++a)
          for (int64_t c = from; c < from_end; c += kLanes) part(o, c, a);
    }
  }
};

/// The filters from up to kTileTerms input channels to kTileCols output channels, transformed:
/// point p at data + p * point, as a matrix [kTileTerms, kTileCols].
template <class S>
struct Filters {
  float* data = nullptr;
  int64_t point = spread(kTileTerms * kTileCols);

  int64_t numel() const { return S::kPoints * point; }

  /// Of the input channels [from, from_end) to the output channels from `to` on, fewer than to_end.
  template <class W>
  void fill(int64_t to, int64_t to_end, int64_t from, int64_t from_end, const W& weight) const {
    constexpr int kAll = S::kTaps * S::kTaps;
    for (int64_t half = 0; half < kTileCols; half += kLanes)
      for (int64_t c = from; c < from_end; c += kLanes) {
        const int64_t n = std::clamp<int64_t>(to_end - to - half, 0, kLanes);
        const int64_t m = std::min<int64_t>(kLanes, from_end - c);
        Vec taps[kAll][kLanes];
        for (int a = 0; a < kAll; ++a) weight.read(to + half, n, c, m, a, taps[a]);
        for (int64_t j = 0; j < m; ++j)
          transform_taps<S>(taps, j, data + (c - from + j) * kTileCols + half, point);
      }
  }

  /// The same from a run, whose terms from `from` on and columns from `to` on these are.
  void fill(const FilterRun<S>& run, int64_t to, int64_t from, int64_t terms) const {
    for (int64_t half = 0; half < kTileCols; half += kLanes) {
      const FewTaps<S>& taps = run.at(to + half, from);
      for (int64_t j = 0; j < terms; ++j)
        transform_taps<S>(taps, j, data + j * kTileCols + half, point);
    }
  }
};

/// Bytes of weights that are no more found in a cache when they are read: by runs then.
constexpr int64_t kFarBytes = 8 << 20;

/// Tiles whose points lie together: whole tiles of a product.
constexpr int64_t kGroup = 12;
static_assert(kGroup % kTileRows == 0);
/// Tiles that a thread works on by itself, where there are enough of them and their patches take no
/// more than kOwnBytes; else all threads work on chunks of up to kSharedTiles.
constexpr int64_t kOwnTiles = 5 * kGroup, kOwnBytes = 3 << 20, kSharedTiles = 12 * kGroup;

/// V of `count` tiles of x from `first` on.
template <class S, class T, class V>
void transform_patches(const T* x, const Grid& grid, int64_t first, int64_t count, const V& v) {
  parallel_items(count, v.numel(count), [&](int64_t t) {
    gather<S::kPatch, S>(x, grid, first + t, v, t,
                         [](const auto& d, auto& out) { S::input(d, out); });
  });
}

/// y = the convolution of x with the filters of `weight`, + bias + add; at most kFewTiles tiles.
template <class S, class T, class W>
void convolve_few(const T* x, const W& weight, const float* bias, const T* add, T* y,
                  const ConvDims& d, int64_t tiles) {
  using V = Points<S, kTileTerms, kFewTiles>;
  using M = Points<S, kTileCols, kFewTiles>;
  using Run = FilterRun<S>;
  Scratch scratch;
  V v(d.in_c);
  v.data = scratch.take<float>(v.numel(tiles));
  transform_patches<S>(x, Grid::patches<S>(d), 0, tiles, v);
  parallel_items(ceil_div(d.out_c, Run::kRunCols), tiles * S::kPoints * d.out_c, [&](int64_t item) {
    const int64_t begin = item * Run::kRunCols, end = std::min(begin + Run::kRunCols, d.out_c);
    Scratch own;
    const Run run = Run::take(own);
    M m(Run::kRunCols);
    m.data = own.take<float>(m.numel(tiles));
    for (int64_t from = 0; from < d.in_c; from += Run::kRunTerms) {
      const int64_t from_end = std::min(from + Run::kRunTerms, d.in_c);
      run.read(begin, end, from, from_end, weight);
      for (int64_t to = begin; to < end; to += kLanes)
        for (int64_t c = from; c < from_end; c += kTileTerms)
          multiply_few<S>(tiles, run.at(to - begin, c - from), {v.at(c, 0, 0), V::kPoint},
                          {m.at(to - begin, 0, 0), M::kPoint}, std::min(kTileTerms, from_end - c),
                          c > 0);
    }
    for (int64_t t = 0; t < tiles; ++t)
      scatter<S>(m, t, begin, end, bias, add, y, Grid::outputs<S>(d), t);
  });
}

/// The same for any number of tiles.
template <class S, class T, class W>
void convolve(const T* x, const W& weight, const float* bias, const T* add, T* y,
              const ConvDims& d) {
  using V = Points<S, kTileTerms, kGroup>;
  using M = Points<S, kTileCols, kGroup>;
  const Grid in = Grid::patches<S>(d), out = Grid::outputs<S>(d);
  const int64_t tiles = d.batch * in.per_image(), threads = omp_get_max_threads();
  if constexpr (kFewTiles > 0)
    if (tiles <= kFewTiles) return convolve_few<S>(x, weight, bias, add, y, d, tiles);
  const int64_t panels = ceil_div(d.out_c, kTileCols), groups = ceil_div(panels, kPanels);
  const bool shared = tiles < threads * kOwnTiles ||
                      V(d.in_c).numel(kOwnTiles) * int64_t(sizeof(float)) > kOwnBytes;
  // As many chunks for every thread. A tile's result does not depend on the others of its chunk.
  const int64_t shares = shared ? 1 : threads, fitting = shared ? kSharedTiles : kOwnTiles;
  const int64_t chunk = ceil_div(tiles, shares * ceil_div(tiles, shares * fitting));
  const int64_t chunks = ceil_div(tiles, chunk);
  const bool far = d.weight_numel() * int64_t(sizeof(*weight.data)) >= kFarBytes;
  // The panels of a chunk are shared out whole, or in parts where that leaves threads idle.
  const int64_t parts = !shared || panels % threads == 0 || panels > 8 * threads ? 1 : threads;

  const auto work = [&](int64_t number) {
    const int64_t first = number * chunk, count = std::min(chunk, tiles - first);
    Scratch scratch;
    V v(d.in_c);
    v.data = scratch.take<float>(v.numel(count));
    transform_patches<S>(x, in, first, count, v);
    const int64_t part = ceil_div(ceil_div(count, parts), kGroup) * kGroup;
    parallel_items(groups * parts, count * S::kPoints * d.out_c, [&](int64_t item) {
      const int64_t panel = item / parts * kPanels, begin = item % parts * part;
      const int64_t n = std::min(part, count - begin), width = std::min(kPanels, panels - panel);
      if (n <= 0) return;
      const int64_t to = panel * kTileCols, to_end = std::min(to + width * kTileCols, d.out_c);
      Scratch own;
      M m(width * kTileCols);
      Filters<S> u[kPanels];
      m.data = own.take<float>(m.numel(n));
      for (Filters<S>& f : u) f.data = own.take<float>(f.numel());
      const FilterRun<S> run = far ? FilterRun<S>::take(own) : FilterRun<S>{};
      for (int64_t c = 0; c < d.in_c; c += kTileTerms) {
        const int64_t terms = std::min(kTileTerms, d.in_c - c);
        const int64_t run_from = c / FilterRun<S>::kRunTerms * FilterRun<S>::kRunTerms;
        if (far && c == run_from)
          run.read(to, to_end, c, std::min(c + FilterRun<S>::kRunTerms, d.in_c), weight);
        for (int64_t q = 0; q < width; ++q)
          if (far)
            u[q].fill(run, q * kTileCols, c - run_from, terms);
          else
            u[q].fill(to + q * kTileCols, d.out_c, c, c + terms, weight);
        const int64_t next = c + terms, next_end = std::min(next + kTileTerms, d.in_c);
        for (int64_t p = 0; p < S::kPoints; ++p) {
          if (!far) weight.prefetch(to, to_end, next, next_end, p);
          for (int64_t t = 0; t < n; t += kTileRows) {
            for (int64_t l = 0; l < kTileRows * kTileTerms; l += 16)
              __builtin_prefetch(v.at(c, p + 1, begin + t) + l);
            for (int64_t q = 0; q < width; ++q)
              gemm_rows(std::min<int64_t>(kTileRows, n - t), v.at(c, p, begin + t), kTileTerms, 1,
                        u[q].data + p * u[q].point, kTileCols, m.at(q * kTileCols, p, t), kTileCols,
                        terms, c > 0);
          }
        }
      }
      for (int64_t t = 0; t < n; ++t)
        scatter<S>(m, t, to, to_end, bias, add, y, out, first + begin + t);
    });
  };
  if (shared)
    for (int64_t i = 0; i < chunks; ++i) work(i);
  else
    parallel_items(chunks, d.x_numel() + kSerial, work);
}

}  // namespace

// In units of one multiplication and addition of the direct form. Per tile: one product a point
// against one a tap for each of its pixels inside the image. Transforms cost kPerPoint for each
// value of V and M; those of filters kPerFilter for each value of U, which is what a few tiles with
// many channels are bound by. Fitted to times of both forms (docs/winograd.md); kMargin keeps the
// definition where the difference is small.
bool winograd_pays(ConvPass pass, const ConvDims& d, double direct_rate) {
  if (!winograd_takes(d)) return false;
  constexpr double kPerProduct = 1.4, kPerPoint = 22, kMargin = 1.05;
  const double per_filter = pass == ConvPass::backward_weight ? 14 : 8;
  const double in = double(d.in_c), out = double(d.out_c);
  const double direct = d.flops() / 2 / direct_rate;
  const double winograd = with_scheme(pass, d, [&]<class S>(S) {
    const double tiles = double(d.batch * Grid::patches<S>(d).per_image());
    const double products = tiles * in * double(ceil_div(d.out_c, kTileCols) * kTileCols);
    return S::kPoints *
           (kPerProduct * products + kPerPoint * tiles * (in + out) + per_filter * in * out);
  });
  return direct > kMargin * winograd;
}

template <class T>
void winograd_forward(const T* x, const T* weight, const float* bias, const T* residual, T* y,
                      const ConvDims& d) {
  with_scheme(ConvPass::forward, d, [&]<class S>(S) {
    convolve<S>(x, Weight<S, T, false>{weight, d.in_c}, bias, residual, y, d);
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
  with_scheme(ConvPass::backward_data, d, [&]<class S>(S) {
    convolve<S>(dy, Weight<S, T, true>{weight, d.in_c}, static_cast<const float*>(nullptr), add, dx,
                mirrored);
  });
}

#define NOISETTE_INSTANTIATE(T)                                                                    \
  template void winograd_forward(const T*, const T*, const float*, const T*, T*, const ConvDims&); \
  template void winograd_backward_data(const T*, const T*, const T*, T*, const ConvDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
