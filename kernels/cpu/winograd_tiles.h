// Patches and tiles of an image batch, and how they become and leave the points of winograd.h.
#pragma once
#include <algorithm>

#include "kernels/conv.h"
#include "kernels/cpu/gemm_tile.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/winograd_transform.h"

namespace noisette::cpu::winograd {

/// Tiles over [N, H, W, C], numbered along rows, then columns, then images. Tile (i, j) covers
/// pixels from (side * i - top, side * j - left) on. S is a scheme of winograd_transform.h.
struct Grid {
  int64_t height, width, channels;  // of the image that is read or written
  int64_t rows, cols, side;         // tiles, and the pixels from one to the next
  int64_t top, left;

  int64_t per_image() const { return rows * cols; }

  /// The tiles of the result of d.
  template <class S>
  static Grid outputs(const ConvDims& d) {
    return {.height = d.out_h(),
            .width = d.out_w(),
            .channels = d.out_c,
            .rows = ceil_div(d.out_h(), S::kTile),
            .cols = ceil_div(d.out_w(), S::kTile),
            .side = S::kTile,
            .top = 0,
            .left = 0};
  }
  /// The patches of x under them.
  template <class S>
  static Grid patches(const ConvDims& d) {
    Grid g = outputs<S>(d);
    g.height = d.in_h, g.width = d.in_w, g.channels = d.in_c;
    g.top = d.pad_top, g.left = d.pad_left;
    return g;
  }

  struct Place {
    int64_t image, h, w;  // of the first pixel; may lie outside
  };
  Place place(int64_t tile) const {
    const int64_t in_image = tile % per_image();
    return {tile / per_image(), in_image / cols * side - top, in_image % cols * side - left};
  }
};

/// The length of a point, in whole lines and an odd number of them, so that points do not fall into
/// the same few sets of a cache.
inline int64_t spread(int64_t floats) {
  constexpr int64_t kLine = 16;
  const int64_t lines = ceil_div(floats, kLine);
  return (lines + (lines + 1) % 2) * kLine;
}

/// The points of some tiles, in blocks of Width channels: channel c of point p of tile t at
/// data[c / Width * block + p * point + t * Width + c % Width].
template <class S, int64_t Width>
struct Points {
  float* data = nullptr;
  int64_t point, block;

  explicit Points(int64_t tiles) : point(spread(tiles * Width)), block(S::kPoints * point) {}
  int64_t numel(int64_t channels) const { return ceil_div(channels, Width) * block; }
  float* at(int64_t of_block, int64_t p, int64_t tile) const {
    return data + of_block * block + p * point + tile * Width;
  }
};

/// Reads `Side` x `Side` pixels at a tile, transforms both axes with `line` (Side values to those
/// of a patch) and stores them as tile t of `to`. Pixels outside the image are zero.
template <int Side, class S, int64_t Width, class T, class Line>
void gather(const T* x, const Grid& g, int64_t tile, const Points<S, Width>& to, int64_t t,
            const Line& line) {
  constexpr int Patch = S::kPatch;
  using lanes::kLanes;
  using lanes::Vec;
  const auto [image, h0, w0] = g.place(tile);
  const int64_t first_row = std::max<int64_t>(0, -h0), first_col = std::max<int64_t>(0, -w0);
  const int64_t end_row = std::min<int64_t>(Side, g.height - h0);
  const int64_t end_col = std::min<int64_t>(Side, g.width - w0);
  const bool inside = first_row == 0 && first_col == 0 && end_row == Side && end_col == Side;
  const T* origin = x + ((image * g.height + h0) * g.width + w0) * g.channels;
  const int64_t row_stride = g.width * g.channels;

  for (int64_t c = 0; c < g.channels; c += kLanes) {
    const int64_t n = std::min<int64_t>(kLanes, g.channels - c);
    Vec half[Side][Patch];  // rows done, columns not
    for (int64_t i = 0; i < Side; ++i) {
      const T* p = origin + i * row_stride + c;
      Vec d[Side];
      if (inside && n == kLanes) {
#pragma GCC unroll 6
        for (int j = 0; j < Side; ++j) d[j] = lanes::read(p + j * g.channels);
      } else {
        for (int j = 0; j < Side; ++j) {
          const bool there = i >= first_row && i < end_row && j >= first_col && j < end_col;
          d[j] = there ? lanes::read(p + j * g.channels, n) : Vec{};
        }
      }
      line(d, half[i]);
    }
    float* v = to.at(c / Width, 0, t) + c % Width;
    for (int j = 0; j < Patch; ++j) {
      Vec d[Side], out[Patch];
#pragma GCC unroll 6
      for (int i = 0; i < Side; ++i) d[i] = half[i][j];
      line(d, out);
#pragma GCC unroll 6
      for (int i = 0; i < Patch; ++i) lanes::write(v + (i * Patch + j) * to.point, out[i]);
    }
  }
}

/// y = bias + add + A^T M A for one tile and one panel of kTileCols channels, whose points lie at
/// from[p * point]. Pixels outside the image are left out. bias and add may be null; add may be y.
template <class S, class T>
void scatter(const float* from, int64_t point, int64_t panel, const float* bias, const T* add, T* y,
             const Grid& g, int64_t tile) {
  using lanes::kLanes;
  using lanes::Vec;
  const auto [image, h0, w0] = g.place(tile);
  const int64_t rows = std::min<int64_t>(S::kTile, g.height - h0);
  const int64_t cols = std::min<int64_t>(S::kTile, g.width - w0);
  const int64_t origin = ((image * g.height + h0) * g.width + w0) * g.channels;
  const int64_t end = std::min(g.channels, (panel + 1) * kTileCols);

  for (int64_t c = panel * kTileCols; c < end; c += kLanes) {
    const int64_t n = std::min<int64_t>(kLanes, end - c);
    const float* m = from + c % kTileCols;
    const Vec b = bias != nullptr ? lanes::read(bias + c, n) : Vec{};
    Vec half[S::kTile][S::kPatch];  // columns done, rows not
    for (int j = 0; j < S::kPatch; ++j) {
      Vec d[S::kPatch], out[S::kTile];
#pragma GCC unroll 6
      for (int i = 0; i < S::kPatch; ++i) d[i] = lanes::read(m + (i * S::kPatch + j) * point);
      S::output(d, out);
#pragma GCC unroll 6
      for (int i = 0; i < S::kTile; ++i) half[i][j] = out[i];
    }
    for (int64_t i = 0; i < rows; ++i) {
      Vec out[S::kTile];
      S::output(half[i], out);
      const int64_t at = origin + i * g.width * g.channels + c;
      for (int64_t j = 0; j < cols; ++j) {
        Vec value = out[j] + b;
        if (add != nullptr) value += lanes::read(add + at + j * g.channels, n);
        lanes::write(y + at + j * g.channels, value, n);
      }
    }
  }
}

}  // namespace noisette::cpu::winograd
