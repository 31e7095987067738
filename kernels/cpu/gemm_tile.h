// The inner loop of a matrix product: a tile of C held in registers while the sum runs.
#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/cpu/lanes.h"

namespace noisette::cpu {

inline constexpr int64_t kTileCols = 2 * lanes::kLanes;
/// Rows of a tile: as many as leave registers for two vectors of B and one of A (of 32 or 16).
inline constexpr int64_t kTileRows = lanes::kLanes == 16 ? 12 : 6;

/// Terms that are added up before the sum meets what came before: long chains of additions are what
/// most of the error of a product in f32 comes from.
inline constexpr int64_t kTileTerms = 32;

/// c[r, 0..kTileCols) = (add ? c : 0)
///                    + sum over l in [0, k) of a[r * a_row + l * a_step] * b[l * b_step + ...]
///
/// for R rows, in the order of l.
template <int R>
inline void gemm_tile(const float* a, int64_t a_row, int64_t a_step, const float* b, int64_t b_step,
                      float* c, int64_t c_row, int64_t k, bool add) {
  using lanes::kLanes;
  using lanes::Vec;
  Vec sum[R][2] = {};
  for (int64_t l = 0; l < k; ++l, a += a_step, b += b_step) {
    const Vec left = lanes::read(b), right = lanes::read(b + kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const float value = a[r * a_row];
      sum[r][0] += value * left;
      sum[r][1] += value * right;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r, c += c_row) {
    lanes::write(c, add ? lanes::read(c) + sum[r][0] : sum[r][0]);
    lanes::write(c + kLanes, add ? lanes::read(c + kLanes) + sum[r][1] : sum[r][1]);
  }
}

/// The same for `rows` <= kTileRows rows, `terms` terms at a time.
template <int R = kTileRows>
inline void gemm_rows(int64_t rows, const float* a, int64_t a_row, int64_t a_step, const float* b,
                      int64_t b_step, float* c, int64_t c_row, int64_t k, bool add,
                      int64_t terms = kTileTerms) {
  if constexpr (R > 0) {
    if (rows < R)
      return gemm_rows<R - 1>(rows, a, a_row, a_step, b, b_step, c, c_row, k, add, terms);
    for (int64_t l = 0; l < k; l += terms)
      gemm_tile<R>(a + l * a_step, a_row, a_step, b + l * b_step, b_step, c, c_row,
                   std::min(terms, k - l), add || l > 0);
  }
}

}  // namespace noisette::cpu
