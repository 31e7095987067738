// The factors of convolutions as products of matrices (gemm_tiles.cuh); none is ever stored. A
// chunk of sixteen bytes is some channels of one pixel or tap, so channel counts are multiples of
// 8 in bf16, of 4 in f32.
//
//   forward          y [pixels, O]      = Pixels(x) [pixels, taps C]   Matrix(weight) [O, taps C]
//   data gradient    dx [pixels, C]     = Pixels(dy) [pixels, taps O]  TurnedWeight [taps O, C]
//                                         (stride 1)
//   weight gradient  dw [O, taps C]     = Matrix(dy) [pixels, O]       Shifted(x) [pixels, taps C]
#pragma once
#include "kernels/conv.h"
#include "kernels/cuda/gemm_tiles.cuh"

namespace noisette::cuda::gemm {

/// An image batch [N, H, W, C] as seen by a kernel of taps_h x taps_w that moves over rows of out_w
/// and images of out_h * out_w places.
struct Window {
  int64_t height, width, channels;  // of the image
  int64_t out_h, out_w, taps_h, taps_w;
  int64_t stride, pad_top, pad_left;

  __device__ bool inside(int h, int v) const {
    return uint32_t(h) < uint32_t(height) && uint32_t(v) < uint32_t(width);
  }
};
inline constexpr int kOutside = -(1 << 30);  // a row or column that no tap brings inside

/// [places, taps * channels]: what the kernel sees at each place.
template <class T>
struct Pixels {
  using Element = T;
  static constexpr bool kAlong = true;
  const T* x;
  Window w;
  int64_t places;

  /// All chunks are of one tap and channel; what differs are the places.
  class Walk {
    using L = Layout<T, true>;

   public:
    __device__ Walk(const Pixels& p, int64_t, int64_t place, int64_t term, int64_t) {
      const Window& w = p.w;
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        const int64_t here = place + i * L::kRowsApart, row = here / w.out_w, n = row / w.out_h;
        h_[i] = int(row % w.out_h * w.stride - w.pad_top);
        v_[i] = int(here % w.out_w * w.stride - w.pad_left);
        at_[i] = p.x + ((n * w.height + h_[i]) * w.width + v_[i]) * w.channels;
        if (here >= p.places) h_[i] = kOutside;
      }
      const int64_t tap = term / w.channels;
      channel_ = int(term % w.channels);
      a_ = int(tap / w.taps_w);
      b_ = int(tap % w.taps_w);
      offset_ = (a_ * w.width + b_) * w.channels + channel_;
      look(w);
    }
    template <class Copy>
    __device__ void next(const Pixels& p, const Copy& copy) {
      const Window& w = p.w;
      unrolled<kEach>([&](auto i) { copy(i, at_[i] + offset_, bytes_[i]); });
      channel_ += L::kTerms;
      offset_ += L::kTerms;  // the channels after the last are the next pixel's
      if (channel_ < int(w.channels)) return;
      do {
        channel_ -= int(w.channels);
        if (++b_ < int(w.taps_w)) continue;
        b_ = 0, ++a_;
        offset_ += (w.width - w.taps_w) * w.channels;
      } while (channel_ >= int(w.channels));
      look(w);
    }

   private:
    __device__ void look(const Window& w) {
#pragma unroll
      for (int i = 0; i < kEach; ++i)
        bytes_[i] = bytes_if(a_ < int(w.taps_h) && w.inside(h_[i] + a_, v_[i] + b_));
    }
    const T* at_[kEach];       // of the kernel's corner
    int h_[kEach], v_[kEach];  // the same, which may be outside
    int bytes_[kEach];
    int64_t offset_;  // from the corner to the tap's channels
    int channel_, a_, b_;
  };
};

/// [taps * O, C]: the filters turned by half a turn, in and out exchanged.
template <class T>
struct TurnedWeight {
  using Element = T;
  static constexpr bool kAlong = false;
  const T* x;  // [O, taps, C]
  int64_t out, taps, in;

  class Walk {
    using L = Layout<T, false>;

