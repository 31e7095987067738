// Matrix products of bf16 on tensor cores, sums in f32.
//
// A block computes 128 x 128 elements of C, its 8 warps 64 x 32 each, 32 terms at a time. Tiles of
// A and B come by cp.async, two ahead of the products, into three stages of shared memory. In it
// sixteen-byte chunks are exchanged within rows (Layout), so that the eight rows of a matrix that
// ldmatrix reads lie in different banks.
//
// Every sum runs in the order of its terms. Where C has few tiles and the sum is long, it is cut
// into parts, by the shape alone, which are added up in order by another kernel.
//
// Counted on the software GPU: no bank conflicts, nothing spilled (128 registers), about 2 other
// instructions of PTX in the main loop for each mma, of convolutions 3.5 to 4.4; more than half of
// them copy and address the next tiles. Not yet run on a card.
#pragma once
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/scratch.h"
#include "kernels/cuda/vec.cuh"

namespace noisette::cuda::gemm {

inline constexpr int kM = 128, kN = 128, kK = 32;  // of a block
inline constexpr int kStages = 3;
inline constexpr int kWarpM = 64, kWarpN = 32;

/// C [batch, m, n] from sums of k terms.
struct Extents {
  int64_t batch = 1, m = 0, n = 0, k = 0;
};

/// Where tiles of a factor lie in shared memory: 128 rows (of A, or columns of B) by 32 terms, as
/// the matrix lies in global memory. kAlong: its terms are neighbours.
template <bool kAlong>
struct Layout {
  static constexpr int kOther = 128;
  static constexpr int kRows = kAlong ? kOther : kK, kCols = kAlong ? kK : kOther;
  static constexpr int kChunks = kCols / 8;  // of sixteen bytes, in a row
  static constexpr uint32_t kBytes = kRows * kCols * sizeof(bfloat16);

  __device__ static uint32_t offset(int row, int chunk) {
    const int moved = kAlong ? chunk ^ (row / 2 % 4) : chunk ^ (row % 8);
    return uint32_t(row * kCols + moved * 8) * uint32_t(sizeof(bfloat16));
  }
};

/// A factor that is a matrix: [others, terms] or, unless kAlong, [terms, others].
template <bool kTermsAlong>
struct Matrix {
  static constexpr bool kAlong = kTermsAlong;
  const bfloat16* x;
  int64_t others, terms;

  /// Sixteen bytes of each tile, from row `other` and term `term` on.
  struct Chunk {
    const bfloat16* at;
    bool inside;
    __device__ Chunk() {}
    __device__ Chunk(const Matrix& m, int64_t batch, int64_t other, int64_t term)
        : at(m.x + batch * m.others * m.terms +
             (kAlong ? other * m.terms + term : term * m.others + other)),
          inside(other < m.others) {}
    __device__ const bfloat16* place(const Matrix&) const { return inside ? at : nullptr; }
    __device__ void next(const Matrix& m) { at += kAlong ? kK : kK * m.others; }
  };
};

/// Copies the tiles of a factor, one after the other.
template <class Factor>
class Fetcher {
  using L = Layout<Factor::kAlong>;
  static constexpr int kEach = L::kRows * L::kChunks / kThreads;  // chunks of a thread

  __device__ static int row(int i) { return (i * kThreads + int(threadIdx.x)) / L::kChunks; }
  __device__ static int chunk(int i) { return (i * kThreads + int(threadIdx.x)) % L::kChunks; }

 public:
  /// From row `other` and term `term` on, up to the term `end`. What lies outside is zero.
  __device__ Fetcher(const Factor& factor, int64_t batch, int64_t other, int64_t term, int64_t end)
      : factor_(factor) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int along = chunk(i) * 8, across = row(i);
      const int64_t o = other + (Factor::kAlong ? across : along);
      const int64_t l = term + (Factor::kAlong ? along : across);
      chunk_[i] = typename Factor::Chunk(factor, batch, o, l);
      left_[i] = l < end ? int((end - l + kK - 1) / kK) : 0;
      to_[i] = L::offset(row(i), chunk(i));
    }
  }
  /// The next tile, to an address in shared memory.
  __device__ void fetch(uint32_t tile) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const bfloat16* from = left_[i] > 0 ? chunk_[i].place(factor_) : nullptr;
      copy16_async(tile + to_[i], from != nullptr ? from : factor_.x, from != nullptr);
      chunk_[i].next(factor_);
      --left_[i];
    }
  }

 private:
  const Factor& factor_;
  typename Factor::Chunk chunk_[kEach];
  int left_[kEach];  // tiles that have this chunk
  uint32_t to_[kEach];
};

