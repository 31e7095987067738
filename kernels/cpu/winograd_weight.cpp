// The weight gradient: with V and M as in winograd.h, U's gradient at point p is the product
//
//   dU[p] [O, C] = dM[p]^T [O, tiles] * V[p] [tiles, C]        dM = A dy A^T
//
// summed over all tiles, and dg = G^T dU G: O by C as in the weight, so that vectors of dU become
// vectors of the gradient. dU is cut into blocks of some output channels and kTileCols input
// channels.
//
// Few tiles of many channels: V and dM of all tiles are made first, and a block of dU is summed and
// transformed back in the cache. Otherwise chunks of tiles are added to a dU in memory: the shape
// cuts the tiles into one, two or four parts, whose sums are added in order. Where there are no
// more threads than parts, a thread has whole parts; else all threads take one chunk after the
// other and share out the blocks of dU. Both run the same sums.
#include "kernels/cpu/gemm_tile.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/winograd.h"
#include "kernels/cpu/winograd_tiles.h"

namespace noisette::cpu {
namespace {

using namespace winograd;
using lanes::kLanes;
using lanes::Vec;

/// Tiles of a chunk: of a thread's own, and of one that threads share. Whole runs of kTileTerms, so
/// that no sum depends on it.
constexpr int64_t kOwnTiles = kTileTerms, kSharedTiles = 4 * kTileTerms;
/// The sums of all parts together.
constexpr int64_t kSumBytes = 16 << 20;
/// Tiles that a part has at least, so that adding up the parts is little beside the products.
constexpr int64_t kMinTiles = 128;
constexpr int64_t kMostParts = 4;

/// Output channels of a block of dU in memory.
constexpr int64_t kBlockRows = 64;
/// The same of a block in the cache.
constexpr int64_t kCachedRows = 32;
/// Such blocks that share what they read of V, before the next of it comes into the second-level
/// cache: their dM stays there.
constexpr int64_t kTogether = 8;

/// Tiles whose points lie together: as many as are added up at a time, or half of them where there
/// are no more.
constexpr int64_t kGroup = kTileTerms, kSmallGroup = kGroup / 2;
template <class S, int64_t Tiles = kGroup>
using V = Points<S, kTileCols, Tiles>;
template <class S, int64_t Rows = kBlockRows, int64_t Tiles = kGroup>
using M = Points<S, Rows, Tiles>;

/// Tiles that are added up at a time. Fewer where the definition's sums are hardly longer than
/// those of ThreeTapsSmall: what sums add to the error of F(4, 3)'s transforms has to be small.
template <class S>
int64_t tiles_together(const ConvDims& d) {
  constexpr int64_t kFew = 8, kMostTerms = 1024;
  const bool few = S::kPatch == 6 && terms_of(ConvPass::backward_weight, d) < kMostTerms;
  return few ? kFew : kTileTerms;
}

/// G^T u, the first half of G^T dU G. In f64 where few tiles are added up at a time: there it is a
/// tenth of the error.
template <class S>
void filter_back(const Vec (&u)[S::kPatch], Vec (&g)[S::kTaps], int64_t together) {
  if (together == kTileTerms) return S::filter_transposed(u, g);
  typedef double Wide __attribute__((vector_size(kLanes * sizeof(double))));
  Wide from[S::kPatch], to[S::kTaps];
  for (int i = 0; i < S::kPatch; ++i) from[i] = __builtin_convertvector(u[i], Wide);
  S::filter_transposed(from, to);
  for (int a = 0; a < S::kTaps; ++a) g[a] = __builtin_convertvector(to[a], Vec);
}

/// The blocks of dU: point p of a block at p * kPoint, as a matrix [kBlockRows, kTileCols].
template <class S>
struct Blocks {
  static constexpr int64_t kPoint = spread(kBlockRows * kTileCols);
  static constexpr int64_t kNumel = S::kPoints * kPoint;
  int64_t down, across;  // their numbers along O and along C
  explicit Blocks(const ConvDims& d)
      : down(ceil_div(d.out_c, kBlockRows)), across(ceil_div(d.in_c, kTileCols)) {}
  int64_t count() const { return down * across; }
  int64_t row(int64_t number) const { return number / across; }
  int64_t col(int64_t number) const { return number % across; }
};

/// V and dM of `count` tiles from `first` on.
template <class S, class T, int64_t Rows, int64_t Tiles>
void transform(const T* x, const T* dy, int64_t first, int64_t count, const V<S, Tiles>& v,
               const M<S, Rows, Tiles>& m, const ConvDims& d) {
  const Grid in = Grid::patches<S>(d), out = Grid::outputs<S>(d);
  parallel_items(count, v.numel(count) + m.numel(count), [&](int64_t t) {
    gather<S::kPatch, S>(x, in, first + t, v, t,
                         [](const auto& d, auto& out) { S::input(d, out); });
    gather<S::kTile, S>(dy, out, first + t, m, t,
                        [](const auto& d, auto& out) { S::output_transposed(d, out); });
  });
}

/// Adds the tiles of v and m to point p of a block of dU, or begins it with them.
template <class S>
void multiply(const V<S>& v, const M<S>& m, int64_t row, int64_t col, int64_t p, int64_t count,
              float* du, bool add, const ConvDims& d) {
  const int64_t rows = std::min(kBlockRows, d.out_c - row * kBlockRows);
  const int64_t together = tiles_together<S>(d);
  for (int64_t t = 0; t < count; t += kGroup)
    for (int64_t o = 0; o < rows; o += kTileRows)
      gemm_rows(std::min<int64_t>(kTileRows, rows - o), m.at(row * kBlockRows + o, p, t), 1,
                kBlockRows, v.at(col * kTileCols, p, t), kTileCols,
                du + p * Blocks<S>::kPoint + o * kTileCols, kTileCols, std::min(kGroup, count - t),
                add || t > 0, together);
}

/// dg = G^T dU G of one output channel and a vector of input channels, of dU's `parts` sums, which
/// lie `stride` apart; g[a] is tap a.
template <class S>
void transform_back(const float* du, int64_t parts, int64_t stride, int64_t together,
                    Vec (&g)[S::kTaps * S::kTaps]) {
  Vec half[S::kTaps][S::kPatch];
  for (int j = 0; j < S::kPatch; ++j) {
    Vec column[S::kPatch], out[S::kTaps];
    for (int i = 0; i < S::kPatch; ++i) {
      const float* point = du + (i * S::kPatch + j) * Blocks<S>::kPoint;
      column[i] = lanes::read(point);
      for (int64_t q = 1; q < parts; ++q) column[i] += lanes::read(point + q * stride);
    }
    filter_back<S>(column, out, together);
    for (int a = 0; a < S::kTaps; ++a) half[a][j] = out[a];
  }
  for (int a = 0; a < S::kTaps; ++a) {
    Vec out[S::kTaps];
    S::filter_transposed(half[a], out);
    for (int b = 0; b < S::kTaps; ++b) g[a * S::kTaps + b] = out[b];
  }
}

/// Whether a whole gradient is written past the caches: it leaves them anyhow before it is read.
bool past_caches(const float* dweight, bool accumulate, const ConvDims& d) {
  constexpr int64_t kBytes = 32 << 20;
  return lanes::kLineWrites && !accumulate && d.in_c % kLanes == 0 &&
         reinterpret_cast<uintptr_t>(dweight) % 64 == 0 &&
         d.weight_numel() * int64_t(sizeof(float)) >= kBytes;
}

/// Writes the filters from up to kTileCols input channels from c on to `rows` output channels from
/// o on: filters(r, l, g) gives those to channel o + r from channel c + l on, tap a in g[a] a
/// vector of input channels. Whole panels at a time: single lines far from each other are written
/// half as fast as pairs of them.
template <class S, class F>
void write_filters(int64_t o, int64_t rows, int64_t c, const F& filters, float* dweight,
                   bool accumulate, const ConvDims& d) {
  constexpr int kAll = S::kTaps * S::kTaps, kVectors = kTileCols / kLanes;
  constexpr int64_t kAhead = 2;  // rows that are called for before they are read or written
  const int64_t n = std::min(kTileCols, d.in_c - c);
  const bool past = past_caches(dweight, accumulate, d);
  const auto at = [&](int64_t r, int a) { return dweight + ((o + r) * kAll + a) * d.in_c + c; };
  for (int64_t r = 0; r < rows; ++r) {
    if (!past && r + kAhead < rows)
      for (int a = 0; a < kAll; ++a)
        for (int64_t l = 0; l < n; l += kLanes) __builtin_prefetch(at(r + kAhead, a) + l, 1);
    Vec g[kVectors][kAll];
    for (int k = 0; k < kVectors; ++k) filters(r, k * kLanes, g[k]);
    for (int a = 0; a < kAll; ++a)
      for (int k = 0; k < kVectors; ++k) {
        float* const to = at(r, a) + k * kLanes;
        const int64_t left = std::clamp<int64_t>(n - k * kLanes, 0, kLanes);
        if (past && left > 0)
          lanes::write_line(to, g[k][a]);
        else
          lanes::write(to, accumulate ? lanes::read(to, left) + g[k][a] : g[k][a], left);
      }
  }
  if (past) lanes::end_line_writes();
}

/// The gradient of the filters of one block.
template <class S>
void finish(const float* du, int64_t parts, int64_t stride, int64_t row, int64_t col,
            float* dweight, bool accumulate, const ConvDims& d) {
  const int64_t o = row * kBlockRows;
  write_filters<S>(
      o, std::min(kBlockRows, d.out_c - o), col * kTileCols,
      [&](int64_t r, int64_t l, auto& g) {
        transform_back<S>(du + r * kTileCols + l, parts, stride, tiles_together<S>(d), g);
      },
      dweight, accumulate, d);
}

/// dU of kCachedRows output channels and a panel of input channels, transformed back column by
/// column, so that it stays in the cache: G^T dU, element (a, j) a matrix [kCachedRows, kTileCols].
template <class S>
struct HalfBack {
  static constexpr int64_t kMatrix = kCachedRows * kTileCols;
  static constexpr int64_t kNumel = (S::kTaps + 1) * S::kPatch * kMatrix;
  float* data;  // and after it the points of one column

