// cp.async: sizes, zero fill, groups in order, pipelines. "late": reads before the wait, which must
// not see what is copied: with checks it is a fault, without the old value shows.
#include <cuda_pipeline.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

__device__ uint32_t address_of(const void* p) { return uint32_t(__cvta_generic_to_shared(p)); }

template <int Bytes>
__device__ void copy(void* to, const void* from, int filled) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(address_of(to)), "l"(from),
               "n"(Bytes), "r"(filled)
               : "memory");
}

/// Each thread copies 16 bytes in pieces; `filled` of each 16, 8 and 4 are from memory.
__global__ void sizes(const unsigned char* from, unsigned char* to, int filled) {
  __shared__ __align__(16) unsigned char s[32][32];
  const unsigned char* mine = from + threadIdx.x * 32;
  copy<16>(s[threadIdx.x], mine, filled);
  copy<8>(s[threadIdx.x] + 16, mine + 16, filled / 2);
  copy<4>(s[threadIdx.x] + 24, mine + 24, filled / 4);
  copy<4>(s[threadIdx.x] + 28, mine + 28, 4);
  asm volatile("cp.async.wait_all;" ::: "memory");
  __syncthreads();
  const int other = int(threadIdx.x) ^ 1;
  for (int k = 0; k < 32; ++k) to[other * 32 + k] = s[other][k];
}

/// Predicated zeros: odd threads ignore the source, which need not exist.
__global__ void ignored(const int* from, int* to) {
  __shared__ int s[32];
  const int* mine = threadIdx.x % 2 ? nullptr : from + threadIdx.x;
  asm volatile(
      "{ .reg .pred p; setp.ne.u32 p, %2, 0; cp.async.ca.shared.global [%0], [%1], 4, p; }" ::"r"(
          address_of(&s[threadIdx.x])),
      "l"(mine ? mine : from), "r"(threadIdx.x % 2)
      : "memory");
  __pipeline_commit();
  __pipeline_wait_prior(0);
  to[threadIdx.x] = s[threadIdx.x];
}

/// A ring of three stages; sums of what each stage brought.
__global__ void ring(const float* from, float* to, int stages) {
  __shared__ float4 s[3][64];
  const auto fetch = [&](int stage) {
    if (stage < stages)
      __pipeline_memcpy_async(&s[stage % 3][threadIdx.x],
                              reinterpret_cast<const float4*>(from) + stage * 64 + threadIdx.x, 16);
    __pipeline_commit();
  };
  fetch(0);
  fetch(1);
  float sum = 0;
  for (int stage = 0; stage < stages; ++stage) {
    __pipeline_wait_prior(1);
    __syncthreads();
    fetch(stage + 2);
    const float4 v = s[stage % 3][threadIdx.x ^ 33];
    sum += v.x + 2 * v.y + 3 * v.z + 4 * v.w;
  }
  to[threadIdx.x ^ 33] = sum;
}

/// The wait leaves the group out whose data is read.
__global__ void late(const int* from, int* to) {
  __shared__ int s[32];
  s[threadIdx.x] = -1;
  __pipeline_memcpy_async(&s[threadIdx.x], from + threadIdx.x, 4);
  __pipeline_commit();
  __pipeline_wait_prior(1);
  to[threadIdx.x] = s[threadIdx.x];
}

int failures = 0;
void expect(bool ok, const char* what, int at) {
  if (ok) return;
  std::printf("%s, element %d\n", what, at);
  ++failures;
}

template <class T>
T* managed(size_t n) {
  T* p;
  cudaMallocManaged(&p, n * sizeof(T));
  return p;
}

void check_sizes() {
  auto *from = managed<unsigned char>(1024), *to = managed<unsigned char>(1024);
  for (int i = 0; i < 1024; ++i) from[i] = static_cast<unsigned char>(i * 7 + i / 256 + 1);
  for (const int filled : {16, 12, 4, 0}) {
    sizes<<<1, 32>>>(from, to, filled);
    expect(cudaDeviceSynchronize() == cudaSuccess, "sizes did not run", filled);
    for (int i = 0; i < 1024; ++i) {
      const int k = i % 32;
      const bool kept = k < 16   ? k < filled
                        : k < 24 ? k - 16 < filled / 2
                        : k < 28 ? k - 24 < filled / 4
                                 : true;
      expect(to[i] == (kept ? from[i] : 0), "sizes", i);
    }
  }
  cudaFree(from);
  cudaFree(to);
}

int main(int argc, char** argv) {
  auto *from = managed<int>(32), *to = managed<int>(32);
  for (int i = 0; i < 32; ++i) from[i] = i + 1;
  if (argc > 1 && std::strcmp(argv[1], "late") == 0) {
    late<<<1, 32>>>(from, to);
    cudaDeviceSynchronize();
    for (int i = 0; i < 32; ++i) expect(to[i] == -1, "late", i);
    return failures != 0;
  }
  check_sizes();
  ignored<<<1, 32>>>(from, to);
  expect(cudaDeviceSynchronize() == cudaSuccess, "ignored did not run", 0);
  for (int i = 0; i < 32; ++i) expect(to[i] == (i % 2 ? 0 : i + 1), "ignored", i);
  const int stages = 7;
  auto *many = managed<float>(stages * 256), *sums = managed<float>(64);
  for (int i = 0; i < stages * 256; ++i) many[i] = float(i % 101);
  ring<<<1, 64>>>(many, sums, stages);
  expect(cudaDeviceSynchronize() == cudaSuccess, "ring did not run", 0);
  for (int t = 0; t < 64; ++t) {
    float sum = 0;
    for (int stage = 0; stage < stages; ++stage) {
      const float* v = many + (stage * 64 + t) * 4;
      sum += v[0] + 2 * v[1] + 3 * v[2] + 4 * v[3];
    }
    expect(sums[t] == sum, "ring", t);
  }
  for (void* p : {static_cast<void*>(from), static_cast<void*>(to), static_cast<void*>(many),
                  static_cast<void*>(sums)})
    cudaFree(p);
  return failures != 0;
}
