// Registers: what ptxas says of a kernel holds for its attributes, the occupancy and its launches.
#include <cstdio>

/// Many values live at once, and none can be computed again.
template <int n>
__device__ void heavy_body(float* x) {
  float held[n];
#pragma unroll
  for (int i = 0; i < n; i++) held[i] = x[threadIdx.x + i * 1024];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < n; i++) x[threadIdx.x + i * 1024] = held[(i * 7 + 3) % n] * held[i];
}
__global__ void heavy(float* x) { heavy_body<100>(x); }
__global__ void __launch_bounds__(1024) bounded(float* x) { heavy_body<100>(x); }
__global__ void light(float* x) { x[threadIdx.x] += 1; }
__constant__ float factors[16];
__global__ void local(float* x, int n) {
  float held[64];
  for (int i = 0; i < 64; i++) held[(i * n) % 64] = x[i] * factors[i % 16];
  x[threadIdx.x] = held[n + threadIdx.x % 32];
}

int failed = 0;
#define EXPECT(condition) \
  if (!(condition)) failed = 1, std::printf("line %d: %s\n", __LINE__, #condition)

cudaFuncAttributes attributes(const void* kernel) {
  cudaFuncAttributes a = {};
  cudaFuncGetAttributes(&a, kernel);
  return a;
}

int main() {
  float* x;
  cudaMalloc(&x, 1024 * 128 * sizeof(float));
  cudaMemset(x, 0, 1024 * 128 * sizeof(float));
  heavy<<<1, 1024>>>(x);  // before anything was asked for
  EXPECT(cudaGetLastError() == cudaErrorLaunchOutOfResources);
  heavy<<<1, 256>>>(x);
  EXPECT(cudaGetLastError() == cudaSuccess);
  bounded<<<1, 1024>>>(x);
  EXPECT(cudaGetLastError() == cudaSuccess);
  light<<<1, 1024>>>(x);
  EXPECT(cudaGetLastError() == cudaSuccess);
  EXPECT(cudaDeviceSynchronize() == cudaSuccess);

  const auto h = attributes((const void*)heavy), b = attributes((const void*)bounded);
  const auto l = attributes((const void*)light), o = attributes((const void*)local);
  EXPECT(h.numRegs > 100 && h.numRegs <= 128);
  EXPECT(h.maxThreadsPerBlock == 512);
  EXPECT(b.numRegs <= 64 && b.maxThreadsPerBlock == 1024);
  EXPECT(l.numRegs > 0 && l.numRegs <= 16 && l.maxThreadsPerBlock == 1024);
  EXPECT(h.localSizeBytes == 0 && o.localSizeBytes >= 256);
  EXPECT(o.constSizeBytes == sizeof factors && h.constSizeBytes == 0);
  EXPECT(h.ptxVersion == 80 && h.binaryVersion == 90);
  int blocks = 0;
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, heavy, 512, 0);
  EXPECT(blocks == 1);
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, heavy, 1024, 0);
  EXPECT(blocks == 0);
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, light, 1024, 0);
  EXPECT(blocks == 2);
  cudaFree(x);
  return failed;
}
