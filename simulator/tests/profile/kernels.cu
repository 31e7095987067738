// Kernels whose counts are known, for profile_test.cpp.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdio>

__global__ void copy(const float* in, float* out) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = in[i];
}
__global__ void stride2(const float* in, float* out) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = in[2 * i];
}
__global__ void one_lane(const float* in, float* out) {
  if (threadIdx.x % 32 == 0) out[blockIdx.x] = in[blockIdx.x];
}

template <int Width>
__global__ void column(float* out) {
  __shared__ float tile[32][Width];
  tile[threadIdx.y][threadIdx.x] = float(threadIdx.x);
  __syncthreads();
  out[threadIdx.y * 32 + threadIdx.x] = tile[threadIdx.x][threadIdx.y];
}
template __global__ void column<32>(float*);
template __global__ void column<33>(float*);

/// Writes neighbours, reads `Step` apart.
template <class T, int Step>
__global__ void wide(T* out) {
  __shared__ T tile[32 * Step];
  for (int k = 0; k < Step; ++k) tile[k * 32 + threadIdx.x] = out[threadIdx.x];
  __syncwarp();
  out[threadIdx.x] = tile[threadIdx.x * Step];
}
template __global__ void wide<double, 1>(double*);
template __global__ void wide<float4, 1>(float4*);
template __global__ void wide<float4, 2>(float4*);

__global__ void same_word(float4* out) {
  __shared__ float4 word;
  if (threadIdx.x == 0) word = out[0];
  __syncwarp();
  out[threadIdx.x] = word;
}

/// Four 8 x 8 matrices of 16 bit: rows 128 bytes apart.
template <bool Swizzled>
__global__ void matrices(unsigned* out) {
  __shared__ __align__(128) unsigned tile[32 * 32];
  for (int k = 0; k < 32; ++k) tile[k * 32 + threadIdx.x] = threadIdx.x;
  __syncwarp();
  const int row = threadIdx.x, chunk = Swizzled ? row % 8 : 0;
  const auto at = unsigned(__cvta_generic_to_shared(&tile[row * 32 + chunk * 4]));
  unsigned a, b, c, d;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(a), "=r"(b), "=r"(c), "=r"(d)
               : "r"(at));
  out[threadIdx.x] = a + b + c + d;
}
template __global__ void matrices<false>(unsigned*);
template __global__ void matrices<true>(unsigned*);

__global__ void copy_async(const float4* in, float4* out) {
  __shared__ float4 tile[32];
  const auto at = unsigned(__cvta_generic_to_shared(&tile[threadIdx.x]));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(at), "l"(in + threadIdx.x));
  asm volatile("cp.async.wait_all;" ::: "memory");
  __syncwarp();
  out[threadIdx.x] = tile[threadIdx.x];
}

__global__ void atomic_one(int* out) { atomicAdd(out, int(threadIdx.x)); }
__global__ void atomic_each(int* out) { atomicAdd(out + threadIdx.x, int(threadIdx.x)); }
__global__ void atomic_shared(int* out) {
  __shared__ int sum;
  if (threadIdx.x == 0) sum = 0;
  __syncthreads();
  atomicAdd(&sum, int(threadIdx.x));
  __syncthreads();
  if (threadIdx.x == 0) out[0] = sum;
}

__global__ void divergent(int* out) {
  if (threadIdx.x & 1)
    asm volatile("st.global.u32 [%0], 1;" ::"l"(out + threadIdx.x) : "memory");
  else
    asm volatile("st.global.u32 [%0], 2;" ::"l"(out + threadIdx.x) : "memory");
}

/// A branch that no lane takes.
__global__ void straight(const int* in, int* out) {
  if (in) out[threadIdx.x] = in[threadIdx.x];
}

__global__ void arithmetic(float* out) {
  float x = float(threadIdx.x), s = x;
  double y = x;
  __half2 h = __float2half2_rn(x);
  for (int k = 0; k < 10; ++k) asm volatile("fma.rn.f32 %0, %0, %0, %0;" : "+f"(x));
  for (int k = 0; k < 3; ++k) asm volatile("add.rn.f64 %0, %0, %0;" : "+d"(y));
  for (int k = 0; k < 5; ++k) h = __hfma2(h, h, h);
  for (int k = 0; k < 4; ++k) asm volatile("ex2.approx.f32 %0, %0;" : "+f"(s));
  out[threadIdx.x] = x + s + float(y) + __low2float(h);
}

