// A shared library with a kernel, as an extension of a program that knows nothing of CUDA. Built
// twice, with another number.
#include <cstdio>

template <int n>
__global__ void add_constant(int* x) {  // both have it
  *x += n;
}
static __global__ void add_own(int* x) { *x += EXTENSION; }

/// Frees its memory when the library goes.
struct Holder {
  int* x = nullptr;
  ~Holder() {
    if (x) cudaFree(x);
  }
};
static Holder holder;

extern "C" int extension_run() {
  if (!holder.x) cudaMalloc(&holder.x, sizeof(int));
  cudaMemset(holder.x, 0, sizeof(int));
  add_constant<1000><<<1, 1>>>(holder.x);
  add_own<<<1, 1>>>(holder.x);
  int got = 0;
  cudaMemcpy(&got, holder.x, sizeof got, cudaMemcpyDeviceToHost);
  if (cudaPeekAtLastError() != cudaSuccess)
    std::printf("%s\n", cudaGetErrorString(cudaGetLastError()));
  return got;
}
extern "C" void extension_leak() {
  int* x;
  cudaMalloc(&x, sizeof(int));
}
