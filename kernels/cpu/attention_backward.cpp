// Fused attention, backward. With delta_i = sum_c do[i,c] * o[i,c], all sums over the visible keys
// or queries,
//   P = exp(scale * Q K^T - lse),  dS = P * (dO V^T - delta)
//   dV = P^T dO,  dK = scale * dS^T Q,  dQ = scale * dS K
// A work unit is a range of keys of one head. It walks over tiles of its keys and, inside, over
// blocks of query rows: five products each. dK and dV of a tile are complete when the walk over the
// queries ends; dQ gathers in f32. When there are few heads, the keys are cut into ranges (by the
// shape alone) and their dQ added up in order.
#include <omp.h>

#include <numbers>

#include "kernels/cpu/attention_pack.h"
#include "kernels/cpu/attention_tiled.h"
#include "kernels/cpu/scratch.h"

namespace noisette::cpu {
namespace {

using namespace tile;

constexpr int64_t kMinUnits = 16;  // work units to aim at where there are few heads
constexpr float kLog2e = std::numbers::log2e_v<float>;

template <class T>
struct BackwardArgs {
  const T *q, *k, *v, *o, *dout;
  const float* lse;
  T *dq, *dk, *dv;
};

template <class T>
class Backward {
  using Dot = DotOf<T>;
  using Word = typename Dot::Word;

 public:
  Backward(const BackwardArgs<T>& args, const AttentionDims& dims) : a(args), d(dims) {
    columns = round_up(d.head_dim, kLanes);
    block = columns > 256 ? 32 : 64;
    const int64_t heads = d.batch * d.heads;
    const int64_t pieces = std::max<int64_t>(1, std::min(ceil_div(kMinUnits, heads), d.keys / 64));
    range = std::max<int64_t>(kLanes, round_up(ceil_div(d.keys, pieces), kLanes));
    ranges = std::max<int64_t>(1, ceil_div(d.keys, range));
    // Five tiles of keys live at once: 5 x 32768 words are 640 KB.
    key_tile = std::min(std::clamp<int64_t>(32768 / columns / 16 * 16, 32, 256), range);
    dq_size = round_up(d.queries, kRows) * padded_stride(columns);
  }

  void operator()() const {
    const int64_t units = d.batch * d.heads * ranges;
    const int threads = threads_for(units, d.batch * d.heads * d.queries * d.keys * d.head_dim);
    const int64_t bytes = Tiles(*this, nullptr).bytes;
    Scratch scratch;
    std::byte* const memory = scratch.take<std::byte>(threads * bytes);
    float* const log2_lse = scratch.take<float>(d.batch * d.heads * d.queries);
    float* const delta = scratch.take<float>(d.batch * d.heads * d.queries);
    float* const sums = scratch.take<float>((ranges == 1 ? threads : units) * dq_size);
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
#pragma omp for schedule(static)
      for (int64_t row = 0; row < d.batch * d.queries; ++row) prepare_row(row, log2_lse, delta);
#pragma omp for schedule(dynamic)
      for (int64_t u = 0; u < units; ++u) {
        const int thread = omp_get_thread_num();
        Tiles tiles(*this, memory + thread * bytes);
        const int64_t h = u / ranges;
        tiles.log2_lse = log2_lse + h * d.queries;
        tiles.delta = delta + h * d.queries;
        tiles.dq = sums + (ranges == 1 ? thread : u) * dq_size;
        unit(h, u % ranges * range, tiles);
        if (ranges == 1)
          for (int64_t i = 0; i < d.queries; ++i) write_dq(h, i, tiles.dq);
      }
#pragma omp for schedule(static)
      for (int64_t row = 0; row < (ranges == 1 ? 0 : d.batch * d.heads * d.queries); ++row)
        write_dq(row / d.queries, row % d.queries, sums + row / d.queries * ranges * dq_size);
    }
  }

