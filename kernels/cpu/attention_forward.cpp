// Fused attention, forward. A work unit is a run of query rows of one head. It walks over tiles of
// keys; of the scores only one block of query rows by one tile of keys exists at a time, normalised
// by a running maximum.
#include <omp.h>

#include <cmath>
#include <numbers>

#include "kernels/cpu/attention_pack.h"
#include "kernels/cpu/attention_tiled.h"
#include "kernels/cpu/scratch.h"

namespace noisette::cpu {
namespace {

using namespace tile;

constexpr int64_t kBlock = 64;  // query rows whose scores exist at one time
constexpr float kLog2e = std::numbers::log2e_v<float>;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

template <class T>
class Forward {
  using Dot = DotOf<T>;
  using Word = typename Dot::Word;

 public:
  explicit Forward(const AttentionDims& dims) : d(dims) {
    columns = round_up(d.head_dim, kLanes);
    // K^T and V of a tile stay in L2: 2 x 32768 words are 256 KB.
    const int64_t fit = std::clamp<int64_t>(32768 / columns / 16 * 16, 64, 256);
    key_tile = std::min(fit, round_up(d.keys, kLanes));
    // A long run packs the keys less often. Rows do not depend on the run they are in.
    const int64_t wanted = 4 * omp_get_max_threads();
    run = 256;
    while (run > kBlock && d.batch * d.heads * ceil_div(d.queries, run) < wanted) run /= 2;
    runs = ceil_div(d.queries, run);
  }

  void operator()(const T* q, const T* k, const T* v, T* o, float* lse) const {
    const int64_t units = d.batch * d.heads * runs;
    const int threads = threads_for(units, d.batch * d.heads * d.queries * d.keys * d.head_dim);
    const int64_t bytes = Tiles(*this, nullptr).bytes;
    Scratch scratch;
    std::byte* const memory = scratch.take<std::byte>(threads * bytes);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int64_t u = 0; u < units; ++u) {
      const Tiles tiles(*this, memory + omp_get_thread_num() * bytes);
      const int64_t head = u / runs % d.heads, n = u / runs / d.heads, row = u % runs * run;
      const int64_t rows = std::min(run, d.queries - row);
      const int64_t column = head * d.head_dim;
      pack_rows<Dot>(q + (n * d.queries + row) * d.q_stride + column, d.q_stride, rows,
                     round_up(rows, kRows), d.head_dim, tiles.q);
      const int64_t visible = d.causal ? std::min(d.keys, row + rows) : d.keys;
      for (int64_t key = 0; key < visible; key += key_tile)
        add_keys(k + (n * d.keys + key) * d.k_stride + column,
                 v + (n * d.keys + key) * d.v_stride + column, row, rows, key, tiles);
      write(tiles, rows, o + (n * d.queries + row) * d.o_stride + column,
            lse ? lse + (n * d.heads + head) * d.queries + row : nullptr);
    }
  }

 private:
  struct Tiles {
    Tiles(const Forward& f, std::byte* base) {
      Cutter cut(base);
      q = cut.take<Word>(f.run * row_words<Dot>(f.d.head_dim));
      k_rows = cut.take<Word>(f.key_tile * row_words<Dot>(f.d.head_dim));
      k = cut.take<Word>(f.key_tile * words<Dot>(f.d.head_dim));
      v = cut.take<Word>(f.key_tile / Dot::kPack * f.columns);
      scores = cut.take<float>(kBlock * padded_stride(f.key_tile));
      if constexpr (Dot::kPack == 1)
        p = scores;  // overwritten in place
      else
        p = cut.take<Word>(kBlock * row_words<Dot>(f.key_tile));
      o = cut.take<float>(f.run * padded_stride(f.columns));
      max = cut.take<float>(f.run);
      sum = cut.take<float>(f.run);
      bytes = cut.bytes();
    }
    Word *q, *k_rows, *k, *v, *p;
    float *scores, *o, *max, *sum;  // max: of the scores in units of log 2
    int64_t bytes;
  };