/// Loads 16 rows by 16 terms of a tile. The lane's place in the first is computed once: places of
/// the others differ in one pair of bits of the exchanged chunk, or by whole rows.
template <bool kAlong>
class Reader {
  using L = Layout<kAlong>;

 public:
  /// `row`, `term`: of this lane's row of the matrices that ldmatrix loads first.
  __device__ Reader(int row, int term)
      : first_(kAlong ? L::offset(row, term / 8) : L::offset(term, row / 8)) {}
  /// Rows 16 * block and on, terms 16 * half and on.
  __device__ void load(uint32_t tile, int block, int half, uint32_t (&r)[4]) const {
    constexpr uint32_t kRow = L::kCols * sizeof(bfloat16);
    const uint32_t moved = first_ ^ uint32_t((kAlong ? half : block) << 5);
    load_matrices<!kAlong>(r, tile + moved + uint32_t(kAlong ? block : half) * 16 * kRow);
  }

 private:
  uint32_t first_;
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

/// write(s, i, j, four): elements (i, j .. j + 3) of C of number s = batch * parts + part.
/// Grid (columns, rows, batch * parts); the terms of a part are a multiple of kK.
template <class A, class B, class Write>
__global__ void __launch_bounds__(kThreads)
    product(A a, B b, Write write, int64_t parts, int64_t part, Extents d) {
  using LayoutA = Layout<A::kAlong>;
  using LayoutB = Layout<B::kAlong>;
  constexpr uint32_t kStage = LayoutA::kBytes + LayoutB::kBytes;
  __shared__ alignas(128) unsigned char memory[kStages * kStage];
  const uint32_t first_stage = shared_address(memory);

  const int64_t j0 = int64_t(blockIdx.x) * kN, i0 = int64_t(blockIdx.y) * kM;
  const int64_t s = blockIdx.z, begin = s % parts * part;
  const int64_t end = begin + part < d.k ? begin + part : d.k;
  const int steps = int((end - begin + kK - 1) / kK);
  Fetcher<A> left(a, s / parts, i0, begin, end);
  Fetcher<B> right(b, s / parts, j0, begin, end);
  const auto fetch = [&](int step) {
    if (step < steps) {
      const uint32_t stage = first_stage + uint32_t(step % kStages) * kStage;
      left.fetch(stage);
      right.fetch(stage + LayoutA::kBytes);
    }
    commit_copies();
  };

  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int m0 = warp / 4 * kWarpM, n0 = warp % 4 * kWarpN;
  const int matrix = lane / 8, r = lane % 8;
  // ldmatrix hands out a row of its matrices as they lie; of B the second matrix has other terms.
  const Reader<A::kAlong> read_a(m0 + matrix % 2 * 8 + (A::kAlong ? r : 0),
                                 matrix / 2 * 8 + (A::kAlong ? 0 : r));
  const Reader<B::kAlong> read_b(n0 + matrix / 2 * 8 + (B::kAlong ? r : 0),
                                 matrix % 2 * 8 + (B::kAlong ? 0 : r));

  float c[kWarpM / 16][kWarpN / 8][4] = {};
  fetch(0);
  fetch(1);
  for (int step = 0; step < steps; ++step) {
    wait_for_copies<1>();
    __syncthreads();
    fetch(step + 2);  // into the stage that all have done with
    const uint32_t stage = first_stage + uint32_t(step % kStages) * kStage;
#pragma unroll
    for (int half = 0; half < kK / 16; ++half) {
      uint32_t x[kWarpM / 16][4], y[kWarpN / 16][4];
#pragma unroll
      for (int m = 0; m < kWarpM / 16; ++m) read_a.load(stage, m, half, x[m]);
#pragma unroll
      for (int n = 0; n < kWarpN / 16; ++n) read_b.load(stage + LayoutA::kBytes, n, half, y[n]);
#pragma unroll
      for (int m = 0; m < kWarpM / 16; ++m)
#pragma unroll
        for (int n = 0; n < kWarpN / 8; ++n)
          multiply_add(c[m][n], x[m], y[n / 2][n % 2 * 2], y[n / 2][n % 2 * 2 + 1]);
    }
  }
#pragma unroll
  for (int m = 0; m < kWarpM / 16; ++m)
#pragma unroll
    for (int n = 0; n < kWarpN / 8; n += 2)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float4 four = neighbours(c[m][n], c[m][n + 1], half);
        const int64_t i = i0 + m0 + m * 16 + half * 8 + lane / 4;
        const int64_t j = j0 + n0 + n * 8 + lane % 4 * 4;
        if (i < d.m && j < d.n) write(s, i, j, four);
      }
}

