// The sums of a block's 128 x 128 elements of C by multiply-adds in f32: each of 256 threads has
// 8 x 8, two runs of four neighbours by two.
//
// Counted on the software GPU as an H100, not yet run on a card: 4096 x 4096 x 4096 takes 2.5 ms, a
// 3x3 convolution of 128 images of 32 x 32, 128 -> 128 channels, 0.71 to 0.72 in each pass. Bound
// by the issue of instructions; an H100's multiply-adds alone would take 2.3 ms for the product.
#pragma once
#include "kernels/cuda/gemm_tiles.cuh"

namespace noisette::cuda::gemm {

/// Rows 4 * place .. + 3 and the same 64 further on, of a tile of f32, four terms at a time.
template <bool kAlong>
class RowReader {
  using L = Layout<float, kAlong>;

 public:
  __device__ explicit RowReader(int place)
      : first_(kAlong ? L::offset(4 * place, 0) : L::offset(0, place)) {}
  /// x[t][r] of terms 4 * chunk + t.
  __device__ void load(uint32_t tile, int chunk, float (&x)[4][8]) const {
    unrolled<8>([&](auto i) {
      constexpr int high = i / 4, low = i % 4;  // rows, or terms, four by four
      if constexpr (kAlong) {
        const uint32_t at = (tile + first_) ^ uint32_t(chunk << 4) ^ uint32_t(low << 4);
        const float4 v = load_shared4<(high * 64 + low) * L::kRowBytes>(at);
        x[0][i] = v.x, x[1][i] = v.y, x[2][i] = v.z, x[3][i] = v.w;
      } else {
        const uint32_t at =
            (tile + first_ + uint32_t(chunk * 4 * L::kRowBytes)) ^ uint32_t(L::exchange(low) << 4);
        const float4 v = load_shared4<low * L::kRowBytes + high * 256>(at);
        x[low][high * 4] = v.x, x[low][high * 4 + 1] = v.y;
        x[low][high * 4 + 2] = v.z, x[low][high * 4 + 3] = v.w;
      }
    });
  }

 private:
  uint32_t first_;
};

template <class A, class B>
class MultiplyAdds {
 public:
  __device__ MultiplyAdds()
      : row_(int(threadIdx.x) / 64 * 4 + int(threadIdx.x) % 32 / 8),
        column_(int(threadIdx.x) / 32 % 2 * 8 + int(threadIdx.x) % 8),
        a_(row_),
        b_(column_) {}

  // As in TensorCores. A warp has rows and columns of both halves of the tile.
  __device__ static constexpr bool inside(int64_t, int64_t) { return true; }
  __device__ void add(uint32_t tiles) {
#pragma unroll 1
    for (int chunk = 0; chunk < 8; ++chunk) {
      float x[4][8], y[4][8];
      a_.load(tiles, chunk, x);
      b_.load(tiles + kTileBytes, chunk, y);
#pragma unroll
      for (int t = 0; t < 4; ++t)
#pragma unroll
        for (int i = 0; i < 8; ++i)
#pragma unroll
          for (int j = 0; j < 8; ++j) c_[i][j] += x[t][i] * y[t][j];
    }
  }
  template <class F>
  __device__ void for_each_four(const F& f) const {
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int j = 0; j < 8; j += 4)
        f(row_ * 4 + i / 4 * 64 + i % 4, column_ * 4 + j * 16,
          float4{c_[i][j], c_[i][j + 1], c_[i][j + 2], c_[i][j + 3]});
  }

 private:
  int row_, column_;
  RowReader<A::kAlong> a_;
  RowReader<B::kAlong> b_;
  float c_[8][8] = {};
};

}  // namespace noisette::cuda::gemm
