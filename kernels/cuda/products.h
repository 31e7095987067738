// Which matrix products and convolutions the CUDA backend computes in tiles (gemm.cuh), and how it
// cuts their sums. Plain C++: what a step needs of a card is counted without one.
#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/conv.h"
#include "kernels/matmul.h"

namespace noisette::cuda::gemm {

inline constexpr int kM = 128, kN = 128;  // of C, a block's

/// C [batch, m, n] from sums of k terms.
struct Extents {
  int64_t batch = 1, m = 0, n = 0, k = 0;

  constexpr int64_t row_tiles() const { return (m + kM - 1) / kM; }
  constexpr int64_t column_tiles() const { return (n + kN - 1) / kN; }
};

/// Blocks of a launch along the second and third axis of its grid; what is more takes several
/// launches. A variable, so that tests need no million rows.
inline int64_t most_blocks = 65535;

/// Whether tiles can be written, and are worth it.
inline bool takes(const Extents& d) { return d.n % 4 == 0 && d.m >= 16 && d.n >= 16 && d.k >= 16; }

/// Parts of the sum: enough blocks for a card where C has few tiles, of at least kLeast terms.
inline int64_t parts_of(const Extents& d) {
  constexpr int64_t kBlocks = 128, kLeast = 512;
  const int64_t tiles = d.batch * d.row_tiles() * d.column_tiles();
  return std::clamp<int64_t>(kBlocks / tiles, 1, (d.k + kLeast - 1) / kLeast);
}

/// f32 sums of parts that are stored before they are added up: 0 where the sum is in one part.
inline int64_t stored_sums(const Extents& d) {
  const int64_t parts = parts_of(d);
  return parts == 1 ? 0 : parts * d.batch * d.m * d.n;
}

inline Extents extents(const MatmulDims& d) { return {d.batch, d.m, d.n, d.k}; }

/// Of pairs of columns, each from another half: a tile has as many of both, so the last may not be
/// full twice.
inline Extents paired_extents(const MatmulDims& d) {
  const int64_t half = kN / 2;
  return {1, d.m, (d.n / 2 + half - 1) / half * kN, d.k};
}

inline Extents extents(ConvPass pass, const ConvDims& d) {
  const int64_t taps = d.kernel_h * d.kernel_w, places = d.batch * d.out_h() * d.out_w();
  if (pass == ConvPass::forward) return {1, places, d.out_c, taps * d.in_c};
  if (pass == ConvPass::backward_data)
    return {1, d.batch * d.in_h * d.in_w, d.in_c, taps * d.out_c};
  return {1, d.out_c, taps * d.in_c, places};
}

/// A pass of a pointwise convolution: the factors are x and weight, dy and weight, dy and x.
inline MatmulDims pointwise_product(ConvPass pass, const ConvDims& d) {
  const int64_t pixels = d.batch * d.in_h * d.in_w;
  if (pass == ConvPass::forward) return {.m = pixels, .n = d.out_c, .k = d.in_c, .trans_b = true};
  if (pass == ConvPass::backward_data) return {.m = pixels, .n = d.in_c, .k = d.out_c};
  return {.m = d.out_c, .n = d.in_c, .k = pixels, .trans_a = true};
}

/// Whether tensors on sixteen bytes, `vector` elements each, may be multiplied in tiles.
inline bool in_tiles(const MatmulDims& d, int64_t vector) {
  return takes(extents(d)) && (d.trans_a ? d.m : d.k) % vector == 0 &&
         (d.trans_b ? d.k : d.n) % vector == 0;
}
/// The same for products with an end of their own (Epilogue in gemm_write.cuh).
inline bool in_tiles_to_end(const MatmulDims& d, bool paired, int64_t vector) {
  if (d.trans_a || !d.trans_b || !in_tiles(d, vector)) return false;
  return !paired || (d.batch == 1 && d.n % 8 == 0 && d.n >= kN);
}
inline bool in_tiles(ConvPass pass, const ConvDims& d, int64_t vector) {
  return d.in_c % vector == 0 && d.out_c % vector == 0 && takes(extents(pass, d)) &&
         (pass != ConvPass::backward_data || d.stride == 1);
}

}  // namespace noisette::cuda::gemm
