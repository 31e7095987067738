// Moves rows of T into the tiles of attention_tile.h. Everything beyond the given rows and columns
// becomes zero.
#pragma once
#include "kernels/cpu/attention_tile.h"

namespace noisette::cpu::tile {

/// Words along a row of `columns` elements.
template <class Dot>
constexpr int64_t words(int64_t columns) {
  return ceil_div(columns, Dot::kPack);
}

/// Row stride, in words, of a tile made by pack_rows.
template <class Dot>
constexpr int64_t row_words(int64_t columns) {
  return padded_stride(words<Dot>(columns));
}

/// out [padded_rows, row_words(columns)]: words along the columns, for use as Left.
template <class Dot, class T>
void pack_rows(const T* src, int64_t stride, int64_t rows, int64_t padded_rows, int64_t columns,
               typename Dot::Word* out) {
  using Word = typename Dot::Word;
  const int64_t out_stride = row_words<Dot>(columns);
  for (int64_t r = 0; r < rows; ++r) {
    const T* from = src + r * stride;
    Word* to = out + r * out_stride;
    if constexpr (sizeof(T) * Dot::kPack == sizeof(Word)) {
      std::memcpy(to, from, std::size_t(columns) * sizeof(T));
    } else {
      for (int64_t c = 0; c < columns; ++c) to[c] = float(from[c]);
    }
    const int64_t used = columns * int64_t(sizeof(Word)) / Dot::kPack;
    std::memset(reinterpret_cast<std::byte*>(to) + used, 0,
                std::size_t(out_stride * int64_t(sizeof(Word)) - used));
  }
  std::fill(out + rows * out_stride, out + padded_rows * out_stride, Word{});
}

/// Transposes a square of kLanes x kLanes words in registers: log2(kLanes) perfect shuffles of the
/// rows.
inline void transpose(WordVec (&r)[kLanes]) {
  WordVec low, high;
  for (int i = 0; i < kLanes; ++i) {
    low[i] = uint32_t((i & 1) * kLanes + i / 2);
    high[i] = low[i] + kLanes / 2;
  }
  for (int stage = 1; stage < kLanes; stage *= 2) {
    WordVec t[kLanes];
    for (int i = 0; i < kLanes / 2; ++i) {
      t[2 * i] = shuffled(r[i], r[i + kLanes / 2], low);
      t[2 * i + 1] = shuffled(r[i], r[i + kLanes / 2], high);
    }
    for (int i = 0; i < kLanes; ++i) r[i] = t[i];
  }
}

/// From a tile made by pack_rows: the panels of its transpose, [padded_rows /
/// kLanes][words(columns)][kLanes].
template <class Dot>
void pack_transposed(const typename Dot::Word* rows, int64_t padded_rows, int64_t columns,
                     typename Dot::Word* out) {
  const int64_t depth = words<Dot>(columns), stride = row_words<Dot>(columns);
  for (int64_t r = 0; r < padded_rows; r += kLanes)
    for (int64_t w = 0; w < depth; w += kLanes) {
      WordVec square[kLanes];
      for (int i = 0; i < kLanes; ++i) square[i] = load<WordVec>(rows + (r + i) * stride + w);
      transpose(square);
      typename Dot::Word* to = out + r * depth + w * kLanes;
      const int64_t used = std::min<int64_t>(kLanes, depth - w);
      for (int64_t i = 0; i < used; ++i) store(to + i * kLanes, square[i]);
    }
}

/// One word of a panel: the values at one column of kPack rows.
inline float join(const float (&x)[1]) { return x[0]; }
inline float join(const bfloat16 (&x)[1]) { return float(x[0]); }
inline uint32_t join(const bfloat16 (&x)[2]) { return x[0].bits | uint32_t(x[1].bits) << 16; }

/// out, panels [columns / kLanes][padded_rows / kPack][kLanes]: words along the rows, for use as
/// Right.
template <class Dot, class T>
void pack_panels(const T* src, int64_t stride, int64_t rows, int64_t padded_rows, int64_t columns,
                 typename Dot::Word* out) {
  const int64_t panel = padded_rows / Dot::kPack * kLanes;
  const int64_t panels = ceil_div(columns, kLanes), full = columns / kLanes;
  for (int64_t r = 0; r < padded_rows; r += Dot::kPack, out += kLanes) {
    const bool inside = r + Dot::kPack <= rows;
    for (int64_t c = 0; c < (inside ? full : 0); ++c)
      for (int l = 0; l < kLanes; ++l) {
        T x[Dot::kPack];
        for (int i = 0; i < Dot::kPack; ++i) x[i] = src[(r + i) * stride + c * kLanes + l];
        out[c * panel + l] = join(x);
      }
    for (int64_t c = inside ? full : 0; c < panels; ++c)
      for (int l = 0; l < kLanes; ++l) {
        T x[Dot::kPack] = {};
        for (int i = 0; i < Dot::kPack; ++i)
          if (r + i < rows && c * kLanes + l < columns)
            x[i] = src[(r + i) * stride + c * kLanes + l];
        out[c * panel + l] = join(x);
      }
  }
}

}  // namespace noisette::cpu::tile
