// mma.sync of all shapes and types against products on the host. Inputs are small integers and
// eighths, so that every order of sums gives the same bits.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "simulator/tests/device/matrices.h"

// The position of a lane's elements, as PTX ISA, 9.7.14.5, gives it: E elements of a in a register.
template <int E>
__device__ int a_row(int r, int m) {
  return threadIdx.x / 4 + (m == 16 ? r % 2 * 8 : 0);
}
template <int E>
__device__ int a_column(int r, int m, int p) {
  return threadIdx.x % 4 * E + p + 4 * E * (m == 16 ? r / 2 : r);
}
template <int E>
__device__ int b_row(int r, int p) {
  return threadIdx.x % 4 * E + p + 4 * E * r;
}

template <class T, int E, int K, int M, int R>
__device__ void load_a(const T* a, uint32_t (&to)[R]) {
  for (int r = 0; r < R; ++r) {
    to[r] = 0;
    for (int p = 0; p < E; ++p) {
      uint32_t bits = 0;
      memcpy(&bits, &a[a_row<E>(r, M) * K + a_column<E>(r, M, p)], sizeof(T));
      to[r] |= bits << (p * 32 / E);
    }
  }
}
template <class T, int E, int R>
__device__ void load_b(const T* b, uint32_t (&to)[R]) {
  for (int r = 0; r < R; ++r) {
    to[r] = 0;
    for (int p = 0; p < E; ++p) {
      uint32_t bits = 0;
      memcpy(&bits, &b[b_row<E>(r, p) * 8 + threadIdx.x / 4], sizeof(T));
      to[r] |= bits << (p * 32 / E);
    }
  }
}
__device__ int c_index(int k) {
  return (threadIdx.x / 4 + k / 2 * 8) * 8 + threadIdx.x % 4 * 2 + k % 2;
}

#define A4 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
#define A2 "{%4,%5}, {%6}, {%0,%1,%2,%3};"
#define IN4 "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1])
#define IN2 "r"(a[0]), "r"(a[1]), "r"(b[0])

#define KERNEL(name, form, T, E, K, X, letter, RA, RB, operands, inputs)                  \
  __global__ void name(const T* pa, const T* pb, X* pc) {                                 \
    uint32_t a[RA], b[RB];                                                                \
    X c[4];                                                                               \
    load_a<T, E, K, 16>(pa, a);                                                           \
    load_b<T, E>(pb, b);                                                                  \
    for (int k = 0; k < 4; ++k) c[k] = pc[c_index(k)];                                    \
    asm volatile("mma.sync.aligned." form " {%0,%1,%2,%3}, " operands                     \
                 : "+" letter(c[0]), "+" letter(c[1]), "+" letter(c[2]), "+" letter(c[3]) \
                 : inputs);                                                               \
    for (int k = 0; k < 4; ++k) pc[c_index(k)] = c[k];                                    \
  }

KERNEL(bf16_k16, "m16n8k16.row.col.f32.bf16.bf16.f32", __nv_bfloat16, 2, 16, float, "f", 4, 2, A4,
       IN4)
KERNEL(bf16_k8, "m16n8k8.row.col.f32.bf16.bf16.f32", __nv_bfloat16, 2, 8, float, "f", 2, 1, A2, IN2)
KERNEL(f16_k16, "m16n8k16.row.col.f32.f16.f16.f32", __half, 2, 16, float, "f", 4, 2, A4, IN4)
KERNEL(f16_k8, "m16n8k8.row.col.f32.f16.f16.f32", __half, 2, 8, float, "f", 2, 1, A2, IN2)
KERNEL(tf32_k8, "m16n8k8.row.col.f32.tf32.tf32.f32", float, 1, 8, float, "f", 4, 2, A4, IN4)
KERNEL(tf32_k4, "m16n8k4.row.col.f32.tf32.tf32.f32", float, 1, 4, float, "f", 2, 1, A2, IN2)
KERNEL(s8_k32, "m16n8k32.row.col.s32.s8.s8.s32", int8_t, 4, 32, int, "r", 4, 2, A4, IN4)
KERNEL(s8_k16, "m16n8k16.row.col.s32.s8.s8.s32", int8_t, 4, 16, int, "r", 2, 1, A2, IN2)
KERNEL(u8_k32, "m16n8k32.row.col.s32.u8.u8.s32", uint8_t, 4, 32, int, "r", 4, 2, A4, IN4)
KERNEL(s8_held, "m16n8k32.row.col.satfinite.s32.s8.s8.s32", int8_t, 4, 32, int, "r", 4, 2, A4, IN4)