   public:
    __device__ Walk(const TurnedWeight& w, int64_t, int64_t column, int64_t term, int64_t end)
        : step_((L::kTerms % w.out * w.taps - L::kTerms / w.out) * w.in), left_(up_to(end - term)) {
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        const int64_t here = term + i * L::kRowsApart;
        o_[i] = int(here % w.out);
        at_[i] = w.x + (o_[i] * w.taps + w.taps - 1 - here / w.out) * w.in + column;
        bytes_[i] = bytes_if(column < w.in && here < end);
      }
    }
    template <class Copy>
    __device__ void next(const TurnedWeight& w, const Copy& copy) {
      unrolled<kEach>([&](auto i) { copy(i, at_[i], bytes_[i]); });
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        o_[i] += int(L::kTerms % w.out);
        at_[i] += step_;
        if (o_[i] >= int(w.out)) {  // the tap before
          o_[i] -= int(w.out);
          at_[i] -= (w.out * w.taps + 1) * w.in;
        }
      }
      left_ -= L::kTerms;
      if (left_ < L::kTerms)
#pragma unroll
        for (int i = 0; i < kEach; ++i)
          if (i * L::kRowsApart >= left_) bytes_[i] = 0;
    }

   private:
    const T* at_[kEach];
    int o_[kEach];
    int bytes_[kEach];
    int64_t step_;
    int left_;
  };
};

/// [places, taps * channels], with places as the terms.
template <class T>
struct Shifted {
  using Element = T;
  static constexpr bool kAlong = false;
  const T* x;
  Window w;
  int64_t columns;

  /// All chunks are of one tap and channel; what moves are the places.
  class Walk {
    using L = Layout<T, false>;

   public:
    __device__ Walk(const Shifted& s, int64_t, int64_t column, int64_t term, int64_t end)
        : left_(up_to(end - term)) {
      const Window& w = s.w;
      const int64_t tap = column / w.channels;
      const int a = int(tap / w.taps_w - w.pad_top), b = int(tap % w.taps_w - w.pad_left);
      h_end_ = a + int(w.out_h * w.stride);
      v_end_ = b + int(w.out_w * w.stride);
      // From a tile to the next: so many images, rows and columns.
      const int64_t rows = L::kTerms / w.out_w, row_bytes = w.width * w.channels * sizeof(T);
      v_step_ = int(L::kTerms % w.out_w * w.stride);
      h_step_ = int(rows % w.out_h * w.stride);
      step_ = (rows / w.out_h * w.height + h_step_) * row_bytes + v_step_ * w.channels * sizeof(T);
      at_row_end_ = w.stride * row_bytes - w.out_w * w.stride * w.channels * int64_t(sizeof(T));
      at_image_end_ = (w.height - w.out_h * w.stride) * row_bytes;
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        const int64_t here = term + i * L::kRowsApart, row = here / w.out_w;
        h_[i] = int(row % w.out_h * w.stride) + a;
        v_[i] = int(here % w.out_w * w.stride) + b;
        at_[i] = reinterpret_cast<const char*>(
            s.x + ((row / w.out_h * w.height + h_[i]) * w.width + v_[i]) * w.channels +
            column % w.channels);
      }
      if (column >= s.columns) left_ = 0;
      stop_at_end();
    }
    template <class Copy>
    __device__ void next(const Shifted& s, const Copy& copy) {
      const Window& w = s.w;
      unrolled<kEach>([&](auto i) { copy(i, at_[i], bytes_if(w.inside(h_[i], v_[i]))); });
      const int columns = int(w.out_w * w.stride), rows = int(w.out_h * w.stride);
      if (v_step_ == 0) {  // rows of 1, 2, 4 ... 64 places
#pragma unroll
        for (int i = 0; i < kEach; ++i) h_[i] += h_step_, at_[i] += step_;
      } else {
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
          at_[i] += step_;
          v_[i] += v_step_;
          h_[i] += h_step_;
          if (v_[i] < v_end_) continue;
          v_[i] -= columns;
          h_[i] += int(w.stride);
          at_[i] += at_row_end_;
        }
      }
#pragma unroll
      for (int i = 0; i < kEach; ++i)
        if (h_[i] >= h_end_) {
          h_[i] -= rows;
          at_[i] += at_image_end_;
        }
      left_ -= L::kTerms;
      stop_at_end();
    }

   private:
    __device__ void stop_at_end() {
      if (left_ >= L::kTerms) return;
#pragma unroll
      for (int i = 0; i < kEach; ++i)
        if (i * L::kRowsApart >= left_) v_[i] = kOutside;
    }
    const char* at_[kEach];
    int h_[kEach], v_[kEach];  // the tap's pixel, which may be outside
    int h_end_, v_end_, h_step_, v_step_;
    int64_t step_, at_row_end_, at_image_end_;  // bytes
    int left_;
  };
};

}  // namespace noisette::cuda::gemm
