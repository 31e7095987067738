// Tiles of the factors of matrix products in shared memory, and how they get there.
//
// A tile is 128 rows (of A, or columns of B) by 128 bytes of terms: 64 of bf16, 32 of f32, as the
// matrix lies in global memory. It is copied in chunks of sixteen bytes, four by each of 256
// threads. In shared memory chunks are exchanged within a row (Layout), so that what a warp reads
// at once lies in different banks.
//
// A factor tells how its chunks are found. What of that changes from tile to tile is kept by its
// Walk, so that a copy takes few instructions: a thread's chunks lie in one column of the tile.
#pragma once
#include <utility>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/products.h"

namespace noisette::cuda::gemm {

inline constexpr int kEach = 4;  // chunks of a thread in a tile
inline constexpr uint32_t kTileBytes = 16384;

/// kTermsAlong: terms are neighbours in memory.
template <class T, bool kTermsAlong>
struct Layout {
  static constexpr bool kAlong = kTermsAlong;
  static constexpr int kChunk = 16 / sizeof(T);  // elements of a chunk
  static constexpr int kTerms = 128 / sizeof(T);
  static constexpr int kRows = kAlong ? 128 : kTerms;
  static constexpr int kChunks = 1024 / kRows;  // in a row
  static constexpr int kRowBytes = kChunks * 16;
  static constexpr int kRowsApart = kThreads / kChunks;       // of a thread's chunks
  static constexpr uint32_t kApart = kRowsApart * kRowBytes;  // the same in bytes
  /// Which chunks of a row are exchanged. ldmatrix reads eight rows that follow each other; threads
  /// that multiply f32 read every fourth row along the terms, and across them four rows.
  static constexpr int exchange(int row) {
    if (sizeof(T) == 2) return row % 8;
    return kAlong ? (row ^ row / 4) % 8 : row % 4 * 2;
  }
  static constexpr uint32_t offset(int row, int chunk) {
    return uint32_t(row * kRowBytes + (chunk ^ exchange(row)) * 16);
  }
};
template <class Factor>
using LayoutOf = Layout<typename Factor::Element, Factor::kAlong>;

/// f(std::integral_constant<int, i>) for i in [0, n).
template <int n, class F>
__device__ inline void unrolled(const F& f) {
  [&]<int... i>(std::integer_sequence<int, i...>) { (f(std::integral_constant<int, i>{}), ...); }
  (std::make_integer_sequence<int, n>{});
}

/// Sixteen where a chunk is to be copied, zero where it is outside.
__device__ inline int bytes_if(bool inside) { return inside ? 16 : 0; }

/// Terms that are left, as a number that fits.
__device__ inline int up_to(int64_t terms) {
  return int(terms < (int64_t(1) << 30) ? terms : int64_t(1) << 30);
}

/// A factor that is a matrix: [others, terms] or, unless kTermsAlong, [terms, others].
template <class T, bool kTermsAlong>
struct Matrix {
  using Element = T;
  static constexpr bool kAlong = kTermsAlong;
  const T* x;
  int64_t others, terms;
  int64_t pitch;  // elements from a row in memory to the next

  __host__ __device__ Matrix(const T* x, int64_t others, int64_t terms)
      : Matrix(x, others, terms, kAlong ? terms : others) {}
  __host__ __device__ Matrix(const T* x, int64_t others, int64_t terms, int64_t pitch)
      : x(x), others(others), terms(terms), pitch(pitch) {}

  class Walk {
    using L = Layout<T, kAlong>;

   public:
    /// Chunks from (other, term) on; terms before `end` count.
    __device__ Walk(const Matrix& m, int64_t batch, int64_t other, int64_t term, int64_t end)
        : at_(m.x + batch * m.others * m.terms +
              (kAlong ? other * m.pitch + term : term * m.pitch + other)),
          apart_(L::kRowsApart * m.pitch),
          left_(up_to(end - term)) {
#pragma unroll
      for (int i = 0; i < kEach; ++i)
        bytes_[i] = bytes_if(kAlong ? other + i * L::kRowsApart < m.others : other < m.others);
      stop_at_end();
    }
    template <class Copy>
    __device__ void next(const Matrix& m, const Copy& copy) {
      const T* at = at_;
      unrolled<kEach>([&](auto i) {
        copy(i, at, bytes_[i]);
        if (i + 1 < kEach) at += apart_;
      });
      at_ += kAlong ? int64_t(L::kTerms) : L::kTerms * m.pitch;
      left_ -= L::kTerms;
      stop_at_end();
    }

   private:
    __device__ void stop_at_end() {
      if (left_ >= L::kTerms) return;
#pragma unroll
      for (int i = 0; i < kEach; ++i)
        if ((kAlong ? 0 : i * L::kRowsApart) >= left_) bytes_[i] = 0;
    }
    const T* at_;
    int64_t apart_;
    int bytes_[kEach];
    int left_;
  };
};

/// A matrix [others, terms], or one of both halves of whose rows each tile takes as many.
template <class T>
struct Rows {
  using Element = T;
  static constexpr bool kAlong = true;
  Matrix<T, true> all;
  int64_t between;  // elements that lie between the halves of a tile
  int64_t overlap;  // of tiles, in rows

  static Rows whole(const T* x, int64_t others, int64_t terms) {
    return {{x, others, terms}, 0, 0};
  }
  /// x [2 * half, terms], half >= kN / 2: what lies outside is never outside of x.
  static Rows halves(const T* x, int64_t half, int64_t terms) {
    return {{x, half + kN / 2, terms}, (half - kN / 2) * terms, kN / 2};
  }

  class Walk {
   public:
    __device__ Walk(const Rows& r, int64_t batch, int64_t other, int64_t term, int64_t end)
        : walk_(r.all, batch, other - other / kN * r.overlap, term, end) {}
    template <class Copy>
    __device__ void next(const Rows& r, const Copy& copy) {
      walk_.next(r.all, [&](auto i, const T* at, int bytes) {
        copy(i, i < kEach / 2 ? at : at + r.between, bytes);
      });
    }

   private:
    typename Matrix<T, true>::Walk walk_;
  };
};

/// Copies the tiles of a factor, one after the other.
template <class Factor>
class Fetcher {
  using L = LayoutOf<Factor>;

 public:
  /// From row `other` and term `term` on, up to the term `end`. What lies outside is zero.
  __device__ Fetcher(const Factor& factor, int64_t batch, int64_t other, int64_t term, int64_t end)
      : Fetcher(factor, batch, other, term, end, int(threadIdx.x) / L::kChunks,
                int(threadIdx.x) % L::kChunks) {}
  /// The next tile, to an address in shared memory.
  __device__ void fetch(uint32_t tile) {
    walk_.next(factor_, [to = tile + to_](auto i, const void* from, int bytes) {
      copy16_async<i* int(L::kApart)>(to, from, bytes);
    });
  }

 private:
  __device__ Fetcher(const Factor& factor, int64_t batch, int64_t other, int64_t term, int64_t end,
                     int row, int chunk)
      : factor_(factor),
        walk_(factor, batch, other + (L::kAlong ? row : chunk * L::kChunk),
              term + (L::kAlong ? chunk * L::kChunk : row), end),
        to_(L::offset(row, chunk)) {}
  const Factor& factor_;
  typename Factor::Walk walk_;
  uint32_t to_;
};

}  // namespace noisette::cuda::gemm
