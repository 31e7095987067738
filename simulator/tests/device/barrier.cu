// Barriers of a block: PTX ISA, section 9.7.13.1 (bar, barrier).
#include "operands.h"

namespace {

constexpr u32 kThreads = 200;  // the last warp is partial

__global__ void rotate(u32* out, u32 rounds) {
  __shared__ u32 cells[2][kThreads];
  const u32 t = threadIdx.x;
  cells[0][t] = t;
  for (u32 k = 0; k < rounds; ++k) {
    __syncthreads();
    cells[(k + 1) % 2][(t + 7) % kThreads] = cells[k % 2][t] + 1;
  }
  __syncthreads();
  out[blockIdx.x * kThreads + t] = cells[rounds % 2][t];
}
void check_rotate() {
  test::Array<u32> out(3 * kThreads);
  rotate<<<3, kThreads>>>(out.device, 51);
  out.fetch();
  for (u32 i = 0; i < 3 * kThreads; ++i)
    test::expect("__syncthreads", i, out.host[i],
                 (i % kThreads + 10 * kThreads - 7 * 51) % kThreads + 51);
}

__global__ void voted(u32* out) {
  const u32 t = threadIdx.x;
  u32 r = u32(__syncthreads_count(t % 3 == 0)) << 8;
  r |= u32(__syncthreads_and(t < 1000) != 0) | u32(__syncthreads_and(t != 150) != 0) << 1;
  r |= u32(__syncthreads_or(t == 199) != 0) << 2 | u32(__syncthreads_or(t > 999) != 0) << 3;
  r += u32(__syncthreads_count(t & 1)) << 20;
  out[t] = r;
}
void check_voted() {
  test::Array<u32> out(kThreads);
  voted<<<1, kThreads>>>(out.device);
  out.fetch();
  for (u32 t = 0; t < kThreads; ++t)
    test::expect("__syncthreads_count, _and, _or", t, out.host[t], 67u << 8 | 1 | 4 | 100u << 20);
}

/// Two halves of the block use barriers of their own, the other half does not wait.
__global__ void halves(u32* out) {
  __shared__ u32 cells[128];
  const u32 t = threadIdx.x, half = t / 64;
  cells[t] = t;
  for (u32 k = 0; k < 5 + 9 * half; ++k) {
    asm volatile("bar.sync %0, 64;" ::"r"(1 + half) : "memory");
    const u32 next = cells[half * 64 + (t + 33) % 64];
    asm volatile("barrier.sync %0, 64;" ::"r"(1 + half) : "memory");
    cells[t] = next + 1;
  }
  out[t] = cells[t];
}
void check_halves() {
  test::Array<u32> out(128);
  halves<<<1, 128>>>(out.device);
  out.fetch();
  for (u32 t = 0; t < 128; ++t) {
    const u32 rounds = 5 + 9 * (t / 64);
    test::expect("named barriers", t, out.host[t], t / 64 * 64 + (t + 33 * rounds) % 64 + rounds);
  }
}

/// Producer and consumer warps: full[k] with arrive by the producer, empty[k] by the consumer.
__global__ void pipeline(u32* out, u32 rounds) {
  __shared__ u32 buffer[2][32];
  const u32 t = threadIdx.x % 32;
  if (threadIdx.x < 32) {
    for (u32 k = 0; k < rounds; ++k) {
      if (k >= 2) asm volatile("bar.sync %0, 64;" ::"r"(3 + k % 2) : "memory");
      buffer[k % 2][t] = k * 100 + t;
      asm volatile("bar.arrive %0, 64;" ::"r"(1 + k % 2) : "memory");
    }
  } else {
    u32 sum = 0;
    for (u32 k = 0; k < rounds; ++k) {
      asm volatile("bar.sync %0, 64;" ::"r"(1 + k % 2) : "memory");
      sum += buffer[k % 2][31 - t];
      if (k + 2 < rounds) asm volatile("bar.arrive %0, 64;" ::"r"(3 + k % 2) : "memory");
    }
    out[t] = sum;
  }
}
void check_pipeline() {
  const u32 rounds = 23;
  test::Array<u32> out(32);
  pipeline<<<1, 64>>>(out.device, rounds);
  out.fetch();
  for (u32 t = 0; t < 32; ++t)
    test::expect("bar.arrive", t, out.host[t], rounds * (rounds - 1) / 2 * 100 + rounds * (31 - t));
}

/// Reduction with named barriers: bar.red of a part of the block.
__global__ void red_parts(u32* out) {
  const u32 t = threadIdx.x;
  u32 count = 0, all = 0, any = 0;
  asm volatile(
      "{ .reg .pred p, q; setp.lt.u32 p, %3, 70; bar.red.popc.u32 %0, %4, 64, p;\n"
      "bar.red.and.pred q, %4, 64, p; selp.u32 %1, 1, 0, q;\n"
      "bar.red.or.pred q, %4, 64, !p; selp.u32 %2, 1, 0, q; }"
      : "=r"(count), "=r"(all), "=r"(any)
      : "r"(t), "r"(1 + t / 64));
  out[t] = count * 4 + all * 2 + any;
}
void check_red() {
  test::Array<u32> out(128);
  red_parts<<<1, 128>>>(out.device);
  out.fetch();
  for (u32 t = 0; t < 128; ++t)
    test::expect("bar.red", t, out.host[t], t < 64 ? 64u * 4 + 2 : 6u * 4 + 1);
}

}  // namespace

int main() {
  check_rotate();
  check_voted();
  check_halves();
  check_pipeline();
  check_red();
  return test::finish();
}
