// How the CUDA backend cuts matrices into the tiles of its blocks, in plain C++: what a step needs
// of a card is counted without one. `element`: bytes of an element; `width`: elements that one
// access moves.
#pragma once
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>

namespace noisette::cuda::cuts {

inline constexpr int64_t kBlock = 256;                      // threads
inline constexpr int64_t kMostArrivals = int64_t(1) << 16;  // counters of arrivals() in scratch.h

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// The access of rows of `cols` elements that start on sixteen bytes.
inline int64_t width_of(int64_t cols, int64_t element) {
  return cols % (16 / element) == 0 ? 16 / element : 1;
}

/// Columns of a tile: all of them, or even parts that start on sectors of 32 bytes.
inline int64_t tile_cols(int64_t cols, int64_t element) {
  const int64_t sector = 32 / element;
  return std::min(cols, ceil_div(ceil_div(cols, ceil_div(cols, kBlock)), sector) * sector);
}

/// Rows of a tile: `least` to `most` for each thread, fewer while that leaves a large card without
/// work.
inline int64_t tile_rows(int64_t batch, int64_t rows, int64_t cols, int64_t element, int64_t width,
                         int64_t least, int64_t most) {
  constexpr int64_t kBlocks = 264;  // two for each multiprocessor of an H100
  const int64_t of_tile = tile_cols(cols, element), height = kBlock / ceil_div(of_tile, width);
  const int64_t tiles = batch * ceil_div(cols, of_tile) * ceil_div(rows, height);
  return height * std::clamp(tiles / kBlocks, least, most);
}

/// Rows of a tile where columns are summed up: all of them while that is not too long.
inline int64_t sum_rows(int64_t batch, int64_t rows, int64_t cols, int64_t element, int64_t width) {
  constexpr int64_t kMost = 64;  // rows of a thread
  const int64_t of_tile = tile_cols(cols, element);
  const bool one = rows <= kMost * (kBlock / ceil_div(of_tile, width)) ||
                   batch * ceil_div(cols, of_tile) > kMostArrivals;
  return one ? rows : tile_rows(batch, rows, cols, element, width, 8, kMost);
}

/// Bytes of shared memory that the values of a group norm's tile may take: with the sums, what a
/// block may have on every card from compute capability 8.0 on (99 KiB on 8.6 and 8.9).
inline constexpr int64_t kKept = 84 << 10;

/// Channels of the smallest tile of all pixels and of whole groups for a block. It starts on a
/// sector of 32 bytes if at least two thirds of its values can be kept (the rest is read again),
/// else on an access if all can. None: tiles are too large.
inline std::optional<int64_t> channels_of_groups(int64_t pixels, int64_t channels, int64_t groups,
                                                 int64_t element, int64_t width) {
  const auto tile = [&](int64_t start, int64_t most) -> std::optional<int64_t> {
    const int64_t least = std::min(std::lcm(channels / groups, start), channels);
    if (least <= kBlock && pixels * least * element <= most) return least;
    return {};
  };
  const auto on_sectors = tile(32 / element, kKept / 2 * 3);
  return on_sectors ? on_sectors : tile(width, kKept);
}

/// Of an image, in a block of a convolution with few channels on one side (conv_few.cu): rows, of
/// which the weight gradient has at most kRowsOfFew, and columns.
inline constexpr int64_t kRowsOfFew = 16;
inline int64_t few_rows(int64_t batch, int64_t height, int64_t most) {
  constexpr int64_t kBlocks = 132;
  return std::clamp<int64_t>(batch * height / kBlocks, 1, most);
}
inline int64_t few_columns(int64_t width) { return std::min<int64_t>(width, 128); }

}  // namespace noisette::cuda::cuts
