// The weight gradient: with V and M as in winograd.h, U's gradient at point p is the product
//
//   dU[p] [C, O] = V[p]^T [C, tiles] * dM[p] [tiles, O]        dM = A dy A^T
//
// summed over all tiles, and dg = G^T dU G. The shape cuts the tiles into one, two or four parts,
// whose sums are added in order. Where there are no more threads than parts, a thread has whole
// parts, with chunks of tiles that stay in its own cache; else all threads take one chunk after the
// other and share out the points and rows of dU. Both run the same sums.
#include "kernels/cpu/gemm_tile.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/winograd.h"
#include "kernels/cpu/winograd_tiles.h"

namespace noisette::cpu {
namespace {

using namespace winograd;
using lanes::kLanes;
using lanes::Vec;

/// V and dM of one chunk together: what the last cache before memory holds.
constexpr int64_t kChunkBytes = 3 << 20;
/// The same where a thread has a chunk of its own.
constexpr int64_t kOwnChunkBytes = 640 << 10;
/// The sums of all parts together.
constexpr int64_t kSumBytes = 16 << 20;
/// Tiles that a part has at least, so that adding up the parts is little beside the products.
constexpr int64_t kMinTiles = 128;
constexpr int64_t kMostParts = 4;

/// Channels on both sides that are brought from dU to dweight at a time: cache lines of both.
constexpr int64_t kBlock = 16;

/// The sums of the parts, in their order: part q of dU at du.data + q * part.
struct Sums {
  Points du;  // of part 0
  int64_t parts, part;
};

/// dg = G^T dU G of one input channel and a vector of output channels; tap a of output channel l
/// goes to dg[(l * kTaps^2 + a) * kBlock].
template <class S>
void transform_back(const float* du, const Sums& sums, float* dg) {
  constexpr int kAll = S::kTaps * S::kTaps;
  Vec half[S::kTaps][S::kPatch];
  for (int j = 0; j < S::kPatch; ++j) {
    Vec column[S::kPatch], out[S::kTaps];
    for (int i = 0; i < S::kPatch; ++i) {
      const float* point = du + (i * S::kPatch + j) * sums.du.point;
      column[i] = lanes::read(point);
      for (int64_t q = 1; q < sums.parts; ++q) column[i] += lanes::read(point + q * sums.part);
    }
    S::filter_transposed(column, out);
    for (int a = 0; a < S::kTaps; ++a) half[a][j] = out[a];
  }
  for (int a = 0; a < S::kTaps; ++a) {
    Vec out[S::kTaps];
    S::filter_transposed(half[a], out);
    for (int b = 0; b < S::kTaps; ++b)
      for (int64_t l = 0; l < kLanes; ++l) dg[(l * kAll + a * S::kTaps + b) * kBlock] = out[b][l];
  }
}

/// The gradient of the filters from input channels [c0, c0 + kBlock) to output channels [o0, o0 +
/// kBlock). The rows of dU are input channels; beyond the last output channel they are zero.
template <class S>
void add_block(const Sums& sums, int64_t c0, int64_t o0, float* dweight, bool accumulate,
               const ConvDims& d) {
  constexpr int64_t kAll = S::kTaps * S::kTaps;
  const int64_t nc = std::min(kBlock, d.in_c - c0), no = std::min(kBlock, d.out_c - o0);
  float dg[kBlock * kAll * kBlock];
  for (int64_t c = 0; c < nc; ++c)
    for (int64_t o = 0; o < kBlock; o += kLanes)
      transform_back<S>(sums.du.at(0, c0 + c) + o0 + o, sums, dg + o * kAll * kBlock + c);
  for (int64_t row = 0; row < no * kAll; ++row) {
    float* to = dweight + (o0 * kAll + row) * d.in_c + c0;
    const float* from = dg + row * kBlock;
    if (accumulate)
      for (int64_t c = 0; c < nc; ++c) to[c] += from[c];
    else
      std::copy_n(from, nc, to);
  }
}

/// du = the sum over the tiles [begin, end), in chunks of about `bytes`. Chunks are whole runs of
/// kTileTerms tiles, so that their size changes no sum.
template <class S, class T>
void add_tiles(const T* x, const T* dy, int64_t begin, int64_t end, int64_t bytes, const Points& du,
               const ConvDims& d) {
  constexpr int64_t kPoints = S::kPoints;
  const Grid in = Grid::patches<S>(d), out = Grid::outputs<S>(d);
  const int64_t C = d.in_c, O = d.out_c;
  const int64_t tile_floats = kPoints * (Points(1, C).row + Points(1, O).row);
  const int64_t runs = bytes / int64_t(sizeof(float)) / tile_floats / kTileTerms;
  const int64_t chunk = std::max<int64_t>(1, runs) * kTileTerms;

  Scratch scratch;
  Points v(chunk, C), m(chunk, O);
  v.data = scratch.take<float>(kPoints * v.point);
  m.data = scratch.take<float>(kPoints * m.point);
  if (padded(O) != O) std::fill_n(m.data, kPoints * m.point, 0.0f);  // the columns beyond O
  const int64_t group = 4 * kTileRows, groups = ceil_div(C, group);

  for (int64_t first = begin; first < end; first += chunk) {
    const int64_t count = std::min(chunk, end - first);
    parallel_items(count, kPoints * (v.point + m.point), [&](int64_t t) {
      gather<S::kPatch, S::kPatch>(x, in, first + t, v.at(0, t), v.point,
                                   [](const auto& d, auto& out) { S::input(d, out); });
      gather<S::kTile, S::kPatch>(dy, out, first + t, m.at(0, t), m.point,
                                  [](const auto& d, auto& out) { S::output_transposed(d, out); });
    });
    parallel_items(kPoints * groups, kPoints * du.point, [&](int64_t item) {
      const int64_t p = item / groups, from = item % groups * group;
      for (int64_t o = 0; o < O; o += kTileCols)
        for (int64_t c = from; c < std::min(C, from + group); c += kTileRows)
          gemm_rows(std::min<int64_t>(kTileRows, C - c), v.at(p, 0) + c, 1, v.row, m.at(p, 0) + o,
                    m.row, du.at(p, c) + o, du.row, count, first > begin);
    });
  }
}

template <class S, class T>
void backward_weight(const T* x, const T* dy, float* dweight, bool accumulate, const ConvDims& d) {
  const int64_t C = d.in_c, O = d.out_c;
  const int64_t tiles = d.batch * Grid::patches<S>(d).per_image();
  Sums sums{Points(C, O), 1, 0};
  sums.part = S::kPoints * sums.du.point;
  while (sums.parts < kMostParts && 2 * sums.parts * kMinTiles <= tiles &&
         2 * sums.parts * sums.part * int64_t(sizeof(float)) <= kSumBytes)
    sums.parts *= 2;

  Scratch scratch;
  sums.du.data = scratch.take<float>(sums.parts * sums.part);
  const int64_t share = ceil_div(ceil_div(tiles, sums.parts), kTileTerms) * kTileTerms;
  const bool by_part = sums.parts > 1 && omp_get_max_threads() <= sums.parts;
  const auto add_part = [&](int64_t q) {
    Points du = sums.du;
    du.data += q * sums.part;
    const int64_t begin = q * share;  // every part has tiles: kMinTiles is more than a run
    add_tiles<S>(x, dy, begin, std::min(begin + share, tiles),
                 by_part ? kOwnChunkBytes : kChunkBytes, du, d);
  };
  if (by_part)
    parallel_items(sums.parts, tiles * sums.part, add_part);
  else
    for (int64_t q = 0; q < sums.parts; ++q) add_part(q);

  const int64_t across = ceil_div(C, kBlock);
  parallel_items(across * ceil_div(O, kBlock), sums.part, [&](int64_t block) {
    add_block<S>(sums, block % across * kBlock, block / across * kBlock, dweight, accumulate, d);
  });
}

}  // namespace

template <class T>
void winograd_backward_weight(const T* x, const T* dy, float* dweight, bool accumulate,
                              const ConvDims& d) {
  with_scheme(d.kernel_h, [&]<class S>(S) { backward_weight<S>(x, dy, dweight, accumulate, d); });
}

#define NOISETTE_INSTANTIATE(T) \
  template void winograd_backward_weight(const T*, const T*, float*, bool, const ConvDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
