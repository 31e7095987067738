// Atomics and reductions: PTX ISA, section 9.7.13 (atom, red); and that every thread gets on while
// another one spins.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "operands.h"

namespace {

constexpr u32 kBlocks = 5, kThreads = 96, kAll = kBlocks * kThreads;

/// Each thread updates one cell with a value of its own; all of them in any order give one result.
enum Op { add, smallest, largest, all_of, any_of, differ, increment, decrement, kOps };

template <class T, int Which>
__device__ T update(T* cell, u32 i) {
  const T x = T(i * 37 % 101) - T(std::is_signed_v<T> ? 50 : 0);
  if constexpr (Which == add) return atomicAdd(cell, x);
  if constexpr (Which == smallest) return atomicMin(cell, x);
  if constexpr (Which == largest) return atomicMax(cell, x);
  if constexpr (Which == all_of) return atomicAnd(cell, T(~(T(1) << (i % 31))));
  if constexpr (Which == any_of) return atomicOr(cell, T(1) << (i % 31));
  if constexpr (Which == differ) return atomicXor(cell, T(i) << 3);
  if constexpr (Which == increment) return atomicInc(cell, 100);
  if constexpr (Which == decrement) return atomicDec(cell, 100);
}

template <class T, int Which>
__global__ void in_global(T* cell, T* seen) {
  const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
  seen[i] = update<T, Which>(cell, i);
}
template <class T, int Which>
__global__ void in_shared(T start, T* ends) {
  __shared__ T cell;
  if (threadIdx.x == 0) cell = start;
  __syncthreads();
  for (u32 k = 0; k < kBlocks; ++k) update<T, Which>(&cell, k * kThreads + threadIdx.x);  // as red
  __syncthreads();
  ends[threadIdx.x] = cell;
}

template <class T>
T applied(int op, T cell, u32 i) {
  const T x = T(i * 37 % 101) - T(std::is_signed_v<T> ? 50 : 0);
  switch (op) {
    case add:
      return T(cell + x);
    case smallest:
      return std::min(cell, x);
    case largest:
      return std::max(cell, x);
    case all_of:
      return T(u64(cell) & ~(u64(1) << (i % 31)));
    case any_of:
      return T(u64(cell) | u64(1) << (i % 31));
    case differ:
      return T(u64(cell) ^ u64(i) << 3);
    case increment:
      return u64(cell) >= 100 ? T(0) : T(cell + 1);
    default:
      return cell == T(0) || u64(cell) > 100 ? T(100) : T(cell - 1);
  }
}

template <class T, int Which>
void check(const char* name, T start) {
  test::Array<T> cell(std::vector<T>(1, start)), seen(kAll), ends(kThreads);
  in_global<T, Which><<<kBlocks, kThreads>>>(cell.device, seen.device);
  in_shared<T, Which><<<1, kThreads>>>(start, ends.device);
  T want = start;
  for (u32 i = 0; i < kAll; ++i) want = applied(Which, want, i);
  cell.fetch(), seen.fetch(), ends.fetch();
  test::expect(name, Which, cell.host[0], want);
  for (u32 t = 0; t < kThreads; ++t) test::expect(name, 100 + t, ends.host[t], want);
  bool first = false;  // some thread was first
  for (const T& s : seen.host) first |= test::same(s, start);
  test::expect(name, 1000, u32(first), 1u);
}
template <class T>
void check_integers(const char* name) {
  check<T, add>(name, T(1000));
  check<T, smallest>(name, T(7));
  check<T, largest>(name, T(7));
  check<T, all_of>(name, T(~T(0)));
  check<T, any_of>(name, T(0));
  check<T, differ>(name, T(5));
}

/// Exchange and compare-and-swap: no value is lost.
template <class T>
__global__ void swaps(T* cell, T* out) {
  const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = atomicExch(cell, T(i + 1));
}
template <class T>
void check_swaps(const char* name) {
  test::Array<T> cell(std::vector<T>(1, T(0))), out(kAll);
  swaps<<<kBlocks, kThreads>>>(cell.device, out.device);
  cell.fetch(), out.fetch();
  u64 sum = u64(cell.host[0]);
  for (T x : out.host) sum += u64(x);
  test::expect(name, 0, sum, u64(kAll) * (kAll + 1) / 2);
}

template <class T>
__global__ void cas_loop(T* cell) {  // x -> 3 x + 1 as many times as there are threads
  T seen = *static_cast<volatile T*>(cell), before;
  do {
    before = seen;
    seen = atomicCAS(cell, before, T(3 * before + 1));
  } while (seen != before);
}
template <class T>
void check_cas(const char* name) {
  test::Array<T> cell(std::vector<T>(1, T(1)));
  cas_loop<<<kBlocks, kThreads>>>(cell.device);
  T want = 1;
  for (u32 i = 0; i < kAll; ++i) want = T(3 * want + 1);
  test::expect(name, 0, cell.fetch()[0], want);
}

/// Sums of halves; whole numbers small enough to be exact in any order.
__global__ void halves(__half* h, __half2* h2, __nv_bfloat16* b, __nv_bfloat162* b2) {
  const u32 i = threadIdx.x;
  atomicAdd(h, __float2half(f32(i % 4)));
  atomicAdd(h2, __floats2half2_rn(f32(i % 3), -1.0f));
  if (i < 64) {
    atomicAdd(b, __float2bfloat16(f32(i % 2)));
    atomicAdd(b2, __floats2bfloat162_rn(1.0f, -f32(i % 2)));
  }
  asm volatile("red.global.add.noftz.f16x2 [%0], %1;" ::"l"(h2), "r"(0x3c003c00));  // 1, 1
}
void check_halves() {
  test::Array<u32> cells(std::vector<u32>(4, 0));
  auto* p = cells.device;
  halves<<<1, 96>>>(reinterpret_cast<__half*>(p), reinterpret_cast<__half2*>(p + 1),
                    reinterpret_cast<__nv_bfloat16*>(p + 2),
                    reinterpret_cast<__nv_bfloat162*>(p + 3));
  cells.fetch();
  __half2 h2;
  __nv_bfloat162 b2;
  std::memcpy(&h2, &cells.host[1], 4), std::memcpy(&b2, &cells.host[3], 4);
  __half h = __ushort_as_half(u16(cells.host[0]));
  __nv_bfloat16 b = __ushort_as_bfloat16(u16(cells.host[2]));
  test::expect("atomicAdd of f16", 0, __half2float(h), 144.0f);
  test::expect("atomicAdd of f16x2", 0, __low2float(h2), 96.0f + 96);
  test::expect("atomicAdd of f16x2", 1, __high2float(h2), 0.0f);
  test::expect("atomicAdd of bf16", 0, __bfloat162float(b), 32.0f);
  test::expect("atomicAdd of bf16x2", 0, __low2float(b2), 64.0f);
  test::expect("atomicAdd of bf16x2", 1, __high2float(b2), -32.0f);
}

/// A lock that all threads of all blocks take in turn: lanes of one warp, warps, blocks.
__device__ u32 lock_word, counter, tickets, serving;
__global__ void locked() {
  bool done = false;
  while (!done)
    if (atomicCAS(&lock_word, 0, 1) == 0) {
      __threadfence();
      *static_cast<volatile u32*>(&counter) = *static_cast<volatile u32*>(&counter) + 1;
      __threadfence();
      atomicExch(&lock_word, 0);
      done = true;
    }
}
__global__ void locked_plainly() {  // the owner waits behind the loop: needs progress of each lane
  while (atomicCAS(&lock_word, 0, 1) != 0) {
  }
  __threadfence();
  *static_cast<volatile u32*>(&counter) = *static_cast<volatile u32*>(&counter) + 1;
  __threadfence();
  atomicExch(&lock_word, 0);
}
__global__ void ticketed() {
  const u32 mine = atomicAdd(&tickets, 1);
  while (*static_cast<volatile u32*>(&serving) != mine) __nanosleep(20);
  *static_cast<volatile u32*>(&counter) = *static_cast<volatile u32*>(&counter) + 1;
  __threadfence();
  atomicAdd(&serving, 1);
}
/// Lanes, warps and blocks hand a token on, highest thread first.
__device__ u32 token;
__global__ void relay(u32 total) {
  const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
  while (*static_cast<volatile u32*>(&token) != total - 1 - i) {
  }
  __threadfence();
  atomicAdd(&token, 1);
}
void check_locks() {
  locked<<<4, 64>>>();
  locked_plainly<<<4, 64>>>();
  ticketed<<<4, 64>>>();
  relay<<<4, 48>>>(4 * 48);
  u32 value = 0;
  cudaMemcpyFromSymbol(&value, counter, 4);
  test::expect("locks", 0, value, 3 * 4 * 64u);
  cudaMemcpyFromSymbol(&value, token, 4);
  test::expect("relay", 0, value, 4 * 48u);
}

/// Subnormal f32 sums: zero in global memory, kept in shared memory; f64 ones are kept in both.
__global__ void small(f32* global, f64* wide, f32* seen) {
  __shared__ f32 shared[2];
  if (threadIdx.x < 2) shared[threadIdx.x] = 0x1p-130f;
  __syncthreads();
  if (threadIdx.x == 0) {
    atomicAdd(&global[0], 0x1p-130f);             // subnormal operands
    seen[0] = atomicAdd(&global[1], -0x1p-126f);  // a subnormal sum
    f32* anywhere = seen[1] == 0 ? &shared[0] : &global[0];
    atomicAdd(anywhere, 0x1p-130f);
    asm volatile("red.shared.add.f32 [%0], %1;" ::"r"(u32(__cvta_generic_to_shared(&shared[1]))),
                 "f"(0x1p-131f)
                 : "memory");
    atomicAdd(wide, 0x1p-1030);
  }
  __syncthreads();
  if (threadIdx.x < 2) seen[2 + threadIdx.x] = shared[threadIdx.x];
}
void check_small() {
  test::Array<f32> global({0x1p-130f, 0x1.8p-126f}), seen(std::vector<f32>(4, 0));
  test::Array<f64> wide(std::vector<f64>(1, 0x1p-1030));
  small<<<1, 32>>>(global.device, wide.device, seen.device);
  global.fetch(), seen.fetch(), wide.fetch();
  test::expect("subnormal f32, global", 0, global.host[0], 0.0f);
  test::expect("subnormal f32, global", 1, global.host[1], 0.0f);
  test::expect("subnormal f32, what was there", 0, seen.host[0], 0x1.8p-126f);
  test::expect("subnormal f32, shared", 0, seen.host[2], 0x1p-129f);
  test::expect("subnormal f32, shared", 1, seen.host[3], 0x1.8p-130f);
  test::expect("subnormal f64", 0, wide.host[0], 0x1p-1029);
}

/// Scopes, orders and spaces by name.
__global__ void scopes(u32* g, u64* out) {
  __shared__ u32 s;
  if (threadIdx.x == 0) s = 0;
  __syncthreads();
  [[maybe_unused]] u32 a;
  atomicAdd_block(g, 1);
  atomicAdd_system(g, 1);
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 2;" : "=r"(a) : "l"(g) : "memory");
  asm volatile("red.release.sys.global.add.u32 [%0], 3;" ::"l"(g) : "memory");
  asm volatile("atom.relaxed.cta.shared.inc.u32 %0, [%1], 9;"
               : "=r"(a)
               : "r"(u32(__cvta_generic_to_shared(&s)))
               : "memory");
  asm volatile("red.shared.or.b32 [%0], 64;" ::"r"(u32(__cvta_generic_to_shared(&s))) : "memory");
  __syncthreads();
  out[threadIdx.x] = s;
}
void check_scopes() {
  test::Array<u32> g(std::vector<u32>(1, 0));
  test::Array<u64> out(32);
  scopes<<<1, 32>>>(g.device, out.device);
  test::expect("scopes", 0, g.fetch()[0], 32 * 7u);
  test::expect("scopes, shared", 0, out.fetch()[31], u64(64 + 32 % 10));
}

}  // namespace

int main() {
  check_integers<s32>("s32");
  check_integers<u32>("u32");
  check_integers<unsigned long long>("u64");
  check<long long, smallest>("s64", 7);
  check<long long, largest>("s64", 7);
  check<u32, increment>("atomicInc", 3);
  check<u32, decrement>("atomicDec", 3);
  check<f32, add>("f32", 0.5f);
  check<f64, add>("f64", 0.25);
  check_swaps<s32>("atomicExch s32");
  check_swaps<f32>("atomicExch f32");
  check_swaps<unsigned long long>("atomicExch u64");
  check_cas<u32>("atomicCAS u32");
  check_cas<unsigned long long>("atomicCAS u64");
  check_cas<unsigned short>("atomicCAS u16");
  check_halves();
  check_locks();
  check_small();
  check_scopes();
  return test::finish();
}
