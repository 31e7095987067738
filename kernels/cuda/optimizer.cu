// AdamW over flat buffers. Contract: kernels/optimizer.h. Reference: kernels/cpu/optimizer.cpp.
// One pass, bound by memory: 16 bytes read and 12 written an element, with the running average and
// the bf16 copy 20 and 18.
#include "kernels/optimizer.h"

#include "kernels/adamw_factors.h"
#include "kernels/cuda/map.cuh"
#include "kernels/cuda/sums.cuh"
#include "kernels/elementwise.h"

namespace noisette::cuda {
namespace {

using Factors = AdamWFactors<float>;  // computed on the device: a captured step stays valid

template <int kWidth>
__global__ void adamw_kernel(float* w, const float* g, float* m, float* v, float* average,
                             bfloat16* compute, int64_t n, const UpdateNumbers* numbers,
                             AdamWOptions options) {
  if (numbers->finite == 0) return;
  __shared__ alignas(Factors) unsigned char memory[sizeof(Factors)];
  Factors& f = *reinterpret_cast<Factors*>(memory);
  if (threadIdx.x == 0) f = Factors(*numbers, options);
  __syncthreads();
  using P = Pack<float, kWidth>;
  for_each_item(n / kWidth, [&](int64_t item) {
    const int64_t i = item * kWidth;
    P wi = P::read(w + i), mi = P::read(m + i), vi = P::read(v + i);
    const P gi = P::read(g + i);
    P mean = average != nullptr ? P::read(average + i) : P{};
    Pack<bfloat16, kWidth> rounded;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      const float grad = f.grad * gi[k];
      mi.set(k, f.beta1 * mi[k] + f.one_minus_beta1 * grad);
      vi.set(k, f.beta2 * vi[k] + f.one_minus_beta2 * grad * grad);
      wi.set(k, f.shrink * wi[k] - f.rate * mi[k] / (sqrtf(vi[k]) * f.root + f.eps));
      mean.set(k, f.keep * mean[k] + f.take * wi[k]);
      rounded.set(k, wi[k]);
    }
    wi.write(w + i);
    mi.write(m + i);
    vi.write(v + i);
    if (average != nullptr) mean.write(average + i);
    if (compute != nullptr) rounded.write(compute + i);
  });
}

struct NoteSquares {
  UpdateNumbers* numbers;
  __device__ void operator()(int64_t, double sum) const {
    numbers->squares = sum;
    if (!isfinite(sum)) numbers->finite = 0;
  }
};
struct NoteFinite {
  UpdateNumbers* numbers;
  __device__ void operator()(int64_t, double excess) const {
    if (excess != 0) numbers->finite = 0;  // NaN
  }
};
}  // namespace

template <class A>
void gradient_squares(const A* g, int64_t n, UpdateNumbers* numbers) {
  sum_rows("gradient_squares", 1, n, Square{}, NoteSquares{numbers}, g);
}

template <class A>
void require_finite(const A* x, int64_t n, UpdateNumbers* numbers) {
  sum_rows("require_finite", 1, n, Excess{}, NoteFinite{numbers}, x);
}

template <class A>
void adamw_step(A* w, const A* g, A* m, A* v, A* average, bfloat16* compute, int64_t n,
                const UpdateNumbers* numbers, const AdamWOptions& options) {
  if (n == 0) return;
  const auto run = [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    // Each block computes the factors: no more of them than a large card runs at once.
    const dim3 grid(std::min(blocks_for(n / kWidth).x, 1056u));
    launch("adamw_step", adamw_kernel<kWidth>, grid, kThreads, 0, w, g, m, v, average, compute, n,
           numbers, options);
  };
  with_width<float>(n, run, w, g, m, v, average, compute);
}

template void gradient_squares<float>(const float*, int64_t, UpdateNumbers*);
template void require_finite<float>(const float*, int64_t, UpdateNumbers*);
template void adamw_step<float>(float*, const float*, float*, float*, float*, bfloat16*, int64_t,
                                const UpdateNumbers*, const AdamWOptions&);

}  // namespace noisette::cuda
