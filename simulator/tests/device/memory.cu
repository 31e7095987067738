// Loads and stores of all spaces, widths and forms: PTX ISA, section 9.7.9.
#include "operands.h"

namespace {

struct Big {
  u8 bytes[5];
  s16 half;
  u64 words[9];
  f32 real;
};

__constant__ u32 constant_table[64] = {7, 11, 13};
__constant__ s8 constant_bytes[5] = {-1, 2, -3, 4, -128};
__device__ u64 global_word = 0x0123456789abcdef;
__device__ u32 global_table[40];

/// A load of each width and sign into a register of 64 bits, and stores of its low bits.
#define LOADED(kind, c, R)                                                     \
  {                                                                            \
    R r;                                                                       \
    asm volatile("ld.global." kind " %0, [%1];" : "=" c(r) : "l"(in + 8 * t)); \
    *out++ = u64(s64(r));                                                      \
  }
__global__ void widths(const u8* in, u64* out, u8* stored) {
  const u32 t = threadIdx.x;
  out += t * 12;
  LOADED("u8", "r", u32)
  LOADED("s8", "r", s32)
  LOADED("u16", "h", u16)
  LOADED("s16", "r", s32)
  LOADED("s8", "h", s16)
  LOADED("u32", "r", u32)
  LOADED("s32", "l", s64)
  LOADED("u32", "l", u64)
  LOADED("b64", "l", u64)
  LOADED("s16", "l", s64)
  LOADED("u8", "l", u64)
  LOADED("s8", "l", s64)
  u64 word;
  asm volatile("ld.global.b64 %0, [%1];" : "=l"(word) : "l"(in + 8 * t));
  asm volatile("st.global.u8 [%0], %1;" ::"l"(stored + 16 * t), "r"(u32(word)));
  asm volatile("st.global.u8 [%0+1], %1;" ::"l"(stored + 16 * t), "l"(word));
  asm volatile("st.global.u16 [%0+2], %1;" ::"l"(stored + 16 * t), "h"(u16(word)));
  asm volatile("st.global.u32 [%0+4], %1;" ::"l"(stored + 16 * t), "l"(word));
  asm volatile("st.global.b64 [%0+8], %1;" ::"l"(stored + 16 * t), "l"(word));
}

void check_widths() {
  std::vector<u8> bytes(32 * 8);
  for (size_t k = 0; k < bytes.size(); ++k) bytes[k] = u8(test::mixed(k));
  test::Array<u8> in(bytes), stored(32 * 16);
  test::Array<u64> out(32 * 12);
  widths<<<1, 32>>>(in.device, out.device, stored.device);
  out.fetch(), stored.fetch();
  for (u32 t = 0; t < 32; ++t) {
    u64 word;
    std::memcpy(&word, bytes.data() + 8 * t, 8);
    const u64 want[] = {u64(u8(word)),       u64(s64(s8(word))), u64(u16(word)),
                        u64(s64(s16(word))), u64(s64(s8(word))), u64(u32(word)),
                        u64(s64(s32(word))), u64(u32(word)),     word,
                        u64(s64(s16(word))), u64(u8(word)),      u64(s64(s8(word)))};
    for (u32 k = 0; k < 12; ++k) test::expect("ld width", k, out.host[t * 12 + k], want[k]);
    u8 row[16] = {u8(word), u8(word)};
    std::memcpy(row + 2, &word, 2), std::memcpy(row + 4, &word, 4), std::memcpy(row + 8, &word, 8);
    for (u32 k = 0; k < 16; ++k) test::expect("st width", k, stored.host[t * 16 + k], row[k]);
  }
}

/// Vectors and cache operators: each thread copies 64 bytes in another form.
__global__ void vectors(const u32* in, u32* out) {
  const u32 t = threadIdx.x;
  const u32* a = in + 16 * t;
  u32* d = out + 16 * t;
  u32 x, y, z, w;
  u64 l, m;
  asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(x), "=r"(y), "=r"(z), "=r"(w)
               : "l"(a));
  asm volatile("st.global.cs.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(d), "r"(x), "r"(y), "r"(z),
               "r"(w));
  asm volatile("ld.global.nc.v2.u64 {%0, %1}, [%2+16];" : "=l"(l), "=l"(m) : "l"(a));
  asm volatile("st.global.wb.v2.u64 [%0+16], {%1, %2};" ::"l"(d), "l"(l), "l"(m));
  asm volatile("ld.global.L1::no_allocate.v2.u32 {%0, %1}, [%2+32];" : "=r"(x), "=r"(y) : "l"(a));
  asm volatile("st.volatile.global.v2.u32 [%0+32], {%1, %2};" ::"l"(d), "r"(x), "r"(y));
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1+40];" : "=r"(x) : "l"(a));
  asm volatile("st.release.gpu.global.u32 [%0+40], %1;" ::"l"(d), "r"(x));
  asm volatile("ld.acquire.sys.u32 %0, [%1+44];" : "=r"(x) : "l"(a));
  asm volatile("st.relaxed.cta.u32 [%0+44], %1;" ::"l"(d), "r"(x));
  u16 p, q, r, s;
  asm volatile("ld.v4.u16 {%0, %1, %2, %3}, [%4+48];"
               : "=h"(p), "=h"(q), "=h"(r), "=h"(s)
               : "l"(a));
  asm volatile("st.v4.b16 [%0+48], {%1, %2, %3, %4};" ::"l"(d), "h"(p), "h"(q), "h"(r), "h"(s));
  asm volatile("ld.volatile.global.v4.u8 {%0, %1, %2, %3}, [%4+56];"
               : "=r"(x), "=r"(y), "=r"(z), "=r"(w)
               : "l"(a));
  asm volatile("st.global.v4.u8 [%0+56], {%1, %2, %3, %4};" ::"l"(d), "r"(x), "r"(y), "r"(z),
               "r"(w));
  __stwt(d + 15, __ldcg(a + 15) ^ __ldcs(a + 15) ^ __ldlu(a + 15) ^ __ldcv(a + 15) ^ __ldg(a + 15));
}
void check_vectors() {
  std::vector<u32> words(64 * 16);
  for (size_t k = 0; k < words.size(); ++k) words[k] = u32(test::mixed(k));
  test::Array<u32> in(words), out(64 * 16);
  vectors<<<1, 64>>>(in.device, out.device);
  out.fetch();
  for (u32 k = 0; k < words.size(); ++k) test::expect("vector copy", k, out.host[k], words[k]);
}

