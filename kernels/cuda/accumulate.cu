// Sums of flat buffers. Contract: kernels/accumulate.h. Reference: kernels/cpu/accumulate.cpp.
#include "kernels/accumulate.h"

#include "kernels/cuda/map.cuh"

namespace noisette::cuda {
namespace {

struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};

template <class T>
__global__ void fill_kernel(T* x, T value, int64_t n) {
  for_each_item(n, [&](int64_t i) { x[i] = value; });
}

}  // namespace

template <class D, class S>
void accumulate(D* dst, const S* src, int64_t n, bool accumulate) {
  if (accumulate)
    map("accumulate", Sum{}, n, dst, static_cast<const D*>(dst), src);
  else
    map("accumulate", Identity{}, n, dst, src);
}

template <class T>
void add_into(const T* a, const T* b, T* sum, int64_t n) {
  map("add_into", Sum{}, n, sum, a, b);
}

template <class T>
void fill(T* x, T value, int64_t n) {
  if (n > 0) launch("fill", fill_kernel<T>, blocks_for(n), kThreads, 0, x, value, n);
}

template void add_into(const float*, const float*, float*, int64_t);
template void add_into(const bfloat16*, const bfloat16*, bfloat16*, int64_t);
template void accumulate(float*, const float*, int64_t, bool);
template void accumulate(float*, const bfloat16*, int64_t, bool);
template void accumulate(bfloat16*, const float*, int64_t, bool);
template void accumulate(bfloat16*, const bfloat16*, int64_t, bool);
template void fill(float*, float, int64_t);
template void fill(bfloat16*, bfloat16, int64_t);
template void fill(double*, double, int64_t);
template void fill(int32_t*, int32_t, int64_t);
template void fill(int64_t*, int64_t, int64_t);
template void fill(uint8_t*, uint8_t, int64_t);

}  // namespace noisette::cuda