  float* half(int a, int j) const { return data + (a * S::kPatch + j) * kMatrix; }

  /// To n output channels from o on, `together` tiles at a time.
  template <int64_t Tiles>
  void sum(const V<S, Tiles>& v, const M<S, kCachedRows, Tiles>& m, int64_t o, int64_t n, int64_t c,
           int64_t tiles, int64_t together) const {
    constexpr int64_t kRows = kLanes / 2;
    static_assert(kCachedRows % kRows == 0);
    for (int j = 0; j < S::kPatch; ++j) {
      for (int i = 0; i < S::kPatch; ++i)
        for (int64_t r = 0; r < n; r += kRows)
          for (int64_t t = 0; t < tiles; t += Tiles)
            gemm_rows<kRows>(std::min(kRows, n - r), m.at(o + r, i * S::kPatch + j, t), 1,
                             kCachedRows, v.at(c, i * S::kPatch + j, t), kTileCols,
                             half(S::kTaps, i) + r * kTileCols, kTileCols,
                             std::min(Tiles, tiles - t), t > 0, together);
      for (int64_t at = 0; at < n * kTileCols; at += kLanes) {
        Vec column[S::kPatch], out[S::kTaps];
        for (int i = 0; i < S::kPatch; ++i) column[i] = lanes::read(half(S::kTaps, i) + at);
        filter_back<S>(column, out, together);
        for (int a = 0; a < S::kTaps; ++a) lanes::write(half(a, j) + at, out[a]);
      }
    }
  }