 private:
  struct Tiles {
    Tiles(const Backward& b, std::byte* base) {
      Cutter cut(base);
      const int64_t depth = words<Dot>(b.d.head_dim), rows = row_words<Dot>(b.d.head_dim);
      kv_rows = cut.take<Word>(b.key_tile * rows);
      kt = cut.take<Word>(b.key_tile * depth);
      vt = cut.take<Word>(b.key_tile * depth);
      k = cut.take<Word>(b.key_tile / Dot::kPack * b.columns);
      q_rows = cut.take<Word>(b.block * rows);
      do_rows = cut.take<Word>(b.block * rows);
      q = cut.take<Word>(b.block / Dot::kPack * b.columns);
      dout = cut.take<Word>(b.block / Dot::kPack * b.columns);
      p = cut.take<float>(b.block * padded_stride(b.key_tile));
      ds = cut.take<float>(b.block * padded_stride(b.key_tile));
      if constexpr (Dot::kPack == 1) {  // overwritten in place
        p_across = p;
        ds_along = ds_across = ds;
      } else {
        p_across = cut.take<Word>(b.block / Dot::kPack * padded_stride(b.key_tile));
        ds_across = cut.take<Word>(b.block / Dot::kPack * padded_stride(b.key_tile));
        ds_along = cut.take<Word>(b.block * row_words<Dot>(b.key_tile));
      }
      dk = cut.take<float>(b.key_tile * padded_stride(b.columns));
      dv = cut.take<float>(b.key_tile * padded_stride(b.columns));
      bytes = cut.bytes();
    }
    Word *kv_rows, *kt, *vt, *k;            // this tile of keys: transposed for S and dP; K for dQ
    Word *q_rows, *do_rows, *q, *dout;      // this block of queries, both ways
    float *p, *ds;                          // the block's S, then P; dP, then dS
    Word *p_across, *ds_across, *ds_along;  // the same as words
    float *dk, *dv, *dq;
    const float *log2_lse, *delta;
    int64_t bytes;
  };

  const T* at(const T* x, int64_t h, int64_t length, int64_t row, int64_t stride) const {
    return x + (h / d.heads * length + row) * stride + h % d.heads * d.head_dim;
  }
  T* at(T* x, int64_t h, int64_t length, int64_t row, int64_t stride) const {
    return x + (h / d.heads * length + row) * stride + h % d.heads * d.head_dim;
  }

  /// delta and the log-sum-exp in units of log 2, for all heads of one row of o.
  void prepare_row(int64_t row, float* log2_lse, float* delta) const {
    for (int64_t head = 0; head < d.heads; ++head) {
      const int64_t column = row * d.o_stride + head * d.head_dim;
      Vec sum = {};
      for (int64_t c = 0; c < d.head_dim; c += kLanes)
        sum += lanes::read(a.o + column + c, d.head_dim - c) *
               lanes::read(a.dout + column + c, d.head_dim - c);
      const int64_t i = (row / d.queries * d.heads + head) * d.queries + row % d.queries;
      delta[i] = reduce_sum(sum);
      log2_lse[i] = a.lse[i] * kLog2e;
    }
  }

  void unit(int64_t h, int64_t first_key, const Tiles& t) const {
    std::fill_n(t.dq, dq_size, 0.f);
    const int64_t last_key = std::min(d.keys, first_key + range);
    for (int64_t key = first_key; key < last_key; key += key_tile) {
      const int64_t keys = std::min(key_tile, last_key - key);
      const int64_t padded = round_up(keys, kLanes);
      const T* k = at(a.k, h, d.keys, key, d.k_stride);
      pack_rows<Dot>(k, d.k_stride, keys, padded, d.head_dim, t.kv_rows);
      pack_transposed<Dot>(t.kv_rows, padded, d.head_dim, t.kt);
      pack_panels<Dot>(k, d.k_stride, keys, padded, d.head_dim, t.k);
      pack_rows<Dot>(at(a.v, h, d.keys, key, d.v_stride), d.v_stride, keys, padded, d.head_dim,
                     t.kv_rows);
      pack_transposed<Dot>(t.kv_rows, padded, d.head_dim, t.vt);
      const int64_t first_row = d.causal ? key / block * block : 0;
      if (first_row >= d.queries) {
        std::fill_n(t.dk, padded * padded_stride(columns), 0.f);
        std::fill_n(t.dv, padded * padded_stride(columns), 0.f);
      }
      for (int64_t row = first_row; row < d.queries; row += block)
        add_queries(h, row, key, keys, row > first_row, t);
      write(t.dk, float(d.scale), keys, at(a.dk, h, d.keys, key, d.k_stride), d.k_stride);
      write(t.dv, 1.f, keys, at(a.dv, h, d.keys, key, d.v_stride), d.v_stride);
    }
  }

