// The sums of a block's 128 x 128 elements of C by multiply-adds in f32: each of 256 threads has
// 8 x 8, two runs of four neighbours by two, and each warp 32 x 64.
//
// Counted on the software GPU as an H100, not yet run on a card: 4096 x 4096 x 4096 takes 2.5 ms, a
// 3x3 convolution of 128 images of 32 x 32, 128 -> 128 channels, 0.71 in each pass. Bound
// by the issue of instructions; an H100's multiply-adds alone would take 2.3 ms for the product.
#pragma once
#include "kernels/cuda/gemm_tiles.cuh"

namespace noisette::cuda::gemm {

/// Rows 4 * place .. + 3 and the same 32 further on, of a tile of f32, four terms at a time.
template <bool kAlong>
class RowReader {
  using L = Layout<float, kAlong>;

 public:
  __device__ explicit RowReader(int place)
      : first_(kAlong ? L::offset(4 * place, 0) : L::offset(0, place)) {}
  /// x[t][r] of terms 4 * chunk + t, for the four rows of one half, or further ones.
  template <int kHalf>
  __device__ void load(uint32_t tile, int chunk, float (&x)[4][4]) const {
    unrolled<4>([&](auto low) {  // rows, or terms
      constexpr int high = kHalf;
      if constexpr (kAlong) {
        const uint32_t at = (tile + first_) ^ uint32_t(chunk << 4) ^ uint32_t(low << 4);
        const float4 v = load_shared4<(high * 32 + low) * L::kRowBytes>(at);
        x[0][low] = v.x, x[1][low] = v.y, x[2][low] = v.z, x[3][low] = v.w;
      } else {
        const uint32_t at =
            (tile + first_ + uint32_t(chunk * 4 * L::kRowBytes)) ^ uint32_t(L::exchange(low) << 4);
        const float4 v = load_shared4<low * L::kRowBytes + high * 128>(at);
        x[low][0] = v.x, x[low][1] = v.y, x[low][2] = v.z, x[low][3] = v.w;
      }
    });
  }

 private:
  uint32_t first_;
};

template <class A, class B>
class MultiplyAdds {
 public:
  static constexpr int kOwn = 8;

  __device__ MultiplyAdds() : MultiplyAdds(int(threadIdx.x) / 32, int(threadIdx.x) % 32) {}

  /// As in TensorCores: 64 rows belong to four warps, and so do 64 columns, one of each scheduler.
  __device__ bool inside(int64_t rows, int64_t columns) const {
    return row_ / 16 * 64 < rows && half() * 64 < columns;
  }
  __device__ void add(uint32_t tiles) {
#pragma unroll 1
    for (int chunk = 0; chunk < 8; ++chunk) {
      float x[2][4][4], y[2][4][4];
      load(a_, tiles, chunk, x);
      load(b_, tiles + kTileBytes, chunk, y);
      add_products<0, 0>(x[0], y[0]);
      add_products<0, 1>(x[0], y[1]);
      add_products<1, 0>(x[1], y[0]);
      add_products<1, 1>(x[1], y[1]);
    }
  }
  /// Of tiles that lie anywhere, with half of the registers: some rows of b are read twice.
  __device__ void add(uint32_t a, uint32_t b) {
#pragma unroll 1
    for (int chunk = 0; chunk < 8; ++chunk) {
      float x[4][4], y[4][4];
      a_.template load<0>(a, chunk, x);
      b_.template load<0>(b, chunk, y);
      add_products<0, 0>(x, y);
      b_.template load<1>(b, chunk, y);
      add_products<0, 1>(x, y);
      a_.template load<1>(a, chunk, x);
      add_products<1, 1>(x, y);
      b_.template load<0>(b, chunk, y);
      add_products<1, 0>(x, y);
    }
  }
  template <class F>
  __device__ void for_each_four(const F& f) const {
#pragma unroll
    for (int i = 0; i < kOwn; ++i)
#pragma unroll
      for (int j = 0; j < kOwn; j += 4)
        f(row(i), column(j), float4{c_[i][j], c_[i][j + 1], c_[i][j + 2], c_[i][j + 3]});
  }

  /// The thread's own: kOwn by kOwn elements, and where they are among the block's. The columns of
  /// a row belong to eight neighbouring lanes of two warps, of half 0 and 1.
  __device__ float (&own(int i))[kOwn] { return c_[i]; }
  __device__ int row(int i) const { return row_ * 4 + i / 4 * 32 + i % 4; }
  __device__ int column(int j) const { return column_ * 4 + j / 4 * 32 + j % 4; }
  __device__ int half() const { return column_ / 16; }

 private:
  __device__ MultiplyAdds(int warp, int lane)
      : row_(warp / 4 * 16 + warp % 2 * 4 + lane / 8),
        column_((warp / 2 % 2 ^ warp / 4) * 16 + lane % 8),
        a_(row_),
        b_(column_) {}

  template <class Reader>
  __device__ static void load(const Reader& r, uint32_t tile, int chunk, float (&x)[2][4][4]) {
    r.template load<0>(tile, chunk, x[0]);
    r.template load<1>(tile, chunk, x[1]);
  }
  /// Of half of the rows and half of the columns.
  template <int kRowHalf, int kColumnHalf>
  __device__ void add_products(const float (&x)[4][4], const float (&y)[4][4]) {
#pragma unroll
    for (int t = 0; t < 4; ++t)
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) c_[kRowHalf * 4 + i][kColumnHalf * 4 + j] += x[t][i] * y[t][j];
  }

  int row_, column_;
  RowReader<A::kAlong> a_;
  RowReader<B::kAlong> b_;
  float c_[kOwn][kOwn] = {};
};

}  // namespace noisette::cuda::gemm
