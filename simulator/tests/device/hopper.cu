// arch: compute_90
// What nvcc emits for compute_90 alone: eight-bit floating point, integers in pairs, sums of
// vectors, 128-bit atomics, mbarriers and bulk copies by the toolkit's wrappers, a cluster of one.
#include <cooperative_groups.h>
#include <cuda_fp8.h>

#include <cuda/ptx>

#include "operands.h"

namespace ptx = cuda::ptx;

namespace {

__host__ __device__ u32 fp8_of_floats(float low, float high) {
  return __nv_cvt_float2_to_fp8x2({low, high}, __NV_SATFINITE, __NV_E4M3) |
         u32(__nv_cvt_float2_to_fp8x2({low, high}, __NV_SATFINITE, __NV_E5M2)) << 16;
}
__host__ __device__ u32 fp8_of_half(u16 bits) {
  const __half_raw h{bits};
  return __nv_cvt_halfraw_to_fp8(h, __NV_SATFINITE, __NV_E4M3) |
         u32(__nv_cvt_halfraw_to_fp8(h, __NV_SATFINITE, __NV_E5M2)) << 8;
}
__host__ __device__ u32 halves_of_fp8(u16 bits) {
  const __half2_raw a = __nv_cvt_fp8x2_to_halfraw2(bits, __NV_E4M3);
  const __half2_raw b = __nv_cvt_fp8x2_to_halfraw2(bits, __NV_E5M2);
  return (a.x | u32(a.y) << 16) * 31 + (b.x | u32(b.y) << 16);
}

/// f of each half of both words.
template <class T, class F>
u32 halves(u32 a, u32 b, F f) {
  return u16(f(T(a), T(b))) | u32(u16(f(T(a >> 16), T(b >> 16)))) << 16;
}

BODY2(
    u32, f32, f32, "cvt to e4m3x2 and e5m2x2", { return fp8_of_floats(a, b); }, fp8_of_floats(a, b))
BODY1(
    u32, u16, "cvt of f16x2 to eight bits", { return fp8_of_half(a); }, fp8_of_half(a))
BODY1(
    u32, u16, "cvt of eight bits to f16x2", { return halves_of_fp8(a); }, halves_of_fp8(a))
BODY2(
    u32, u32, u32, "add.u16x2", { return __vadd2(a, b); },
    halves<u16>(a, b, [](u16 x, u16 y) { return x + y; }))
BODY2(
    u32, u32, u32, "min.s16x2", { return __vmins2(a, b); },
    halves<s16>(a, b, [](s16 x, s16 y) { return std::min(x, y); }))
BODY2(
    u32, u32, u32, "max.u16x2", { return __vmaxu2(a, b); },
    halves<u16>(a, b, [](u16 x, u16 y) { return std::max(x, y); }))
BODY2(
    u32, u32, u32, "max.s16x2.relu", { return __vimax_s16x2_relu(a, b); },
    halves<s16>(a, b, [](s16 x, s16 y) {
      return std::max({x, y, s16(0)});
    }))
BODY2(
    s32, s32, s32, "max.s32.relu", { return __vimax_s32_relu(a, b); }, std::max({a, b, 0}))
BODY2(
    s32, s32, s32, "min.s32.relu", { return __vimin_s32_relu(a, b); }, std::max(std::min(a, b), 0))
BODY1(
    u32, u32, "mov.b16 of two bytes",
    {
      u16 r;
      asm("{ .reg .b8 x, y; mov.b16 {x, y}, %1; mov.b16 %0, {y, x}; }" : "=h"(r) : "h"(u16(a)));
      return r;
    },
    u16(a << 8 | (a >> 8 & 0xff)))

/// All threads add to one vector.
__global__ void add_vectors(float2* two, float4* four) {
  const float t = float(threadIdx.x);
  atomicAdd(two, float2{1, t});
  const float4 before = atomicAdd(four, float4{1, 2, t, -t});
  if (before.x * 2 != before.y) atomicAdd(&two->x, 1e6f);
}

void test_vectors() {
  test::Array<float> sums(8);
  add_vectors<<<4, 64>>>(reinterpret_cast<float2*>(sums.device),
                         reinterpret_cast<float4*>(sums.device + 4));
  sums.fetch();
  const float want[] = {256, 4 * 2016, 0, 0, 256, 512, 4 * 2016, -4 * 2016};
  for (size_t k = 0; k < 8; ++k) test::expect("sum of a vector", k, sums.host[k], want[k]);
}

struct alignas(16) Pair {
  u64 count, sum;
};
/// Both words change together or not at all.
__global__ void count_and_sum(Pair* pair, u64* wrong) {
  Pair seen{0, 0}, next;
  do {
    next = {seen.count + 1, seen.sum + seen.count};
    const Pair found = atomicCAS(pair, seen, next);
    if (found.count == seen.count && found.sum == seen.sum) break;
    seen = found;
    if (seen.sum != seen.count * (seen.count - 1) / 2) *wrong = 1;
  } while (true);
  if (threadIdx.x + blockIdx.x == 0) atomicExch(pair + 1, Pair{7, 8});
}

void test_128_bits() {
  test::Array<u64> words(5);
  count_and_sum<<<6, 32>>>(reinterpret_cast<Pair*>(words.device), words.device + 4);
  words.fetch();
  const u64 want[] = {192, 192 * 191 / 2, 7, 8, 0};
  for (size_t k = 0; k < 5; ++k) test::expect("128 bits", k, words.host[k], want[k]);
}

/// Global to shared, counted by an mbarrier; within shared memory; and back, in a group.
__global__ void copy_in_bulk(const u32* in, u32* out, u32* steps) {
  __shared__ alignas(128) u32 staged[512];
  __shared__ uint64_t barrier;
  const u32 t = threadIdx.x;
  if (t == 0) {
    ptx::mbarrier_init(&barrier, blockDim.x);
    ptx::fence_mbarrier_init(ptx::sem_release, ptx::scope_cluster);
    ptx::fence_proxy_async(ptx::space_shared);
  }
  __syncthreads();
  for (u32 phase = 0; phase < 2; ++phase) {
    uint64_t state;
    if (t == 0) {
      u32* to = staged + 256 * phase;
      if (phase == 0)
        ptx::cp_async_bulk(ptx::space_cluster, ptx::space_global, to, in, 1024u, &barrier);
      else
        ptx::cp_async_bulk(ptx::space_cluster, ptx::space_shared, to, staged, 1024u, &barrier);
      state = ptx::mbarrier_arrive_expect_tx(ptx::sem_release, ptx::scope_cta, ptx::space_shared,
                                             &barrier, 1024u);
    } else {
      state = ptx::mbarrier_arrive(ptx::sem_release, ptx::scope_cta, ptx::space_shared, &barrier);
    }
    if (t % 2 == 0) {
      while (!ptx::mbarrier_try_wait(&barrier, state, 100u)) {
      }
    } else {
      while (!ptx::mbarrier_try_wait_parity(ptx::sem_acquire, ptx::scope_cta, &barrier, phase)) {
      }
    }
  }
  staged[256 + t] += staged[t];
  ptx::fence_proxy_async();
  __syncthreads();
  if (t < 32) {
    u32 elected = 0;
    asm volatile("{ .reg .pred p; elect.sync _|p, 0xffffffff; @p mov.u32 %0, 1; }" : "+r"(elected));
    if (elected) {
      ptx::cp_async_bulk(ptx::space_global, ptx::space_shared, out, staged + 256, 1024u);
      ptx::cp_async_bulk_commit_group();
      ptx::cp_async_bulk_wait_group_read(ptx::n32_t<0>{});
      staged[256] = 0;  // has been read
      ptx::cp_async_bulk_wait_group(ptx::n32_t<0>{});
    }
    const u32 all = __reduce_add_sync(0xffffffff, elected);
    if (t == 0) steps[0] = all;
  }
}

void test_bulk_copies() {
  std::vector<u32> values(256);
  for (u32 k = 0; k < 256; ++k) values[k] = u32(test::mixed(k));
  test::Array<u32> in(values), out(256), steps(1);
  copy_in_bulk<<<1, 256>>>(in.device, out.device, steps.device);
  out.fetch(), steps.fetch();
  for (u32 k = 0; k < 256; ++k) test::expect("bulk copy", k, out.host[k], 2 * values[k]);
  test::expect("elected threads", 0, steps.host[0], 1u);
}

/// A launch without clusters is one of clusters of a block.
__global__ void cluster_of_one(u32* out, const u32* in) {
  __shared__ u32 turned[96];
  const auto cluster = cooperative_groups::this_cluster();
  turned[threadIdx.x] = threadIdx.x;
  cluster.sync();
  const u32* mine = cluster.map_shared_rank(turned, 0);
  u32 sum = mine[95 - threadIdx.x] + cluster.block_rank() + cluster.num_blocks();
  auto token = cluster.barrier_arrive();
  cluster.barrier_wait(std::move(token));
  sum += 1000 * ptx::get_sreg_clusterid_x() + 10000 * ptx::get_sreg_is_explicit_cluster();
  uint64_t policy;
  u32 value;
  asm volatile("createpolicy.fractional.L2::evict_last.b64 %0, 1.0;" : "=l"(policy));
  asm volatile("ld.global.L2::cache_hint.u32 %0, [%1], %2;" : "=r"(value) : "l"(in), "l"(policy));
  asm volatile("griddepcontrol.wait;");
  out[blockIdx.x * 96 + threadIdx.x] = sum + value;
}

void test_cluster() {
  test::Array<u32> out(192), in(std::vector<u32>{5});
  cluster_of_one<<<2, 96>>>(out.device, in.device);
  out.fetch();
  for (u32 k = 0; k < 192; ++k)
    test::expect("cluster", k, out.host[k], 95 - k % 96 + 1 + 1000 * (k / 96) + 5);
}

}  // namespace

int main() {
  test_vectors();
  test_128_bits();
  test_bulk_copies();
  test_cluster();
  return test::run_all();
}