  /// One block of queries against one tile of keys: adds to dk, dv (or with `keep` off writes them)
  /// and to the block's rows of dq.
  void add_queries(int64_t h, int64_t row, int64_t key, int64_t keys, bool keep,
                   const Tiles& t) const {
    const int64_t rows = std::min(block, d.queries - row), padded_rows = round_up(rows, kRows);
    const int64_t padded = round_up(keys, kLanes), vectors = columns / kLanes;
    const T* q = at(a.q, h, d.queries, row, d.q_stride);
    const T* dout = at(a.dout, h, d.queries, row, d.o_stride);
    pack_rows<Dot>(q, d.q_stride, rows, padded_rows, d.head_dim, t.q_rows);
    pack_rows<Dot>(dout, d.o_stride, rows, padded_rows, d.head_dim, t.do_rows);
    pack_panels<Dot>(q, d.q_stride, rows, padded_rows, d.head_dim, t.q);
    pack_panels<Dot>(dout, d.o_stride, rows, padded_rows, d.head_dim, t.dout);

    const int64_t depth = words<Dot>(d.head_dim), row_stride = row_words<Dot>(d.head_dim);
    const int64_t s_stride = padded_stride(key_tile), c_stride = padded_stride(columns);
    product<Dot>({t.q_rows, row_stride, 1}, {t.kt, depth * kLanes}, padded_rows, padded / kLanes,
                 depth, t.p, s_stride, false);
    product<Dot>({t.do_rows, row_stride, 1}, {t.vt, depth * kLanes}, padded_rows, padded / kLanes,
                 depth, t.ds, s_stride, false);
    for (int64_t i = 0; i < padded_rows; i += Dot::kPack) score_gradient(row, i, key, keys, t);

    const int64_t deep_rows = padded_rows / Dot::kPack, deep_keys = padded / Dot::kPack;
    product<Dot>({t.p_across, 1, s_stride}, {t.dout, deep_rows * kLanes}, padded, vectors,
                 deep_rows, t.dv, c_stride, keep);
    product<Dot>({t.ds_across, 1, s_stride}, {t.q, deep_rows * kLanes}, padded, vectors, deep_rows,
                 t.dk, c_stride, keep);
    product<Dot>({t.ds_along, row_words<Dot>(key_tile), 1}, {t.k, deep_keys * kLanes}, padded_rows,
                 vectors, deep_keys, t.dq + row * c_stride, c_stride, true);
  }

  /// P and dS of the kPack rows of a block that begin at row i.
  void score_gradient(int64_t row, int64_t i, int64_t key, int64_t keys, const Tiles& t) const {
    const int64_t s_stride = padded_stride(key_tile), padded = round_up(keys, kLanes);
    const Vec scale = splat(float(d.scale) * kLog2e);
    float lse[Dot::kPack], delta[Dot::kPack];
    for (int e = 0; e < Dot::kPack; ++e) {
      const int64_t query = row + i + e;
      const bool real = query < d.queries;  // the rows of padding have dO = 0 and add nothing
      lse[e] = real ? t.log2_lse[query] : 0.f;
      delta[e] = real ? t.delta[query] : 0.f;
    }
    for (int64_t j = 0; j < padded; j += kLanes) {
      Vec p[Dot::kPack], ds[Dot::kPack];
      for (int e = 0; e < Dot::kPack; ++e) {
        const int64_t r = i + e;
        p[e] = exp2(load<Vec>(t.p + r * s_stride + j) * scale - lse[e]);
        ds[e] = p[e] * (load<Vec>(t.ds + r * s_stride + j) - delta[e]);
        const int64_t visible = (d.causal ? std::min(keys, row + r + 1 - key) : keys) - j;
        if (visible < kLanes) {
          p[e] = keep_first(p[e], visible, 0.f);
          ds[e] = keep_first(ds[e], visible, 0.f);
        }
        Dot::store_along(t.ds_along + r * row_words<Dot>(key_tile), j, ds[e]);
      }
      Dot::store_across(t.p_across + i / Dot::kPack * s_stride, j, p);
      Dot::store_across(t.ds_across + i / Dot::kPack * s_stride, j, ds);
    }
  }

  void write(const float* from, float factor, int64_t rows, T* to, int64_t stride) const {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < d.head_dim; c += kLanes)
        lanes::write(to + r * stride + c, load<Vec>(from + r * padded_stride(columns) + c) * factor,
                     d.head_dim - c);
  }

  /// Adds up the ranges' sums for one row of dq (into the first) and writes it.
  void write_dq(int64_t h, int64_t row, float* sums) const {
    float* total = sums + row * padded_stride(columns);
    for (int64_t s = 1; s < ranges; ++s)
      for (int64_t c = 0; c < columns; ++c) total[c] += total[s * dq_size + c];
    write(total, float(d.scale), 1, at(a.dq, h, d.queries, row, d.q_stride), d.q_stride);
  }

  BackwardArgs<T> a;
  AttentionDims d;
  int64_t columns, block, range, ranges, key_tile, dq_size;
};

}  // namespace

template <class T>
void tiled_attention_backward(const T* q, const T* k, const T* v, const T* o, const float* lse,
                              const T* dout, T* dq, T* dk, T* dv, const AttentionDims& d) {
  if (d.batch * d.heads * d.head_dim == 0) return;
  const Backward<T> backward({q, k, v, o, dout, lse, dq, dk, dv}, d);
  backward();
}

template void tiled_attention_backward(const float*, const float*, const float*, const float*,
                                       const float*, const float*, float*, float*, float*,
                                       const AttentionDims&);
template void tiled_attention_backward(const bfloat16*, const bfloat16*, const bfloat16*,
                                       const bfloat16*, const float*, const bfloat16*, bfloat16*,
                                       bfloat16*, bfloat16*, const AttentionDims&);

}  // namespace noisette::cpu
