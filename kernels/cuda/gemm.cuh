// Matrix products, tile by tile: bf16 on tensor cores, f32 by multiply-adds or, where the caller
// allows it, on tensor cores in tf32. Sums are f32.
//
// A block computes 128 x 128 elements of C. Tiles of A and B (gemm_tiles.cuh) come by cp.async, two
// ahead of the products, into three stages of shared memory, 96 KB. Every sum runs in the order of
// its terms. Where C has few tiles and the sum is long, it is cut into parts, by the shape alone,
// which are added up in order: few of them by the block of a tile that ends last, many by another
// kernel. Warps of a tile whose part lies outside of C leave its products out (not in tf32).
//
// Counted on the software GPU (noisette bench kernels --simulated; not yet run on a card), bf16:
//   product 4096 x 4096 x 4096             1.2 to 1.3 other instructions for an mma, global traffic
//                                          that of ideal tiles, 126 to 128 registers
//   3x3 convolution 128 -> 128, 32 x 32    forward 1.6, data gradient 1.9, weight gradient 1.8;
//                                          traffic 0.95 to 1.02, 168 to 172 registers; 95 % of the
//                                          products count, the rest are padding
//   product and SiLU 8192 x 1280 x 320,    1.1 (main loop), traffic 1.29 and 1.15, 128 registers
//   product and GEGLU 8192 x 2560 x 320    (Epilogue in gemm_write.cuh)
// No bank conflicts, nothing spilled. On an H100 the estimate is bound by traffic between the
// second-level cache and the tiles, not by the tensor cores: 2048 x 2048 x 1024, all blocks run,
// takes 28 us, three times what they would. (Of 4096 x 4096 x 4096 only four blocks run, far from
// each other, which find nothing in that cache: the estimate says memory.)
//
// Tried and dropped: a branch around the products of warps whose part lies outside of C, in one
// loop (the sums are moved from one side to the other, two more instructions of PTX for an mma);
// tiles of 32 terms in 48 KB (3.5 to 4.4 other instructions for an mma of convolutions: twice the
// address arithmetic); 128 registers for two blocks on a processor in convolutions (spills 30 to
// 500 bytes).
#pragma once
#include "kernels/cuda/gemm_fma.cuh"
#include "kernels/cuda/gemm_tensor_cores.cuh"
#include "kernels/cuda/gemm_write.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/scratch.h"

