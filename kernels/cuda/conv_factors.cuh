// The factors of convolutions as products of matrices (gemm.cuh); none is ever stored. A chunk of
// sixteen bytes is eight channels of one pixel or tap, so channel counts are multiples of 8. From
// one tile to the next a chunk's address moves by a constant, or by another where a row ends.
//
//   forward          y [pixels, O]      = Pixels(x) [pixels, taps C]   Matrix(weight) [O, taps C]
//   data gradient    dx [pixels, C]     = Pixels(dy) [pixels, taps O]  TurnedWeight [taps O, C]
//                                         (stride 1)
//   weight gradient  dw [O, taps C]     = Matrix(dy) [pixels, O]       Shifted(x) [pixels, taps C]
#pragma once
#include "kernels/conv.h"
#include "kernels/cuda/gemm.cuh"

namespace noisette::cuda::gemm {

/// An image batch [N, H, W, C] as seen by a kernel of kw columns that moves over rows of out_w and
/// images of out_h * out_w places.
struct Window {
  int64_t height, width, channels;  // of the image
  int64_t out_h, out_w, taps_w;
  int64_t stride, pad_top, pad_left;

  __device__ bool inside(int h, int v) const {
    return uint32_t(h) < uint32_t(height) && uint32_t(v) < uint32_t(width);
  }
};

/// [places, taps * channels]: what the kernel sees at each place.
struct Pixels {
  static constexpr bool kAlong = true;
  const bfloat16* x;
  Window w;
  int64_t places;

  struct Chunk {
    const bfloat16* at;
    int h, v;  // the tap's pixel, which may be outside
    int tap_b, channel;
    __device__ Chunk() {}
    __device__ Chunk(const Pixels& p, int64_t, int64_t place, int64_t term) {
      const Window& w = p.w;
      const int64_t row = place / w.out_w, n = row / w.out_h, tap = term / w.channels;
      channel = int(term % w.channels);
      tap_b = int(tap % w.taps_w);
      h = int(row % w.out_h * w.stride - w.pad_top + tap / w.taps_w);
      v = int(place % w.out_w * w.stride - w.pad_left) + tap_b;
      at = p.x + ((n * w.height + h) * w.width + v) * w.channels + channel;
      if (place >= p.places) h = -(1 << 30);  // outside for good
    }
    __device__ const bfloat16* place(const Pixels& p) const {
      return p.w.inside(h, v) ? at : nullptr;
    }
    __device__ void next(const Pixels& p) {
      channel += kK;
      at += kK;  // the channels after the last are the next pixel's
      while (channel >= int(p.w.channels)) {
        channel -= int(p.w.channels);
        ++tap_b, ++v;
        if (tap_b < int(p.w.taps_w)) continue;
        tap_b = 0, v -= int(p.w.taps_w);
        at += (p.w.width - p.w.taps_w) * p.w.channels;
        ++h;
      }
    }
  };
};

/// [taps * O, C]: the filters turned by half a turn, in and out exchanged.
struct TurnedWeight {
  static constexpr bool kAlong = false;
  const bfloat16* x;  // [O, taps, C]
  int64_t out, taps, in;

  struct Chunk {
    const bfloat16* at;
    int o;
    bool inside;
    __device__ Chunk() {}
    __device__ Chunk(const TurnedWeight& w, int64_t, int64_t column, int64_t term)
        : o(int(term % w.out)), inside(column < w.in) {
      at = w.x + (o * w.taps + w.taps - 1 - term / w.out) * w.in + column;
    }
    __device__ const bfloat16* place(const TurnedWeight&) const { return inside ? at : nullptr; }
    __device__ void next(const TurnedWeight& w) {
      o += kK;
      at += kK * w.taps * w.in;
      while (o >= int(w.out)) {  // the tap before
        o -= int(w.out);
        at -= (w.out * w.taps + 1) * w.in;
      }
    }
  };
};

/// [places, taps * channels], with places as the terms.
struct Shifted {
  static constexpr bool kAlong = false;
  const bfloat16* x;
  Window w;
  int64_t columns;

  struct Chunk {
    const bfloat16* at;
    int h, v;  // the tap's pixel, which may be outside
    int i, j;  // the place
    __device__ Chunk() {}
    __device__ Chunk(const Shifted& s, int64_t, int64_t column, int64_t term) {
      const Window& w = s.w;
      const int64_t tap = column / w.channels, row = term / w.out_w;
      i = int(row % w.out_h);
      j = int(term % w.out_w);
      h = int(i * w.stride - w.pad_top + tap / w.taps_w);
      v = int(j * w.stride - w.pad_left + tap % w.taps_w);
      at = s.x + ((row / w.out_h * w.height + h) * w.width + v) * w.channels + column % w.channels;
      if (column >= s.columns) v = -(1 << 30);  // outside for good
    }
    __device__ const bfloat16* place(const Shifted& s) const {
      return s.w.inside(h, v) ? at : nullptr;
    }
    __device__ void next(const Shifted& s) {
      const Window& w = s.w;
      const int stride = int(w.stride);
      j += kK, v += kK * stride;
      at += kK * w.stride * w.channels;
      while (j >= int(w.out_w)) {
        j -= int(w.out_w), v -= int(w.out_w) * stride;
        at += (w.width - w.out_w) * w.stride * w.channels;
        h += stride;
        if (++i < int(w.out_h)) continue;
        i = 0, h -= int(w.out_h) * stride;
        at += (w.height - w.out_h * w.stride) * w.width * w.channels;
      }
    }
  };
};

}  // namespace noisette::cuda::gemm
