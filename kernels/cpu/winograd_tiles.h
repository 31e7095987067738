// Patches and tiles of an image batch, and how they become and leave the points of winograd.h.
#pragma once
#include <algorithm>
#include <type_traits>

#include "kernels/conv.h"
#include "kernels/cpu/gemm_tile.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/winograd_transform.h"

namespace noisette::cpu::winograd {

/// The terms of one sum of the definition.
inline int64_t terms_of(ConvPass pass, const ConvDims& d) {
  const auto taps = [&](int64_t h, int64_t w) {
    return std::min(d.kernel_h, h) * std::min(d.kernel_w, w);
  };
  switch (pass) {
    case ConvPass::forward:
      return d.in_c * taps(d.in_h, d.in_w);
    case ConvPass::backward_data:
      return d.out_c * taps(d.out_h(), d.out_w());
    case ConvPass::backward_weight:
      return d.batch * d.out_h() * d.out_w();
  }
  __builtin_unreachable();
}

/// Calls f with the scheme of a pass. Below that many terms the definition rounds so little that
/// F(4, 3) would be more than four times as far from the exact result.
template <class F>
auto with_scheme(ConvPass pass, const ConvDims& d, const F& f) {
  const int64_t short_sums = pass == ConvPass::backward_weight ? 512 : 256;
  if (d.kernel_h == 2) return f(TwoTaps{});
  return terms_of(pass, d) < short_sums ? f(ThreeTapsSmall{}) : f(ThreeTaps{});
}

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
  bool has(int64_t h, int64_t w) const { return h >= 0 && h < height && w >= 0 && w < width; }
  int64_t row() const { return width * channels; }
  /// The element of the first pixel of a tile; may lie outside.
  int64_t origin(const Place& p) const { return (p.image * height + p.h) * row() + p.w * channels; }
  /// Elements from a tile's pixels to those of the next tile.
  int64_t to_next(const Place& p) const {
    const bool last = p.w + left == (cols - 1) * side;
    return last ? side * row() - (p.w + left) * channels : side * channels;
  }
};

/// The length of a point, in whole lines and an odd number of them, so that points do not fall into
/// the same few sets of a cache.
constexpr int64_t spread(int64_t floats) {
  constexpr int64_t kLine = 16;
  const int64_t lines = ceil_div(floats, kLine);
  return (lines + (lines + 1) % 2) * kLine;
}

/// The points of some tiles, in groups of Tiles and blocks of Width channels. How far a tile's
/// points lie from each other the compiler knows, and they lie on few pages of memory.
template <class S, int64_t Width, int64_t Tiles>
struct Points {
  static constexpr int64_t kPoint = spread(Tiles * Width), kBlock = S::kPoints * kPoint;
  float* data = nullptr;
  int64_t group;  // from Tiles tiles to the next

  explicit Points(int64_t channels) : group(ceil_div(channels, Width) * kBlock) {}
  int64_t numel(int64_t tiles) const { return ceil_div(tiles, Tiles) * group; }
  /// Channel c of point p. The channels of its block come after it, then those of the next tile.
  float* at(int64_t c, int64_t p, int64_t tile) const {
    return data + tile / Tiles * group + c / Width * kBlock + p * kPoint + tile % Tiles * Width +
           c % Width;
  }
};

/// Numbers of an axis that are worked on together, known to the compiler.
template <int... I>
struct Together {
  static constexpr int kCount = sizeof...(I);
  static constexpr int kNumbers[kCount] = {I...};
};
/// Calls f with the points of an axis: pairs that share most of their arithmetic and fit AVX-512's
/// registers, where reading pixels for each pair costs less than storing what is between the axes.
/// That is not so with fewer registers, or where a read has to widen bf16: then all points.
template <class S, class T, class F>
[[gnu::always_inline]] inline void for_points(const F& f) {
  constexpr bool kSix = S::kPatch == 6;
  if constexpr (lanes::kLanes < 16 || std::is_same_v<T, bfloat16>) {
    f(std::conditional_t<kSix, Together<0, 1, 2, 3, 4, 5>, Together<0, 1, 2, 3>>{});
  } else {
    f(Together<0, S::kPatch - 1>{});
    f(Together<1, 2>{});
    if constexpr (kSix) f(Together<3, 4>{});
  }
}
/// The same for the outputs of an axis, always in pairs.
template <class S, class F>
[[gnu::always_inline]] inline void for_outputs(const F& f) {
  if constexpr (S::kTile == 2) {
    f(Together<0, 1>{});
  } else {
    f(Together<0, 2>{});
    f(std::conditional_t<S::kTile == 4, Together<1, 3>, Together<1>>{});
  }
}

