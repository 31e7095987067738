// The sums of a block's 128 x 128 elements of C on tensor cores: 8 warps, 64 x 32 each, bf16 or f32
// rounded to tf32, sums in f32.
#pragma once
#include "kernels/cuda/gemm_tiles.cuh"

namespace noisette::cuda::gemm {

/// 16 rows by 32 bytes of terms of a tile, as mma takes them of A. The lane's place in the first is
/// computed once: the others' differ in one pair of bits of the exchanged chunk, and by whole rows.
template <class T, bool kAlong>
class Reader;

template <class T>
class Reader<T, true> {
  using L = Layout<T, true>;

 public:
  /// From row `row` on. `kColumns`: of B, whose second matrix has other terms.
  template <bool kColumns>
  __device__ static Reader from(int row) {
    const int lane = int(threadIdx.x) % 32, matrix = lane / 8, r = lane % 8;
    return Reader(L::offset(row + (kColumns ? matrix / 2 : matrix % 2) * 8 + r,
                            kColumns ? matrix % 2 : matrix / 2));
  }
  /// Rows 16 * kBlock and on, chunks of terms 2 * kPart and on.
  template <int kBlock, int kPart>
  __device__ void load(uint32_t tile, uint32_t (&r)[4]) const {
    constexpr uint32_t kMoved = uint32_t(L::exchange(16 * kBlock) ^ L::exchange(0)) << 4;
    load_matrices<false, kBlock * 16 * L::kRowBytes>(r, (tile + first_) ^ (kPart << 5 ^ kMoved));
  }

 private:
  __device__ explicit Reader(uint32_t first) : first_(first) {}
  uint32_t first_;
};

/// Terms across: ldmatrix transposes.
template <>
class Reader<bfloat16, false> {
  using L = Layout<bfloat16, false>;

 public:
  template <bool kColumns>
  __device__ static Reader from(int row) {
    const int lane = int(threadIdx.x) % 32, matrix = lane / 8, r = lane % 8;
    return Reader(L::offset((kColumns ? matrix % 2 : matrix / 2) * 8 + r,
                            row / 8 + (kColumns ? matrix / 2 : matrix % 2)));
  }
  template <int kBlock, int kPart>
  __device__ void load(uint32_t tile, uint32_t (&r)[4]) const {
    load_matrices<true, kPart * 16 * L::kRowBytes>(r, (tile + first_) ^ (kBlock << 5));
  }

 private:
  __device__ explicit Reader(uint32_t first) : first_(first) {}
  uint32_t first_;
};

/// f32 across: ldmatrix moves halves of them, so they are read one by one.
template <>
class Reader<float, false> {
  using L = Layout<float, false>;

 public:
  template <bool kColumns>
  __device__ static Reader from(int row) {
    const int lane = int(threadIdx.x) % 32, term = lane % 4, r = row + lane / 4;
    Reader reader(L::offset(term, r / 4) + uint32_t(r % 4) * 4);
    reader.columns_ = kColumns;
    return reader;
  }
  template <int kBlock, int kPart>
  __device__ void load(uint32_t tile, uint32_t (&r)[4]) const {
    // Of A the second matrix has other rows, of B other terms.
    const uint32_t at = (tile + first_) ^ (kBlock << 6), below = at ^ 32;
    constexpr int kFirst = kPart * 8 * L::kRowBytes, kThen = kFirst + 4 * L::kRowBytes;
    r[0] = load_shared<kFirst>(at);
    r[columns_ ? 2 : 1] = load_shared<kFirst>(below);
    r[columns_ ? 1 : 2] = load_shared<kThen>(at);
    r[3] = load_shared<kThen>(below);
  }

 private:
  __device__ explicit Reader(uint32_t first) : first_(first) {}
  uint32_t first_;
  bool columns_ = false;
};

/// From two neighbouring products of 16 x 8, the four neighbours of a row, of the upper or lower
/// half, that this lane is to write: those of four lanes are a sector of bf16.
__device__ inline float4 neighbours(const float (&left)[4], const float (&right)[4], int half) {
  const int lane = int(threadIdx.x) % 32, from = lane / 4 * 4 + lane % 2 * 2;
  float four[4];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const float x = __shfl_sync(~0u, left[half * 2 + k % 2], from + k / 2);
    const float y = __shfl_sync(~0u, right[half * 2 + k % 2], from + k / 2);
    four[k] = lane % 4 < 2 ? x : y;
  }
  return {four[0], four[1], four[2], four[3]};
}

template <class A, class B>
class TensorCores {
  using T = typename A::Element;
  static constexpr int kWarpM = 64, kWarpN = 32;
  static constexpr bool kTf32 = sizeof(T) == 4;

 public:
  __device__ TensorCores()
      : m0_(int(threadIdx.x) / 128 * kWarpM),
        n0_((int(threadIdx.x) / 32 % 4 ^ int(threadIdx.x) / 128 * 2) * kWarpN),
        a_(Reader<T, A::kAlong>::template from<false>(m0_)),
        b_(Reader<T, B::kAlong>::template from<true>(n0_)) {}

  /// Whether any of the warp's elements are, of a block with so many rows and columns of C. Others
  /// leave the tensor cores to warps whose products count: of 64 columns, one of each scheduler,
  /// which has a tensor core of its own. In tf32 the branch would cost registers
  /// that two blocks of a processor do not have.
  __device__ bool inside(int64_t rows, int64_t columns) const {
    return kTf32 || (m0_ < rows && n0_ < columns);
  }
  /// Adds the products of two tiles, A's and B's, one behind the other.
  __device__ void add(uint32_t tiles) {
    unrolled<4>([&](auto part) {
      uint32_t x[kWarpM / 16][4], y[kWarpN / 16][4];
      unrolled<kWarpM / 16>([&](auto m) { a_.template load<m, part>(tiles, x[m]); });
      unrolled<kWarpN / 16>([&](auto n) { b_.template load<n, part>(tiles + kTileBytes, y[n]); });
      if constexpr (kTf32) {
        for (auto& four : x)
          for (uint32_t& bits : four) bits = round_tf32(bits);
        for (auto& four : y)
          for (uint32_t& bits : four) bits = round_tf32(bits);
      }
#pragma unroll
      for (int m = 0; m < kWarpM / 16; ++m)
#pragma unroll
        for (int n = 0; n < kWarpN / 8; ++n) {
          const uint32_t b0 = y[n / 2][n % 2 * 2], b1 = y[n / 2][n % 2 * 2 + 1];
          if constexpr (kTf32)
            multiply_add_tf32(c_[m][n], x[m], b0, b1);
          else
            multiply_add(c_[m][n], x[m], b0, b1);
        }
    });
  }
  /// f(i, j, four): elements (i, j .. j + 3) of the block's.
  template <class F>
  __device__ void for_each_four(const F& f) const {
    const int lane = int(threadIdx.x) % 32;
#pragma unroll
    for (int m = 0; m < kWarpM / 16; ++m)
#pragma unroll
      for (int n = 0; n < kWarpN / 8; n += 2)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          f(m0_ + m * 16 + half * 8 + lane / 4, n0_ + n * 8 + lane % 4 * 4,
            neighbours(c_[m][n], c_[m][n + 1], half));
  }

 private:
  int m0_, n0_;
  Reader<T, A::kAlong> a_;
  Reader<T, B::kAlong> b_;
  float c_[kWarpM / 16][kWarpN / 8][4] = {};
};

}  // namespace noisette::cuda::gemm
