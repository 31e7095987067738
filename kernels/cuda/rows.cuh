// Functions of whole rows: threads share a row out among them, sixteen bytes at a time where that
// can be, and keep their parts in registers, so that it is read once. Rows too long for that are
// read again each time.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vec.cuh"

namespace noisette::cuda {

/// A thread's part of a row of memory, shared out as S says.
template <class T, class S>
class Row {
 public:
  using P = Pack<T, S::kWidth>;

  __device__ Row(const T* row, int64_t cols) : row_(row) {
    if constexpr (S::kVectors > 0)
      S::for_each(cols, [&](int k, int64_t c) { kept_[k] = P::read(row + c); });
  }
  /// The k-th vector of this thread, which begins at column c.
  __device__ P vector(int k, int64_t c) const {
    if constexpr (S::kVectors > 0)
      return kept_[k];
    else
      return P::read(row_ + c);
  }

 private:
  const T* row_;
  P kept_[S::kVectors > 0 ? S::kVectors : 1];
};

/// A row of f32 that a block needs for all of its rows, in shared memory: read once for them, whole
/// sectors at a time, and in no registers. One too long for that is read again each time. The first
/// and the last halves of vectors of eight lie apart, so that no two threads want one bank.
template <class S>
class SharedRow {
  static constexpr int kPart = S::kWidth % 4 == 0 ? 4 : 1, kParts = S::kWidth / kPart;
  using Part = Pack<float, kPart>;

 public:
  using P = Pack<float, S::kWidth>;

  /// Bytes of shared memory.
  __host__ __device__ static unsigned bytes(int64_t cols) {
    return S::kVectors > 0 ? kParts * room(cols) * unsigned(sizeof(Part)) : 0;
  }
  /// All threads of the block call, and wait for each other before they use it.
  __device__ SharedRow(const float* row, int64_t cols, std::byte* memory)
      : row_(row), own_(reinterpret_cast<Part*>(memory) + threadIdx.x), room_(room(cols)) {
    if constexpr (S::kVectors > 0) {
      auto* const parts = reinterpret_cast<Part*>(memory);
#pragma unroll 1
      for (unsigned i = threadIdx.y * S::kGroup + threadIdx.x; i < unsigned(cols) / kPart;
           i += kThreads)
        parts[i % kParts * room_ + i / kParts] = Part::read(row + i * kPart);
    }
  }
  /// The k-th vector of this thread, which begins at column c.
  __device__ P vector(int k, int64_t c) const {
    if constexpr (S::kVectors > 0) {
      P p;
#pragma unroll
      for (int h = 0; h < kParts; ++h) {
        const Part part = own_[h * room_ + k * S::kGroup];
#pragma unroll
        for (int j = 0; j < kPart; ++j) p.e[h * kPart + j] = part.e[j];
      }
      return p;
    } else {
      return P::read(row_ + c);
    }
  }

 private:
  /// Parts between halves: those of all vectors, and four more so that writing them apart takes
  /// different banks too.
  __host__ __device__ static unsigned room(int64_t cols) { return unsigned(cols) / S::kWidth + 4; }

  const float* row_;
  const Part* own_;  // of this thread's first vector
  unsigned room_;
};

/// How a row is shared out: vectors of kWidth elements, up to kVectors of them a thread (0: any
/// number, which are not kept), by kGroup threads. Blocks are [kGroup, kRows] threads.
template <int kWidth_, int kVectors_, int kGroup_>
struct Share {
  static constexpr int kWidth = kWidth_, kVectors = kVectors_, kGroup = kGroup_;
  static constexpr int kRows = kThreads / kGroup;
  static dim3 block() { return dim3(kGroup, kRows); }

  /// Calls f(r) for the rows of this thread's group.
  template <class F>
  __device__ static void for_each_row(int64_t rows, const F& f) {
    const int64_t step = int64_t(gridDim.x) * kRows;
    for (int64_t r = int64_t(blockIdx.x) * kRows + threadIdx.y; r < rows; r += step) f(r);
  }
  /// Calls f(k, c) for the thread's vectors: the k-th begins at column c.
  template <class F>
  __device__ static void for_each(int64_t cols, const F& f) {
    int64_t c = int64_t(threadIdx.x) * kWidth;
    if constexpr (kVectors > 0) {
#pragma unroll
      for (int k = 0; k < kVectors; ++k, c += kGroup * kWidth)
        if (c < cols) f(k, c);
    } else {
      for (; c < cols; c += kGroup * kWidth) f(0, c);
    }
  }
  /// Combines f(c, elements of the rows...) over all columns, for all threads of the group.
  template <class Combine, class F, class... Rows>
  __device__ static float reduce(int64_t cols, float start, const Combine& combine, const F& f,
                                 const Rows&... rows) {
    for_each(cols, [&](int k, int64_t c) {
      const auto add = [&](const auto&... p) {
#pragma unroll
        for (int j = 0; j < kWidth; ++j) start = combine(start, f(c + j, p[j]...));
      };
      add(rows.vector(k, c)...);
    });
    return block_reduce<kGroup>(start, combine);
  }
  template <class F, class... Rows>
  __device__ static float sum(int64_t cols, const F& f, const Rows&... rows) {
    return reduce(cols, 0.f, Add{}, f, rows...);
  }
  /// to[c] = f(c, elements of the rows...)
  template <class Out, class F, class... Rows>
  __device__ static void write(int64_t cols, Out* to, const F& f, const Rows&... rows) {
    for_each(cols, [&](int k, int64_t c) {
      const auto set = [&](const auto&... p) {
        Pack<Out, kWidth> out;
#pragma unroll
        for (int j = 0; j < kWidth; ++j) out.set(j, f(c + j, p[j]...));
        out.write(to + c);
      };
      set(rows.vector(k, c)...);
    });
  }
};

/// Calls f(share) with the Share for rows of `cols` elements of T that start at these addresses: a
/// warp has a short row, a block a long one.
template <class T, class F, class... P>
void with_share(int64_t cols, const F& f, const P*... p) {
  const auto choose = [&](auto width) {
    constexpr int kWidth = decltype(width)::value, kKept = 4;
    if (cols <= 32 * kKept * kWidth)
      f(Share<kWidth, kKept, 32>{});
    else if (cols <= kThreads * kKept * kWidth)
      f(Share<kWidth, kKept, kThreads>{});
    else
      f(Share<kWidth, 0, kThreads>{});
  };
  with_width<T>(cols, choose, p...);
}

}  // namespace noisette::cuda