/// One pointer that is shared in some lanes, local or global or constant in others.
__device__ __noinline__ u32 read_any(const u32* p) { return *p; }
__device__ __noinline__ void write_any(u32* p, u32 value) { *p = value; }
__global__ void generic(u32* global, u32* out, Big big) {
  __shared__ u32 tile[64];
  extern __shared__ u64 dynamic[];
  const u32 t = threadIdx.x;
  u32 local[8];
  for (u32 k = 0; k < 8; ++k) local[k] = 1000 * t + k;
  tile[t] = 2000 + t;
  dynamic[t] = 1ull << t;
  __syncthreads();
  u32* p = t % 3 == 0 ? &tile[t] : t % 3 == 1 ? &local[t % 8] : global + t;
  write_any(p, read_any(p) + 5);
  const u32* q = t % 2 ? &constant_table[t % 3] : global + 64 + t;
  u32 sum = read_any(p) + read_any(q) + local[(t * 7) % 8];
  sum += u32(dynamic[63 - t] >> (63 - t)) + big.bytes[t % 5] + u32(big.words[t % 9]) +
         u32(big.half) + u32(big.real);
  sum += u32(s32(constant_bytes[t % 5])) + global_table[t % 40];
  if (__isShared(p)) sum += 1u << 20;
  if (__isLocal(p)) sum += 2u << 20;
  if (__isGlobal(p)) sum += 4u << 20;
  if (*reinterpret_cast<u32*>(__cvta_shared_to_generic(__cvta_generic_to_shared(&tile[t]))) !=
      tile[t])
    sum = 0;
  out[t] = sum;
}
void check_generic() {
  std::vector<u32> values(128);
  for (u32 k = 0; k < 128; ++k) values[k] = 31 * k;
  u32 table[40];
  for (u32 k = 0; k < 40; ++k) table[k] = k * k;
  cudaMemcpyToSymbol(global_table, table, sizeof table);
  test::Array<u32> global(values), out(64);
  Big big{{1, 2, 3, 4, 5}, -6, {10, 20, 30, 40, 50, 60, 70, 80, 90}, 2.5f};
  generic<<<1, 64, 64 * 8>>>(global.device, out.device, big);
  out.fetch(), global.fetch();
  const u32 constants[] = {7, 11, 13};
  const s8 bytes[] = {-1, 2, -3, 4, -128};
  for (u32 t = 0; t < 64; ++t) {
    const u32 kind = t % 3;
    const u32 first = kind == 0 ? 2000 + t : kind == 1 ? 1000 * t + t % 8 : 31 * t;
    u32 want = first + 5 + (t % 2 ? constants[t % 3] : 31 * (64 + t));
    want += 1000 * t + t * 7 % 8 + (kind == 1 && t * 7 % 8 == t % 8 ? 5 : 0);
    want += 1 + big.bytes[t % 5] + u32(big.words[t % 9]) + u32(-6) + 2;
    want += u32(s32(bytes[t % 5])) + table[t % 40];
    want += (kind == 0 ? 1u : kind == 1 ? 2u : 4u) << 20;
    test::expect("generic", t, out.host[t], want);
    test::expect("generic store", t, global.host[t], 31 * t + (kind == 2 ? 5 : 0));
  }
}

