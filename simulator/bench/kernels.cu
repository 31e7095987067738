// What `run.py` beside it times: `bench NAME` runs a kernel often enough to be timed and prints the
// seconds that it took and the work that it did.
#include <cuda_bf16.h>
#include <cuda_pipeline.h>
#include <cuda_runtime.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>

namespace {

__global__ void saxpy(int n, float a, const float* x, float* y) {
  const int step = int(gridDim.x * blockDim.x);
  for (int i = int(blockIdx.x * blockDim.x + threadIdx.x); i < n; i += step) y[i] = a * x[i] + y[i];
}

/// Two chains of fused multiply-adds in registers.
__global__ void fused(int n, float* y) {
  float u = 1, v = float(threadIdx.x);
  for (int i = 0; i < n; ++i) {
    v = fmaf(v, 1.0001f, u);
    u = fmaf(u, 0.999f, v);
  }
  y[blockIdx.x * blockDim.x + threadIdx.x] = u;
}

/// A tile of 32 x 32 turned through shared memory, padded so that banks do not collide.
__global__ void transpose(int n, const float* x, float* y) {
  __shared__ float tile[32][33];
  const int column = int(blockIdx.x * 32 + threadIdx.x), row = int(blockIdx.y * 32 + threadIdx.y);
  for (int k = 0; k < 32; k += 8) tile[threadIdx.y + k][threadIdx.x] = x[(row + k) * n + column];
  __syncthreads();
  const int out = int(blockIdx.y * 32 + threadIdx.x), in = int(blockIdx.x * 32 + threadIdx.y);
  for (int k = 0; k < 32; k += 8) y[(in + k) * n + out] = tile[threadIdx.x][threadIdx.y + k];
}

__device__ void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
      "{%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Products of tensor cores out of registers.
__global__ void mma(int n, float* y) {
  float d[4] = {};
  const uint32_t a[4] = {0x3f803f80, threadIdx.x, 0x3f803f80, 0}, b[2] = {0x3f803f80, threadIdx.x};
  for (int i = 0; i < n; ++i) multiply(d, a, b);
  y[blockIdx.x * blockDim.x + threadIdx.x] = d[0] + d[1] + d[2] + d[3];
}

__device__ void load_matrices(uint32_t* r, const __nv_bfloat16* from, int count) {
  const auto at = uint32_t(__cvta_generic_to_shared(from));
  if (count == 4)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at));
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(at));
}

/// c [n, n] = a [n, n] * b [n, n] transposed, all by rows: 64 x 64 a block of four warps, two
/// stages of cp.async, rows of shared memory padded by 16 bytes.
__global__ void gemm(int n, const __nv_bfloat16* a, const __nv_bfloat16* b, float* c) {
  constexpr int kTile = 64, kDepth = 32, kPitch = kDepth + 8;
  __shared__ __align__(16) __nv_bfloat16 as[2][kTile][kPitch], bs[2][kTile][kPitch];
  const int t = int(threadIdx.x), warp = t / 32, lane = t % 32;
  a += size_t(blockIdx.y) * kTile * n;
  b += size_t(blockIdx.x) * kTile * n;
  const auto fetch = [&](int stage, int k) {
    for (int piece = t; piece < kTile * kDepth / 8; piece += 128) {
      const int row = piece / (kDepth / 8), column = piece % (kDepth / 8) * 8;
      __pipeline_memcpy_async(&as[stage][row][column], a + size_t(row) * n + k + column, 16);
      __pipeline_memcpy_async(&bs[stage][row][column], b + size_t(row) * n + k + column, 16);
    }
  };
  float d[8][4] = {};
  fetch(0, 0);
  __pipeline_commit();
  for (int k = 0, stage = 0; k < n; k += kDepth, stage ^= 1) {
    if (k + kDepth < n) fetch(stage ^ 1, k + kDepth);
    __pipeline_commit();
    __pipeline_wait_prior(1);
    __syncthreads();
    for (int inner = 0; inner < kDepth; inner += 16) {
      uint32_t ra[4], rb[2];
      load_matrices(ra, &as[stage][warp * 16 + lane % 16][inner + lane / 16 * 8], 4);
      for (int j = 0; j < 8; ++j) {
        load_matrices(rb, &bs[stage][j * 8 + lane % 8][inner + lane / 8 % 2 * 8], 2);
        multiply(d[j], ra, rb);
      }
    }
    __syncthreads();
  }
  for (int j = 0; j < 8; ++j)
    for (int e = 0; e < 4; ++e) {
      const size_t row = blockIdx.y * kTile + warp * 16 + lane / 4 + e / 2 * 8;
      c[row * n + blockIdx.x * kTile + j * 8 + lane % 4 * 2 + e % 2] = d[j][e];
    }
}

