// Sums over long rows, the same bits every time: chunks of a fixed length are summed by one block
// each, and the sums of the chunks added up in order, in double.
#pragma once
#include <cstdint>
#include <tuple>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/scratch.h"
#include "kernels/cuda/vec.cuh"

namespace noisette::cuda {

inline constexpr int64_t kSumChunk = 64 * kThreads;

/// What is summed, of elements.
struct Square {
  __device__ double operator()(float x) const { return double(x) * double(x); }
};
/// 0 for a finite element, else NaN.
struct Excess {
  __device__ float operator()(float x) const { return x - x; }
};

/// partial[row * chunks + k] = sum of f(x[i]...) over chunk k of row `row`, i counted through all
/// rows. The elements of one access are added up in the type that f returns.
template <int kWidth, class F, class... In>
__global__ void sum_chunks(F f, int64_t per_row, int64_t chunks, double* partial, const In*... x) {
  const int64_t row = blockIdx.x / chunks, begin = blockIdx.x % chunks * kSumChunk;
  const int64_t end = begin + kSumChunk < per_row ? begin + kSumChunk : per_row;
  const auto sum_packs = [&](const Pack<In, kWidth>&... in) {
    auto sum = f(in[0]...);
#pragma unroll
    for (int k = 1; k < kWidth; ++k) sum += f(in[k]...);
    return sum;
  };
  double sum = 0;
#pragma unroll 4
  for (int64_t i = begin + int64_t(threadIdx.x) * kWidth; i < end; i += kThreads * kWidth)
    sum += double(sum_packs(Pack<In, kWidth>::read(x + row * per_row + i)...));
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

template <class Finish>
__global__ void finish_sums(const double* partial, int64_t chunks, Finish finish) {
  double sum = 0;
  for (int64_t k = threadIdx.x; k < chunks; k += kThreads) sum += partial[blockIdx.x * chunks + k];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) finish(blockIdx.x, sum);
}

/// Calls finish(row, sum of f(x[i]...) over i in [row * per_row, (row + 1) * per_row)) for every
/// row, on the device.
template <class F, class Finish, class... In>
void sum_rows(const char* name, int64_t rows, int64_t per_row, const F& f, const Finish& finish,
              const In*... x) {
  if (rows == 0) return;
  using Widest = std::tuple_element_t<0, std::tuple<In...>>;
  static_assert(((sizeof(In) <= sizeof(Widest)) && ...), "the widest elements come first");
  const int64_t chunks = ceil_div(per_row, kSumChunk);
  Scratch scratch;
  double* partial = scratch.take<double>(rows * chunks);
  const auto run = [&](auto width) {
    launch(name, sum_chunks<decltype(width)::value, F, In...>, dim3(unsigned(rows * chunks)),
           kThreads, 0, f, per_row, chunks, partial, x...);
  };
  if (chunks > 0) with_width<Widest>(per_row, run, x...);
  launch(name, finish_sums<Finish>, dim3(unsigned(rows)), kThreads, 0, partial, chunks, finish);
}

}  // namespace noisette::cuda
