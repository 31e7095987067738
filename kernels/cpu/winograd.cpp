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

/// The transformed filters U, as gemm_rows reads them: for each point and each kTileCols output channels a panel
/// [C, kTileCols]. The last panel is filled up with zeros.
struct Filters {
  const float* data;
  int64_t in, out;

  int64_t panels() const { return ceil_div(out, kTileCols); }
  int64_t point() const { return panels() * in * kTileCols; }
  int64_t numel() const { return kPoints * point(); }
  const float* panel(int64_t p, int64_t n) const { return data + p * point() + n * in * kTileCols; }
};

/// U = G g G^T of the filters g[a, b] of `lanes` output channels, for one input channel.
void transform_filter(const Vec (&g)[3][3], float* u, int64_t point_stride) {
  Vec half[3][kPatch];
  for (int a = 0; a < 3; ++a) filter_transform(g[a], half[a]);
  for (int j = 0; j < kPatch; ++j) {
    const Vec column[3] = {half[0][j], half[1][j], half[2][j]};
    Vec out[kPatch];
    filter_transform(column, out);
    for (int i = 0; i < kPatch; ++i) lanes::write(u + (i * kPatch + j) * point_stride, out[i]);
  }
}

/// Filters of the forward pass, from weight [O, 3, 3, C].
template <class T>
void transform_forward(const T* weight, float* u, const Filters& f) {
  const int64_t blocks = f.panels() * 2;
  parallel_items(blocks, f.numel(), [&](int64_t block) {
    const int64_t o = block * kLanes, there = std::clamp<int64_t>(f.out - o, 0, kLanes);
    float* to = u + block / 2 * f.in * kTileCols + block % 2 * kLanes;
    for (int64_t c = 0; c < f.in; ++c) {
      Vec g[3][3] = {};
      for (int a = 0; a < 9; ++a)
        for (int64_t l = 0; l < there; ++l)
          g[a / 3][a % 3][l] = float(weight[((o + l) * 9 + a) * f.in + c]);
      transform_filter(g, to + c * kTileCols, f.point());
    }
  });
}

/// Filters of the data gradient, a convolution of dy [.., O] to dx [.., C]: turned by half a turn, with in and out
/// exchanged.
template <class T>
void transform_backward(const T* weight, float* u, const Filters& f) {
  const int64_t blocks = f.panels() * 2;
  parallel_items(blocks, f.numel(), [&](int64_t block) {
    const int64_t c = block * kLanes, there = std::clamp<int64_t>(f.out - c, 0, kLanes);
    float* to = u + block / 2 * f.in * kTileCols + block % 2 * kLanes;
    for (int64_t o = 0; o < f.in; ++o) {
      Vec g[3][3] = {};
      if (there > 0)
        for (int a = 0; a < 9; ++a)
          g[a / 3][a % 3] = lanes::read(weight + (o * 9 + 8 - a) * f.out + c, there);
      transform_filter(g, to + o * kTileCols, f.point());
    }
  });
}

/// Bytes of V and M that one thread works on at a time: what a second-level cache holds.
constexpr int64_t kChunkBytes = 640 << 10;
/// Filters larger than this are read by one thread each instead of by every thread: all work on one large chunk.
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

template <class T>
void convolve(const T* x, const Filters& f, const float* bias, const T* add, T* y,
              const ConvDims& d) {
  const Grid in = Grid::patches(d), out = Grid::outputs(d);
  const int64_t tiles = d.batch * in.per_image();
  const int64_t tile_bytes = Points(1, d.in_c).numel() + Points(1, d.out_c).numel();
  const bool joint = f.numel() * int64_t(sizeof(float)) > kSharedFilters;
  const int64_t fitting = (joint ? kJointBytes : kChunkBytes) / int64_t(sizeof(float)) / tile_bytes;
  const int64_t chunk = std::min(tiles, ceil_div(fitting, kTileRows) * kTileRows);
  const int64_t chunks = ceil_div(tiles, chunk);

  const auto work = [&](int64_t number) {
    const int64_t first = number * chunk, count = std::min(chunk, tiles - first);
    Points v(count, d.in_c), m(count, d.out_c);
    Scratch scratch;
    v.data = scratch.take<float>(v.numel());
    m.data = scratch.take<float>(m.numel());
    parallel_items(count, v.numel(), [&](int64_t t) {
      gather<kPatch>(x, in, first + t, v.at(0, t), v.point,
                     [](const auto& d, auto& out) { input_transform(d, out); });
    });
    // Filters come in panels; a few of them make an item, so that many threads have work.
    const int64_t group = 4, groups = ceil_div(f.panels(), group);
    parallel_items(kPoints * groups, m.numel(), [&](int64_t item) {
      const int64_t p = item / groups, n = item % groups * group;
      multiply(v, f, p, n, std::min(f.panels(), n + group), m, count);
    });
    parallel_items(count, m.numel(),
                   [&](int64_t t) { scatter(m.at(0, t), m.point, bias, add, y, out, first + t); });
  };
  if (joint || chunks < omp_get_max_threads())
    for (int64_t i = 0; i < chunks; ++i) work(i);
  else
    parallel_items(chunks, d.x_numel() + kSerial, work);
}

}  // namespace

// In units of one multiplication and addition of a product. Per tile: 36 products against 9 for each of its pixels
// inside the image. Transforms cost kPerPoint for each value of V and M, and kPerFilter for each of U, which is what
// a few tiles with many channels are bound by. Fitted to times of both forms on two AVX2 cores (docs/winograd.md);
// kMargin keeps the definition where the difference is small.
bool winograd_pays(ConvPass pass, const ConvDims& d) {
  if (!winograd_takes(d)) return false;
  constexpr double kPerPoint = 15, kMargin = 1.15;
  const double kPerFilter = pass == ConvPass::backward_weight ? 65 : 35;
  const double in = double(d.in_c), out = double(d.out_c);
  const double tiles = double(d.batch * Grid::patches(d).per_image());
  const double direct = 9 * double(d.y_numel()) * in;
  const double products = kPoints * tiles * in * double(padded(d.out_c));
  const double transforms = kPoints * (kPerPoint * tiles * (in + out) + kPerFilter * in * out);
  return direct > kMargin * (products + transforms);
}

template <class T>
void winograd_forward(const T* x, const T* weight, const float* bias, const T* residual, T* y,
                      const ConvDims& d) {
  Scratch scratch;
  Filters f{nullptr, d.in_c, d.out_c};
  float* u = scratch.take<float>(f.numel());
  transform_forward(weight, u, f);
  f.data = u;
  convolve(x, f, bias, residual, y, d);
}

template <class T>
void winograd_backward_data(const T* dy, const T* weight, const T* add, T* dx, const ConvDims& d) {
  const ConvDims mirrored{
      d.batch, d.out_h(), d.out_w(),     d.out_c,        d.in_c,           3,
      3,       1,         2 - d.pad_top, 2 - d.pad_left, 2 - d.pad_bottom, 2 - d.pad_right};
  Scratch scratch;
  Filters f{nullptr, d.out_c, d.in_c};
  float* u = scratch.take<float>(f.numel());
  transform_backward(weight, u, f);
  f.data = u;
  convolve(dy, f, static_cast<const float*>(nullptr), add, dx, mirrored);
}

#define NOISETTE_INSTANTIATE(T)                                                                    \
  template void winograd_forward(const T*, const T*, const float*, const T*, T*, const ConvDims&); \
  template void winograd_backward_data(const T*, const T*, const T*, T*, const ConvDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