/// Whether tiles can be written, and are worth it.
inline bool takes(const Extents& d) {
  constexpr int64_t kMost = 65535;  // blocks along the second and third axis of a grid
  return d.n % 4 == 0 && d.batch <= kMost && ceil_div(d.m, kM) <= kMost && d.m >= 16 && d.n >= 16 &&
         d.k >= 16;
}

/// Parts of the sum: enough blocks for a card where C has few tiles, of at least kLeast terms.
inline int64_t parts_of(const Extents& d) {
  constexpr int64_t kBlocks = 128, kLeast = 512;
  const int64_t tiles = d.batch * ceil_div(d.m, kM) * ceil_div(d.n, kN);
  return std::clamp<int64_t>(kBlocks / tiles, 1, ceil_div(d.k, kLeast));
}

/// c[i] = sum, with a residual that may be absent.
template <class T>
struct AddResidual {
  const T* residual;
  T* c;
  __device__ void operator()(int64_t i, float sum) const {
    store(c + i, residual != nullptr ? sum + load(residual + i) : sum);
  }
  __device__ void operator()(int64_t i, const float (&sums)[4]) const {
    using P = Pack<T, 4>;
    P out;
    const P more = residual != nullptr ? P::read(residual + i) : P{};
#pragma unroll
    for (int k = 0; k < 4; ++k) out.set(k, residual != nullptr ? sums[k] + more[k] : sums[k]);
    out.write(c + i);
  }
  bool aligned() const { return aligned16(residual, c); }
};
struct Accumulate {
  float* c;
  bool accumulate;
  __device__ void operator()(int64_t i, double sum) const {
    c[i] = accumulate ? c[i] + float(sum) : float(sum);
  }
  __device__ void operator()(int64_t i, const float (&sums)[4]) const {
    AddResidual<float>{accumulate ? c : nullptr, c}(i, sums);
  }
  bool aligned() const { return aligned16(c); }
};

/// What tensor cores hand out, four neighbours of a row at a time, to write(index into c, values).
template <class Write>
struct Finish {
  Write write;
  const float* bias;
  int64_t m, n;
  __device__ void operator()(int64_t s, int64_t i, int64_t j, float4 v) const {
    float sums[4] = {v.x, v.y, v.z, v.w};
    if (bias != nullptr)
#pragma unroll
      for (int k = 0; k < 4; ++k) sums[k] += bias[j + k];
    write((s * m + i) * n + j, sums);
  }
};
struct StorePart {
  float* parts;
  int64_t m, n;
  __device__ void operator()(int64_t s, int64_t i, int64_t j, float4 v) const {
    *reinterpret_cast<float4*>(parts + (s * m + i) * n + j) = v;
  }
};

/// Adds up the parts of every element, in order.
template <class Write>
__global__ void add_parts(const float* parts, int64_t count, const float* bias, Write write,
                          Extents d) {
  const int64_t one = d.m * d.n;
  for_each_item(d.batch * one, [&](int64_t item) {
    const int64_t s = item / one, i = item - s * one;
    float sum = 0;
    for (int64_t p = 0; p < count; ++p) sum += parts[(s * count + p) * one + i];
    write(item, bias != nullptr ? sum + bias[i % d.n] : sum);
  });
}

/// write(index into C, bias + A B).
template <class A, class B, class Write>
void run(const char* name, const A& a, const B& b, const float* bias, const Write& write,
         const Extents& d) {
  const int64_t parts = parts_of(d), part = ceil_div(ceil_div(d.k, parts), kK) * kK;
  const dim3 grid(unsigned(ceil_div(d.n, kN)), unsigned(ceil_div(d.m, kM)),
                  unsigned(d.batch * parts));
  if (parts == 1) {
    launch(name, product<A, B, Finish<Write>>, grid, kThreads, 0, a, b,
           Finish<Write>{write, bias, d.m, d.n}, parts, part, d);
    return;
  }
  Scratch scratch;
  float* sums = scratch.take<float>(parts * d.batch * d.m * d.n);
  launch(name, product<A, B, StorePart>, grid, kThreads, 0, a, b, StorePart{sums, d.m, d.n}, parts,
         part, d);
  launch(name, add_parts<Write>, blocks_for(d.batch * d.m * d.n), kThreads, 0, sums, parts, bias,
         write, d);
}

}  // namespace noisette::cuda::gemm