__global__ void products(float* out) {
  float d[4] = {};
  const unsigned a = 0x3f803f80 + threadIdx.x;
  for (int k = 0; k < 5; ++k)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%4,%4,%4}, "
        "{%4,%4}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a));
  out[threadIdx.x] = d[0] + d[1] + d[2] + d[3];
}

/// Seven products in a loop that stays one.
__global__ void looped(float* out) {
  float d[4] = {};
#pragma unroll 1
  for (unsigned k = 0; k < 7; ++k)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%4,%4,%4}, "
        "{%4,%4}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(k));
  out[threadIdx.x] = d[0] + d[1] + d[2] + d[3];
}

__global__ void local_array(const int* in, int* out) {
  int held[32];
  for (int k = 0; k < 32; ++k)
    asm volatile("st.local.u32 [%0], %1;" ::"l"(__cvta_generic_to_local(&held[k])), "r"(k)
                 : "memory");
  int sum;
  asm volatile("ld.local.u32 %0, [%1];"
               : "=r"(sum)
               : "l"(__cvta_generic_to_local(&held[in[threadIdx.x]]))
               : "memory");
  out[threadIdx.x] = sum;
}

/// Every block reads the same 64 KiB.
__global__ void reuse(const float* in, float* out) {
  float sum = 0;
  for (int k = 0; k < 64; ++k) sum += in[k * 256 + threadIdx.x];
  out[blockIdx.x * 256 + threadIdx.x] = sum;
}

template <class T>
T* buffer(size_t count) {
  void* p = nullptr;
  cudaMalloc(&p, count * sizeof(T));
  cudaMemset(p, 0, count * sizeof(T));
  return static_cast<T*>(p);
}

int main(int argc, char**) {
  constexpr int n = 4096;
  float *in = buffer<float>(64 * n), *out = buffer<float>(64 * n);
  cudaEvent_t begin, middle, end;
  for (cudaEvent_t* e : {&begin, &middle, &end}) cudaEventCreate(e);
  cudaEventRecord(begin);
  copy<<<n / 256, 256>>>(in, out);
  cudaEventRecord(middle);
  for (int k = 0; k < 3; ++k) copy<<<64 * n / 256, 256>>>(in, out);
  cudaEventRecord(end);
  stride2<<<n / 256, 256>>>(in, out);
  one_lane<<<8, 256>>>(in, out);
  column<32><<<1, dim3(32, 32)>>>(out);
  column<33><<<1, dim3(32, 32)>>>(out);
  wide<double, 1><<<1, 32>>>(reinterpret_cast<double*>(out));
  wide<float4, 1><<<1, 32>>>(reinterpret_cast<float4*>(out));
  wide<float4, 2><<<1, 32>>>(reinterpret_cast<float4*>(out));
  same_word<<<1, 32>>>(reinterpret_cast<float4*>(out));
  matrices<false><<<1, 32>>>(reinterpret_cast<unsigned*>(out));
  matrices<true><<<1, 32>>>(reinterpret_cast<unsigned*>(out));
  copy_async<<<1, 32>>>(reinterpret_cast<float4*>(in), reinterpret_cast<float4*>(out));
  int* numbers = buffer<int>(n);
  atomic_one<<<4, 256>>>(numbers);
  atomic_each<<<4, 256>>>(numbers);
  atomic_shared<<<1, 256>>>(numbers);
  divergent<<<1, 256>>>(numbers);
  straight<<<1, 32>>>(numbers, numbers + 32);
  cudaMemset(numbers, 0, n * sizeof(int));
  local_array<<<1, 64>>>(numbers, numbers + 64);
  arithmetic<<<2, 48>>>(out);
  products<<<2, 64>>>(out);
  looped<<<1, 32>>>(out);
  reuse<<<64, 256>>>(in, out);
  if (argc > 1) copy<<<1, 32>>>(nullptr, out);
  const cudaError_t error = cudaDeviceSynchronize();
  float once = 0, more = 0;
  cudaEventElapsedTime(&once, begin, middle);
  cudaEventElapsedTime(&more, middle, end);
  std::printf("%.6f %.6f\n", once, more);
  for (void* p : {static_cast<void*>(in), static_cast<void*>(out), static_cast<void*>(numbers)})
    cudaFree(p);
  return error != cudaSuccess || once <= 0 || more <= 3 * once;
}