/// Reads `Side` x `Side` pixels at a tile, transforms both axes with `line` (Side values to those
/// of a patch) and stores them as tile t of `to`. Pixels outside the image are zero. Calls for the
/// pixels of the next tile.
template <int Side, class S, class T, class Points, class Line>
void gather(const T* x, const Grid& g, int64_t tile, const Points& to, int64_t t,
            const Line& line) {
  using lanes::kLanes;
  using lanes::Vec;
  constexpr int kPatch = S::kPatch;
  constexpr int64_t kMost = 960;  // channels for which pixels are looked up once
  static_assert(kMost % kLanes == 0);
  static constexpr T kZeros[kMost] = {};
  const Grid::Place place = g.place(tile);
  const int64_t next = g.to_next(place);

  for (int64_t begin = 0; begin < g.channels; begin += kMost) {
    const T* const origin = x + g.origin(place) + begin;
    const T* pixels[Side][Side];
    for (int i = 0; i < Side; ++i)
      for (int j = 0; j < Side; ++j)
        pixels[i][j] =
            g.has(place.h + i, place.w + j) ? origin + i * g.row() + j * g.channels : kZeros;

    const auto transform = [&](int64_t c, const auto& read) {
      float* const v = to.at(begin + c, 0, t);
      for_points<S, T>([&]<class Columns>(Columns) {
        Vec half[Columns::kCount][Side];  // rows done, columns not
#pragma GCC unroll 6
        for (int i = 0; i < Side; ++i) {
          Vec d[Side], out[kPatch];
#pragma GCC unroll 6
          for (int j = 0; j < Side; ++j) d[j] = read(pixels[i][j] + c);
          line(d, out);
          for (int q = 0; q < Columns::kCount; ++q) half[q][i] = out[Columns::kNumbers[q]];
        }
#pragma GCC unroll 6
        for (int q = 0; q < Columns::kCount; ++q) {
          Vec out[kPatch];
          line(half[q], out);
#pragma GCC unroll 6
          for (int i = 0; i < kPatch; ++i)
            lanes::write(v + (i * kPatch + Columns::kNumbers[q]) * Points::kPoint, out[i]);
        }
      });
    };
    const int64_t end = std::min(kMost, g.channels - begin);
    int64_t c = 0;
    for (; c + kLanes <= end; c += kLanes) {
      for (int i = Side - S::kTile; i < Side; ++i)
        for (int j = Side - S::kTile; j < Side; ++j) __builtin_prefetch(pixels[i][j] + next + c);
      transform(c, [](const T* p) { return lanes::read(p); });
    }
    if (c < end) transform(c, [n = end - c](const T* p) { return lanes::read(p, n); });
  }
}

/// Panels of output channels that a thread computes at a time: V is read once for all of them.
inline constexpr int64_t kPanels = 2;

/// y = bias + add + A^T M A for the channels [begin, end) of one tile, at most kPanels panels, from
/// m's tile t. Pixels outside the image are left out. bias and add may be null; add may be y. Calls
/// for the pixels of the next tile.
template <class S, class T, class Points>
void scatter(const Points& m, int64_t t, int64_t begin, int64_t end, const float* bias,
             const T* add, T* y, const Grid& g, int64_t tile) {
  using lanes::kLanes;
  using lanes::Vec;
  constexpr int kTile = S::kTile, kPatch = S::kPatch;
  const Grid::Place place = g.place(tile);
  const int64_t next = g.to_next(place);
  T nowhere[kPanels * kTileCols];
  T* to[kTile][kTile];
  const T* more[kTile][kTile];
  for (int i = 0; i < kTile; ++i)
    for (int j = 0; j < kTile; ++j) {
      const bool inside = g.has(place.h + i, place.w + j);
      const int64_t at = g.origin(place) + i * g.row() + j * g.channels + begin;
      to[i][j] = inside ? y + at : nowhere;
      more[i][j] = inside && add != nullptr ? add + at : nowhere;
    }

  const auto transform = [&](int64_t c, const auto& read, const auto& write) {
    const float* const from = m.at(c, 0, t);
    const Vec b = bias != nullptr ? read(bias + begin + c) : Vec{};
    for_outputs<S>([&]<class Rows>(Rows) {
      Vec half[Rows::kCount][kPatch];  // columns done, rows not
#pragma GCC unroll 6
      for (int j = 0; j < kPatch; ++j) {
        Vec d[kPatch], out[kTile];
#pragma GCC unroll 6
        for (int i = 0; i < kPatch; ++i)
          d[i] = lanes::read(from + (i * kPatch + j) * Points::kPoint);
        S::output(d, out);
        for (int q = 0; q < Rows::kCount; ++q) half[q][j] = out[Rows::kNumbers[q]];
      }
#pragma GCC unroll 4
      for (int q = 0; q < Rows::kCount; ++q) {
        Vec out[kTile];
        S::output(half[q], out);
#pragma GCC unroll 4
        for (int j = 0; j < kTile; ++j) {
          T* const pixel = to[Rows::kNumbers[q]][j] + c;
          Vec value = out[j] + b;
          if (add != nullptr) {
            const T* const summand = more[Rows::kNumbers[q]][j] + c;
            __builtin_prefetch(summand + next);
            value += read(summand);
          }
          __builtin_prefetch(pixel + next, 1);
          write(pixel, value);
        }
      }
    });
  };
  int64_t c = 0;
  for (; c + kLanes <= end - begin; c += kLanes)
    transform(
        c, [](const auto* p) { return lanes::read(p); },
        [](T* p, Vec value) { lanes::write(p, value); });
  if (const int64_t n = end - begin - c; n > 0)
    transform(
        c, [n](const auto* p) { return lanes::read(p, n); },
        [n](T* p, Vec value) { lanes::write(p, value, n); });
}

}  // namespace noisette::cpu::winograd