namespace noisette::cuda::gemm {

inline constexpr int kStages = 3;
inline constexpr uint32_t kStageBytes = 2 * kTileBytes;

/// Where sums in parts go before they are added up; null where there is one part. Without counters
/// another kernel adds up.
struct Parts {
  float* sums = nullptr;         // [batch, count, m, n]
  unsigned* arrived = nullptr;   // [batch, rows, columns of tiles]
  int64_t count = 1, terms = 0;  // a multiple of a tile's
};

/// The first row of tiles and the first product of a launch. In 32 bits: with 64 some kernels take
/// more than the 128 registers that let two blocks share a processor.
struct Start {
  unsigned row = 0, product = 0;
};

/// f(i, j, row, column) for the block's results (i, j .. j + 3), whose sums begin at (row, column)
/// of its tile, shared out over the threads.
template <class End, class F>
__device__ inline void for_each_result(const End& finish, int64_t first_row, const F& f) {
  const int halved = finish.gated();  // no division by numbers that are known late
  const int64_t first = int64_t(blockIdx.x) * (kN >> halved);
#pragma unroll(End::kShared ? 2 : 1)  // other counts spill registers, here or there
  for (int four = int(threadIdx.x); four < kM * kN / 4 >> halved; four += kThreads) {
    const int at = four << halved, row = at / (kN / 4), column = at % (kN / 4) * 4 >> halved;
    if (first_row + row < finish.m && first + column < finish.columns())
      f(first_row + row, first + column, row, column);
  }
}

/// Grid (columns, rows, batch * parts), from `start` on.
template <template <class, class> class Sums, class A, class B, class End>
__global__ void __launch_bounds__(kThreads)
    product(A a, B b, End finish, Parts parts, Extents d, Start start) {
  extern __shared__ __align__(1024) unsigned char memory[];
  constexpr int kTerms = LayoutOf<A>::kTerms;
  const uint32_t stages = shared_address(memory);

  const int64_t j0 = int64_t(blockIdx.x) * kN, i0 = int64_t(start.row + blockIdx.y) * kM;
  const int64_t s = start.product + blockIdx.z / parts.count, part = blockIdx.z % parts.count;
  const int64_t begin = part * parts.terms;
  const int64_t end = begin + parts.terms < d.k ? begin + parts.terms : d.k;
  Fetcher<A> left(a, s, i0, begin, end);
  Fetcher<B> right(b, s, j0, begin, end);
  int to_fetch = int((end - begin + kTerms - 1) / kTerms), to_add = to_fetch;
  uint32_t fetched = 0, added = 0;  // where the next is to lie, and lies
  const auto fetch = [&] {
    if (to_fetch > 0) {
      --to_fetch;
      left.fetch(stages + fetched);
      right.fetch(stages + fetched + kTileBytes);
      fetched = fetched == (kStages - 1) * kStageBytes ? 0 : fetched + kStageBytes;
    }
    commit_copies();
  };

  Sums<A, B> sums;
  for (int i = 0; i + 1 < kStages; ++i) fetch();
  const auto for_each_stage = [&](const auto& add) {
    for (; to_add > 0; --to_add) {
      wait_for_copies<kStages - 2>();
      meet_all_warps();
      fetch();  // into the stage that all have done with
      add(stages + added);
      added = added == (kStages - 1) * kStageBytes ? 0 : added + kStageBytes;
    }
  };
  // Two loops: in one, the sums would be moved from one side of a branch to the other.
  if (sums.inside(d.m - i0, d.n - j0))
    for_each_stage([&](uint32_t tiles) { sums.add(tiles); });
  else
    for_each_stage([](uint32_t) {});
  if (parts.sums == nullptr) {
    if constexpr (End::kShared) {
      // Where the stages were; every second row is exchanged for those that write.
      float4* const tile = reinterpret_cast<float4*>(memory);
      const auto at = [&](int i, int j) -> float4& {
        return tile[i * (kN / 4) + (j / 4 ^ i % 2 * 4)];
      };
      __syncthreads();
      sums.for_each_four([&](int i, int j, float4 four) { at(i, j) = four; });
      __syncthreads();
      for_each_result(finish, i0, [&](int64_t i, int64_t j, int row, int column) {
        finish(s, i, j, [&](int further) { return at(row, column + further); });
      });
    } else {
      sums.for_each_four([&](int i, int j, float4 four) {
        if (i0 + i < d.m && j0 + j < d.n) finish(s, i0 + i, j0 + j, [&](int) { return four; });
      });
    }
    return;
  }
  const int64_t one = d.m * d.n;
  float* const mine = parts.sums + (s * parts.count + part) * one;
  sums.for_each_four([&](int i, int j, float4 four) {
    if (i0 + i < d.m && j0 + j < d.n)
      store_four(mine + (i0 + i) * d.n + j0 + j, Pack<float, 4>{{four.x, four.y, four.z, four.w}});
  });
  if (parts.arrived == nullptr) return;
  const int64_t tile = (s * d.row_tiles() + start.row + blockIdx.y) * gridDim.x + blockIdx.x;
  // No memory besides the stages: they would not start on 1024 bytes any more.
  bool& last = *reinterpret_cast<bool*>(memory);
  if (!last_to_arrive(parts.arrived + tile, unsigned(parts.count), last)) return;
  for_each_result(finish, i0, [&](int64_t i, int64_t j, int, int column) {
    finish(s, i, j, [&](int further) {
      return sum_of_parts(parts.sums + s * parts.count * one + i * d.n + j0 + column + further,
                          parts.count, one);
    });
  });
}

template <template <class, class> class Sums, class A, class B, class End>
void run(const char* name, const A& a, const B& b, const End& finish, const Extents& d) {
  constexpr int64_t kTerms = LayoutOf<A>::kTerms, kFew = 8;
  Parts parts;
  parts.count = parts_of(d);
  parts.terms = ceil_div(ceil_div(d.k, parts.count), kTerms) * kTerms;
  Scratch scratch;
  if (parts.count > 1) {
    parts.sums = scratch.take<float>(stored_sums(d));
    if (parts.count <= kFew && d.batch * d.row_tiles() * d.column_tiles() <= kMostArrivals)
      parts.arrived = arrivals();
  }
  const int64_t products = std::max<int64_t>(1, most_blocks / parts.count);  // of a launch
  for (Start start; d.batch > start.product; start.product += products)
    for (start.row = 0; start.row < d.row_tiles(); start.row += most_blocks) {
      const dim3 tiles(unsigned(d.column_tiles()),
                       unsigned(std::min(most_blocks, d.row_tiles() - start.row)),
                       unsigned(std::min(products, d.batch - start.product) * parts.count));
      launch(name, product<Sums, A, B, End>, tiles, kThreads, kStages * kStageBytes, a, b, finish,
             parts, d, start);
    }
  if (parts.sums != nullptr && parts.arrived == nullptr)
    launch(name, add_parts<End>, blocks_for(d.batch * d.m * finish.columns() / 4), kThreads, 0,
           parts.sums, parts.count, finish, d);
}

/// By what the elements are, and whether f32 may be rounded to tf32 (runtime.h).
template <class A, class B, class End>
void multiply(const char* name, const A& a, const B& b, const End& finish, const Extents& d) {
  if (sizeof(typename A::Element) == 2 || tf32())
    run<TensorCores>(name, a, b, finish, d);
  else if constexpr (sizeof(typename A::Element) == 4)
    run<MultiplyAdds>(name, a, b, finish, d);
}

/// write(index into C, bias + A B).
template <class A, class B, class Write>
void multiply(const char* name, const A& a, const B& b, const float* bias, const Write& write,
              const Extents& d) {
  multiply(name, a, b, Finish<Write>{write, bias, d.m, d.n}, d);
}

}  // namespace noisette::cuda::gemm
