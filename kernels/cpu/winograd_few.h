// The products of a few tiles. What is stored of U and read back costs more there than making it
// anew for every eight tiles, in registers, right before it is multiplied.
#pragma once
#include "kernels/cpu/gemm_tile.h"
#include "kernels/cpu/winograd_transform.h"

namespace noisette::cpu::winograd {

/// The most tiles for which this is faster. With fewer registers than AVX-512's it never is.
inline constexpr int64_t kFewTiles = lanes::kLanes == 16 ? 16 : 0;

/// Tap a of the filters from kTileTerms input channels to a vector of output channels: FewTaps[a].
template <class S>
using FewTaps = lanes::Vec[S::kTaps * S::kTaps][kTileTerms];

/// Where the points of a few tiles lie: `point` from one to the next, tiles one after the other.
template <class E>
struct FewPoints {
  E* data;
  int64_t point;
  E* at(int p) const { return data + p * point; }
};

/// m[p][t] (+)= sum over l in [0, terms) of U[p][l] v[p][t][l] for R tiles and the points of column
/// J from row I on, half a column; m is a vector of output channels.
template <class S, int J, int I, int R>
void multiply_half_column(const FewTaps<S>& taps, const FewPoints<const float>& v,
                          const FewPoints<float>& m, int64_t terms, bool add) {
  using lanes::Vec;
  constexpr int kTaps = S::kTaps, kRows = S::kPatch / 2;
  Vec sum[kRows][R] = {};
  for (int64_t l = 0; l < terms; ++l) {
    Vec column[kTaps], u[S::kPatch];
    for (int a = 0; a < kTaps; ++a) {
      Vec row[kTaps], half[S::kPatch];
      for (int b = 0; b < kTaps; ++b) row[b] = taps[a * kTaps + b][l];
      S::filter(row, half);
      column[a] = half[J];
    }
    S::filter(column, u);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r)
        sum[i][r] += v.at((I + i) * S::kPatch + J)[r * kTileTerms + l] * u[I + i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      float* to = m.at((I + i) * S::kPatch + J) + r * kTileCols;
      lanes::write(to, add ? lanes::read(to) + sum[i][r] : sum[i][r]);
    }
}

/// The same for all points of R tiles, from column J on.
template <class S, int R, int J = 0>
void multiply_columns(const FewTaps<S>& taps, const FewPoints<const float>& v,
                      const FewPoints<float>& m, int64_t terms, bool add) {
  if constexpr (J < S::kPatch) {
    multiply_half_column<S, J, 0, R>(taps, v, m, terms, add);
    multiply_half_column<S, J, S::kPatch / 2, R>(taps, v, m, terms, add);
    multiply_columns<S, R, J + 1>(taps, v, m, terms, add);
  }
}

/// The same for any number of tiles.
template <class S, int R = 8>
void multiply_few(int64_t tiles, const FewTaps<S>& taps, FewPoints<const float> v,
                  FewPoints<float> m, int64_t terms, bool add) {
  for (; tiles >= R; tiles -= R, v.data += R * kTileTerms, m.data += R * kTileCols)
    multiply_columns<S, R>(taps, v, m, terms, add);
  if constexpr (R > 1) multiply_few<S, R / 2>(tiles, taps, v, m, terms, add);
}

}  // namespace noisette::cpu::winograd