__global__ void f16_sums(const __half* pa, const __half* pb, __half* pc) {
  uint32_t a[4], b[2], c[2];
  load_a<__half, 2, 16, 16>(pa, a);
  load_b<__half, 2>(pb, b);
  for (int r = 0; r < 2; ++r) memcpy(&c[r], &pc[c_index(2 * r)], 4);
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%0,%1}, {%2,%3,%4,%5}, {%6,%7}, {%0,%1};"
      : "+r"(c[0]), "+r"(c[1])
      : IN4);
  for (int r = 0; r < 2; ++r) memcpy(&pc[c_index(2 * r)], &c[r], 4);
}

__global__ void f64_k4(const double* a, const double* b, double* c) {
  const int at = threadIdx.x / 4 * 8 + threadIdx.x % 4 * 2;
  asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1}, {%2}, {%3}, {%0,%1};"
               : "+d"(c[at]), "+d"(c[at + 1])
               : "d"(a[threadIdx.x / 4 * 4 + threadIdx.x % 4]),
                 "d"(b[threadIdx.x % 4 * 8 + threadIdx.x / 4]));
}

int failures = 0;

template <class T, class X, class Kernel>
void check(const char* name, Kernel kernel, int m, int k, bool held = false, X first = X(3.0f)) {
  const int n = 8;
  T *a, *b;
  X* c;
  cudaMallocHost(&a, sizeof(T) * m * k);
  cudaMallocHost(&b, sizeof(T) * k * n);
  cudaMallocHost(&c, sizeof(X) * m * n);
  for (int i = 0; i < m * k; ++i) a[i] = random_of<T>();
  for (int i = 0; i < k * n; ++i) b[i] = random_of<T>();
  std::vector<double> want(size_t(m * n));
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      c[i * n + j] = X(number(first) + (held ? 0 : i + j));
      double sum = number(c[i * n + j]);
      for (int q = 0; q < k; ++q) sum += number(a[i * k + q]) * number(b[q * n + j]);
      if (held) sum = sum > 2147483647.0 ? 2147483647.0 : sum;
      want[size_t(i * n + j)] = sum;
    }
  kernel<<<1, 32>>>(a, b, c);
  const cudaError_t error = cudaDeviceSynchronize();
  if (error != cudaSuccess) std::printf("%s: %s\n", name, cudaGetErrorString(error)), ++failures;
  for (int i = 0; i < m * n; ++i)
    if (number(c[i]) != want[size_t(i)]) {
      std::printf("%s: element %d is %g, not %g\n", name, i, number(c[i]), want[size_t(i)]);
      ++failures;
      break;
    }
  cudaFreeHost(a);
  cudaFreeHost(b);
  cudaFreeHost(c);
}

int main() {
  check<__nv_bfloat16, float>("bf16 k16", bf16_k16, 16, 16);
  check<__nv_bfloat16, float>("bf16 k8", bf16_k8, 16, 8);
  check<__half, float>("f16 k16", f16_k16, 16, 16);
  check<__half, float>("f16 k8", f16_k8, 16, 8);
  check<__half, __half>("f16 sums", f16_sums, 16, 16);
  check<float, float>("tf32 k8", tf32_k8, 16, 8);
  check<float, float>("tf32 k4", tf32_k4, 16, 4);
  check<double, double>("f64 k4", f64_k4, 8, 4);
  check<int8_t, int>("s8 k32", s8_k32, 16, 32);
  check<int8_t, int>("s8 k16", s8_k16, 16, 16);
  check<uint8_t, int>("u8 k32", u8_k32, 16, 32);
  check<int8_t, int>("s8 held", s8_held, 16, 32, true, 2147483600);
  return failures != 0;
}