  /// Adds the keys [key, key + key_tile) to the running softmax of query rows [row, row + rows).
  void add_keys(const T* k, const T* v, int64_t row, int64_t rows, int64_t key,
                const Tiles& t) const {
    const int64_t count = std::min(key_tile, d.keys - key), padded = round_up(count, kLanes);
    pack_rows<Dot>(k, d.k_stride, count, padded, d.head_dim, t.k_rows);
    pack_transposed<Dot>(t.k_rows, padded, d.head_dim, t.k);
    pack_panels<Dot>(v, d.v_stride, count, padded, d.head_dim, t.v);
    const int64_t depth = words<Dot>(d.head_dim), q_stride = row_words<Dot>(d.head_dim);
    const int64_t s_stride = padded_stride(key_tile), p_stride = row_words<Dot>(key_tile);
    const int64_t o_stride = padded_stride(columns);
    for (int64_t r = 0; r < rows; r += kBlock) {
      const int64_t block = round_up(std::min(kBlock, rows - r), kRows);
      if (d.causal && key >= row + std::min(rows, r + kBlock)) continue;
      product<Dot>({t.q + r * q_stride, q_stride, 1}, {t.k, depth * kLanes}, block, padded / kLanes,
                   depth, t.scores, s_stride, false);
      for (int64_t i = 0; i < block; ++i) {
        const int64_t visible = d.causal ? std::min(count, row + r + i + 1 - key) : count;
        softmax_row(t.scores + i * s_stride, visible, padded, key == 0, t.max[r + i], t.sum[r + i],
                    t.o + (r + i) * o_stride, t.p + i * p_stride);
      }
      product<Dot>({t.p, p_stride, 1}, {t.v, padded / Dot::kPack * kLanes}, block, columns / kLanes,
                   padded / Dot::kPack, t.o + r * o_stride, o_stride, key > 0);
    }
  }

  /// Turns a row of products q.k into exp(score - max); rescales what the row has gathered so far.
  void softmax_row(float* s, int64_t visible, int64_t padded, bool first, float& max, float& sum,
                   float* o, Word* p) const {
    const Vec scale = splat(float(d.scale) * kLog2e);
    Vec top = splat(first ? -kInfinity : max);
    for (int64_t j = 0; j < padded; j += kLanes) {
      Vec x = load<Vec>(s + j) * scale;
      if (visible < j + kLanes) x = keep_first(x, visible - j, -kInfinity);
      store(s + j, x);
      top = x > top ? x : top;
    }
    const float new_max = reduce_max(top);
    Vec total = {};
    for (int64_t j = 0; j < padded; j += kLanes) {
      const Vec e = exp2(load<Vec>(s + j) - new_max);
      total += e;
      Dot::store_along(p, j, e);
    }
    const float tile_sum = reduce_sum(total);
    if (first) {
      sum = tile_sum;
    } else {
      const float shrink = exp2(splat(max - new_max))[0];
      sum = sum * shrink + tile_sum;
      if (shrink != 1.f)
        for (int64_t c = 0; c < columns; c += kLanes) store(o + c, load<Vec>(o + c) * shrink);
    }
    max = new_max;
  }

  void write(const Tiles& t, int64_t rows, T* o, float* lse) const {
    for (int64_t r = 0; r < rows; ++r) {
      const float* from = t.o + r * padded_stride(columns);
      const float inverse = 1.f / t.sum[r];
      for (int64_t c = 0; c < d.head_dim; c += kLanes)
        lanes::write(o + r * d.o_stride + c, load<Vec>(from + c) * inverse, d.head_dim - c);
      if (lse) lse[r] = t.max[r] / kLog2e + std::log(t.sum[r]);
    }
  }

  AttentionDims d;
  int64_t columns, key_tile, run, runs;
};

/// Softmax over nothing.
template <class T>
void no_keys(T* o, float* lse, const AttentionDims& d) {
  for (int64_t r = 0; r < d.batch * d.queries; ++r)
    std::fill_n(o + r * d.o_stride, d.heads * d.head_dim, T{});
  if (lse) std::fill_n(lse, d.batch * d.heads * d.queries, -kInfinity);
}

}  // namespace

template <class T>
void tiled_attention_forward(const T* q, const T* k, const T* v, T* o, float* lse,
                             const AttentionDims& d) {
  if (d.batch * d.heads * d.queries * d.head_dim == 0) return;
  if (d.keys == 0) return no_keys(o, lse, d);
  Forward<T> forward(d);
  forward(q, k, v, o, lse);
}

template void tiled_attention_forward(const float*, const float*, const float*, float*, float*,
                                      const AttentionDims&);
template void tiled_attention_forward(const bfloat16*, const bfloat16*, const bfloat16*, bfloat16*,
                                      float*, const AttentionDims&);

}  // namespace noisette::cpu