  /// The filters to one output channel from a vector of input channels.
  void filters(int64_t at, Vec (&g)[S::kTaps * S::kTaps]) const {
    for (int a = 0; a < S::kTaps; ++a) {
      Vec row[S::kPatch], out[S::kTaps];
      for (int j = 0; j < S::kPatch; ++j) row[j] = lanes::read(half(a, j) + at);
      S::filter_transposed(row, out);
      for (int b = 0; b < S::kTaps; ++b) g[a * S::kTaps + b] = out[b];
    }
  }
};

/// All tiles at once, block by block.
template <class S, int64_t Tiles, class T>
void at_once(const T* x, const T* dy, float* dweight, bool accumulate, const ConvDims& d,
             int64_t tiles) {
  Scratch scratch;
  V<S, Tiles> v(d.in_c);
  M<S, kCachedRows, Tiles> m(d.out_c);
  v.data = scratch.take<float>(v.numel(tiles));
  m.data = scratch.take<float>(m.numel(tiles));
  transform<S>(x, dy, 0, tiles, v, m, d);
  const int64_t down = ceil_div(d.out_c, kCachedRows), across = ceil_div(d.in_c, kTileCols);
  parallel_items(down * across, d.weight_numel(), [&](int64_t b) {
    // kTogether blocks of a column, then the same of the next one.
    const int64_t above = b / (kTogether * across) * kTogether;
    const int64_t height = std::min(kTogether, down - above), in = b - above * across;
    const int64_t o = (above + in % height) * kCachedRows, c = in / height * kTileCols;
    const int64_t rows = std::min(kCachedRows, d.out_c - o);
    Scratch own;
    const HalfBack<S> du{own.take<float>(HalfBack<S>::kNumel)};
    du.sum(v, m, o, rows, c, tiles, tiles_together<S>(d));
    write_filters<S>(
        o, rows, c, [&](int64_t r, int64_t l, auto& g) { du.filters(r * kTileCols + l, g); },
        dweight, accumulate, d);
  });
}

/// du = the sum over the tiles [begin, end), in chunks.
template <class S, class T>
void add_tiles(const T* x, const T* dy, int64_t begin, int64_t end, int64_t chunk, float* du,
               const ConvDims& d) {
  const Blocks<S> blocks(d);
  Scratch scratch;
  V<S> v(d.in_c);
  M<S> m(d.out_c);
  v.data = scratch.take<float>(v.numel(chunk));
  m.data = scratch.take<float>(m.numel(chunk));
  for (int64_t first = begin; first < end; first += chunk) {
    const int64_t count = std::min(chunk, end - first);
    transform<S>(x, dy, first, count, v, m, d);
    // All blocks of a point in turn: they share its V and dM.
    const int64_t n = blocks.count();
    parallel_items(S::kPoints * n, n * Blocks<S>::kNumel, [&](int64_t item) {
      const int64_t p = item / n, b = item % n;
      multiply<S>(v, m, blocks.row(b), blocks.col(b), p, count, du + b * Blocks<S>::kNumel,
                  first > begin, d);
    });
  }
}

template <class S, class T>
void in_parts(const T* x, const T* dy, float* dweight, bool accumulate, const ConvDims& d,
              int64_t tiles) {
  const Blocks<S> blocks(d);
  const int64_t numel = blocks.count() * Blocks<S>::kNumel;
  int64_t parts = 1;
  while (parts < kMostParts && 2 * parts * kMinTiles <= tiles &&
         2 * parts * numel * int64_t(sizeof(float)) <= kSumBytes)
    parts *= 2;

  Scratch scratch;
  float* du = scratch.take<float>(parts * numel);
  const int64_t share = ceil_div(ceil_div(tiles, parts), kTileTerms) * kTileTerms;
  const bool by_part = parts > 1 && omp_get_max_threads() <= parts;
  const auto add_part = [&](int64_t q) {
    const int64_t begin = q * share;  // every part has tiles: kMinTiles is more than a run
    add_tiles<S>(x, dy, begin, std::min(begin + share, tiles), by_part ? kOwnTiles : kSharedTiles,
                 du + q * numel, d);
  };
  if (by_part)
    parallel_items(parts, tiles * numel, add_part);
  else
    for (int64_t q = 0; q < parts; ++q) add_part(q);
  parallel_items(blocks.count(), numel, [&](int64_t b) {
    finish<S>(du + b * Blocks<S>::kNumel, parts, numel, blocks.row(b), blocks.col(b), dweight,
              accumulate, d);
  });
}

template <class S, class T>
void backward_weight(const T* x, const T* dy, float* dweight, bool accumulate, const ConvDims& d) {
  const int64_t tiles = d.batch * Grid::patches<S>(d).per_image();
  const Blocks<S> blocks(d);
  const int64_t points = tiles * (blocks.down * kBlockRows + blocks.across * kTileCols);
  if (points > blocks.count() * kBlockRows * kTileCols)
    in_parts<S>(x, dy, dweight, accumulate, d, tiles);
  else if (tiles > kSmallGroup)
    at_once<S, kGroup>(x, dy, dweight, accumulate, d, tiles);
  else
    at_once<S, kSmallGroup>(x, dy, dweight, accumulate, d, tiles);
}

}  // namespace

template <class T>
void winograd_backward_weight(const T* x, const T* dy, float* dweight, bool accumulate,
                              const ConvDims& d) {
  with_scheme(ConvPass::backward_weight, d,
              [&]<class S>(S) { backward_weight<S>(x, dy, dweight, accumulate, d); });
}

#define NOISETTE_INSTANTIATE(T) \
  template void winograd_backward_weight(const T*, const T*, float*, bool, const ConvDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
