// What the launchers of the CUDA backend take from their scratch, for those where it may be more
// than a few kilobytes. Plain C++: what a step needs of a card is counted without one.
//
// Bytes of the pieces that a launcher holds at once, in the order in which it takes them. Tensors
// are taken to begin on sixteen bytes, as those of a model do; `element` is the size of theirs.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/attention.h"
#include "kernels/cuda/cuts.h"
#include "kernels/cuda/products.h"
#include "kernels/norm.h"
#include "kernels/upsample_conv.h"

namespace noisette::cuda {

inline constexpr int64_t kStatisticsRoom = 64;  // attention's statistics come in multiples of it

/// Libraries (providers/) are asked for works of so many floating-point operations or more: others
/// take a few microseconds, and a clock says more of their launch.
inline constexpr double kWorthALibrary = 1e8;
/// What a plan of one may want beside what its own launcher takes (workspace() of scratch.h).
inline constexpr int64_t kWorkspace = int64_t(64) << 20;

namespace need {

using Pieces = std::vector<int64_t>;

inline Pieces columns(int64_t batch, int64_t rows, int64_t cols, int64_t element) {
  const int64_t width = cuts::width_of(cols, element);
  const int64_t of_tile = cuts::sum_rows(batch, rows, cols, element, width);
  return {rows > of_tile ? 4 * batch * cuts::ceil_div(rows, of_tile) * cols : 0};
}

inline Pieces product(const MatmulDims& d, int64_t element) {
  const bool tiles = d.c_numel() > 0 && gemm::in_tiles(d, 16 / element);
  return {tiles ? 4 * gemm::stored_sums(gemm::extents(d)) : 0};
}

/// `kept`: there is memory for what comes before the gate.
inline Pieces product_geglu(const MatmulDims& d, bool kept, int64_t element) {
  if (d.c_numel() > 0 && gemm::in_tiles_to_end(d, true, 16 / element))
    return {4 * gemm::stored_sums(gemm::paired_extents(d))};
  return {kept ? 0 : element * d.c_numel(), product(d, element)[0]};
}

inline Pieces convolution(ConvPass pass, const ConvDims& d, int64_t element) {
  if (d.pointwise()) return product(gemm::pointwise_product(pass, d), element);
  const int64_t vector = 16 / element;
  if (gemm::in_tiles(pass, d, vector)) return {4 * gemm::stored_sums(gemm::extents(pass, d))};
  if (pass == ConvPass::backward_data && d.stride > 1) {
    // Of each kind of pixels at most what all of them together would take.
    gemm::Extents e = gemm::extents(pass, d);
    e.k = e.k / (d.stride * d.stride) + d.out_c;
    return {element * d.weight_numel(), 4 * gemm::stored_sums(e)};
  }
  if (pass == ConvPass::backward_weight && std::min(d.in_c, d.out_c) <= 4) {
    const bool of_input = d.out_c < d.in_c;  // whose pixels are the many channels'
    const int64_t height = of_input ? d.in_h : d.out_h(), width = of_input ? d.in_w : d.out_w();
    if (height * width == 0) return {0};
    const int64_t rows = cuts::few_rows(d.batch, height, cuts::kRowsOfFew);
    const int64_t strips = cuts::ceil_div(width, cuts::few_columns(width));
    const int64_t parts = d.batch * cuts::ceil_div(height, rows) * strips;
    return {4 * parts * d.weight_numel(), columns(1, parts, d.weight_numel(), 4)[0]};
  }
  return {0};
}

inline Pieces upsample_forward(const UpsampleConvDims& d, int64_t element) {
  const ConvDims c = d.side_by_side();
  return {element * c.weight_numel(), element * c.y_numel(), 4 * c.out_c,
          convolution(ConvPass::forward, c, element)[0]};
}

/// Of the two gradients, one after the other.
inline Pieces upsample_backward_data(const UpsampleConvDims& d, int64_t element) {
  const ConvDims c = d.side_by_side();
  return {element * c.y_numel(), element * c.weight_numel(),
          convolution(ConvPass::backward_data, c, element)[0]};
}
inline Pieces upsample_backward_weight(const UpsampleConvDims& d, bool data_too, int64_t element) {
  const ConvDims c = d.side_by_side();
  return {element * c.y_numel(), data_too ? element * c.weight_numel() : 0, 4 * c.weight_numel(),
          convolution(ConvPass::backward_weight, c, element)[0]};
}

inline Pieces attention_backward(const AttentionDims& d, int64_t element) {
  const int64_t room = (d.queries + kStatisticsRoom - 1) / kStatisticsRoom * kStatisticsRoom;
  return {d.batch * d.heads * (element == 2 ? 8 * room : 4 * d.queries)};
}

/// Whether groups are too large for a block.
inline bool group_in_parts(const GroupNormDims& d, int64_t element) {
  return !cuts::channels_of_groups(d.pixels, d.channels, d.groups, element,
                                   cuts::width_of(d.channels, element));
}
inline Pieces group_norm_forward(const GroupNormDims& d, int64_t element) {
  if (!group_in_parts(d, element)) return {};
  constexpr int64_t kTile = 32 << 10, kMoments = 8;
  const int64_t width = cuts::width_of(d.channels, element);
  const int64_t cols = cuts::tile_cols(d.channels, element);
  const int64_t rows =
      std::max(cuts::tile_rows(d.batch, d.pixels, d.channels, element, width, 1, 1),
               kTile / (cols * element));
  return {kMoments * d.batch * cuts::ceil_div(d.pixels, rows) * d.channels};
}
inline Pieces group_norm_backward(const GroupNormDims& d, int64_t element) {
  constexpr int64_t kTerms = 3;
  Pieces all{4 * d.batch * kTerms * d.channels};
  if (group_in_parts(d, element)) {
    const int64_t width = cuts::width_of(d.channels, element);
    const int64_t rows = cuts::tile_rows(d.batch, d.pixels, d.channels, element, width, 8, 64);
    const int64_t tiles = cuts::ceil_div(d.pixels, rows);
    all.push_back(4 * d.batch * tiles * kTerms * d.channels);
    all.push_back(columns(d.batch, tiles, kTerms * d.channels, 4)[0]);
    all.push_back(8 * d.batch * d.groups);
  }
  all.push_back(columns(1, d.batch, kTerms * d.channels, 4)[0]);
  return all;
}
/// Where a library does a convolution: a copy of what it adds to in place, `added_to` bytes. It
/// needs none for a product of matrices.
inline Pieces library_convolution(const ConvDims& d, int64_t added_to) {
  return {d.pointwise() || d.flops() < kWorthALibrary ? 0 : added_to};
}
inline Pieces library_upsample_backward_data(const UpsampleConvDims& d, int64_t added_to,
                                             int64_t element) {
  Pieces all = upsample_backward_data(d, element);
  all.back() = library_convolution(d.side_by_side(), added_to)[0];
  return all;
}

/// A row of sums for each block of rows: blocks have no fewer rows than this.
inline Pieces layer_norm_backward(const LayerNormDims& d, int64_t element) {
  const int64_t least = 64 / element;
  return {8 * cuts::ceil_div(d.rows, least) * d.channels};
}

}  // namespace need
}  // namespace noisette::cuda