__global__ void symbols(u64* out) {
  out[threadIdx.x] = global_word + threadIdx.x;
  if (threadIdx.x == 31) global_word = 99;
}
void check_symbols() {
  test::Array<u64> out(32);
  symbols<<<1, 32>>>(out.device);
  out.fetch();
  for (u32 t = 0; t < 32; ++t)
    test::expect("__device__ variable", t, out.host[t], u64(0x0123456789abcdef) + t);
  u64 word = 0;
  cudaMemcpyFromSymbol(&word, global_word, 8);
  test::expect("cudaMemcpyFromSymbol", 0, word, u64(99));
}

/// What a thread of a 3-D grid of 3-D blocks says of itself.
struct Place {
  uint3 thread, block;
  dim3 block_size, grid_size;
  u32 lane, warp_size, lt, le, eq, ge, gt;
};
__global__ void places(Place* out) {
  const u32 block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const u32 thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  Place p{threadIdx, blockIdx, blockDim, gridDim, 0, u32(warpSize)};
  asm("mov.u32 %0, %%laneid;" : "=r"(p.lane));
  asm("mov.u32 %0, %%lanemask_lt;" : "=r"(p.lt));
  asm("mov.u32 %0, %%lanemask_le;" : "=r"(p.le));
  asm("mov.u32 %0, %%lanemask_eq;" : "=r"(p.eq));
  asm("mov.u32 %0, %%lanemask_ge;" : "=r"(p.ge));
  asm("mov.u32 %0, %%lanemask_gt;" : "=r"(p.gt));
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] = p;
}
void check_places() {
  const dim3 grid(3, 4, 2), block(5, 3, 7);
  const u32 threads = block.x * block.y * block.z, blocks = grid.x * grid.y * grid.z;
  test::Array<Place> out(threads * blocks);
  places<<<grid, block>>>(out.device);
  out.fetch();
  for (u32 i = 0; i < threads * blocks; ++i) {
    const u32 t = i % threads, b = i / threads, lane = t % 32;
    const Place want{{t % 5, t / 5 % 3, t / 15},
                     {b % 3, b / 3 % 4, b / 12},
                     block,
                     grid,
                     lane,
                     32,
                     (1u << lane) - 1,
                     u32((2ull << lane) - 1),
                     1u << lane,
                     ~0u << lane,
                     u32(~0ull << (lane + 1))};
    test::expect("special registers", i, out.host[i], want);
  }
}

}  // namespace

int main() {
  check_widths();
  check_vectors();
  check_generic();
  check_symbols();
  check_places();
  return test::finish();
}