__global__ void nothing() {}

template <class T>
T* zeros(size_t count) {
  T* p = nullptr;
  cudaMalloc(&p, count * sizeof(T));
  cudaMemset(p, 0, count * sizeof(T));
  return p;
}

/// Seconds of the second of two runs.
double time(const std::function<void()>& run) {
  run();
  cudaDeviceSynchronize();
  const auto begin = std::chrono::steady_clock::now();
  run();
  cudaDeviceSynchronize();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

int main(int argc, char** argv) {
  const char* name = argc > 1 ? argv[1] : "";
  const auto is = [&](const char* other) { return std::strcmp(name, other) == 0; };
  double seconds = 0, work = 0;  // elements, FLOPs, launches
  constexpr int kBlocks = 256, kThreads = 256;
  if (is("saxpy")) {
    constexpr int n = 1 << 22;
    auto *x = zeros<float>(n), *y = zeros<float>(n);
    seconds = time([&] { saxpy<<<kBlocks, kThreads>>>(n, 2.0f, x, y); });
    work = n;
    cudaFree(x), cudaFree(y);
  } else if (is("fma")) {
    constexpr int steps = 1000;
    auto* y = zeros<float>(kBlocks * kThreads);
    seconds = time([&] { fused<<<kBlocks, kThreads>>>(steps, y); });
    work = 4.0 * steps * kBlocks * kThreads;
    cudaFree(y);
  } else if (is("transpose")) {
    constexpr int n = 1024;
    auto *x = zeros<float>(n * n), *y = zeros<float>(n * n);
    seconds = time([&] { transpose<<<dim3(n / 32, n / 32), dim3(32, 8)>>>(n, x, y); });
    work = double(n) * n;
    cudaFree(x), cudaFree(y);
  } else if (is("mma")) {
    constexpr int steps = 2000, blocks = 8;
    auto* y = zeros<float>(blocks * kThreads);
    seconds = time([&] { mma<<<blocks, kThreads>>>(steps, y); });
    work = 4096.0 * steps * blocks * kThreads / 32;
    cudaFree(y);
  } else if (is("gemm")) {
    constexpr int n = 512;
    auto *a = zeros<__nv_bfloat16>(n * n), *b = zeros<__nv_bfloat16>(n * n);
    auto* c = zeros<float>(n * n);
    seconds = time([&] { gemm<<<dim3(n / 64, n / 64), 128>>>(n, a, b, c); });
    work = 2.0 * n * n * n;
    cudaFree(a), cudaFree(b), cudaFree(c);
  } else if (is("memory")) {  // what stays of it in the host's memory is for the caller to see
    constexpr size_t bytes = 512 << 20;
    cudaFree(zeros<char>(bytes));
    work = double(bytes);
  } else if (is("launch")) {
    constexpr int launches = 2000;
    seconds = time([&] {
      for (int k = 0; k < launches; ++k) nothing<<<1, 32>>>();
    });
    work = launches;
  } else {
    std::fprintf(stderr, "bench: which of saxpy, fma, transpose, mma, gemm, launch, memory?\n");
    return 2;
  }
  std::printf("%.6f %.0f\n", seconds, work);
  return 0;
}
