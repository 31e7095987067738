// Cooperative groups: tiles of every size in diverged code, coalesced threads, partitions, tiles of
// several warps, copies of a group, and a grid whose blocks wait for each other.
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
#include <cuda/barrier>

#include "operands.h"

namespace cg = cooperative_groups;

namespace {

constexpr int kThreads = 96;

/// What a tile computes of its values, for each of its threads; the same on the host.
struct Results {
  u32 down, up, xored, broadcast, ballot, any, all, matched, sum, most, scan, exclusive;
};

__host__ __device__ u32 value_of(u32 thread) { return (thread * 2654435761u) >> 25; }

template <class Tile>
__device__ Results collectives(const Tile& tile, u32 v) {
  Results r;
  r.down = tile.shfl_down(v, 1);
  r.up = tile.shfl_up(v, 2);
  r.xored = tile.shfl_xor(v, tile.size() > 1);
  r.broadcast = tile.shfl(v, tile.size() / 2);
  r.ballot = tile.ballot(v & 1);
  r.any = tile.any(v > 120);
  r.all = tile.all(v > 3);
  r.matched = tile.match_any(v & 3);
  r.sum = cg::reduce(tile, v, cg::plus<u32>());
  r.most = cg::reduce(tile, s32(v), cg::greater<s32>());
  r.scan = cg::inclusive_scan(tile, v);
  r.exclusive = cg::exclusive_scan(tile, v);
  return r;
}

/// Tiles take one of four ways through the code, as their rank says.
template <int Size>
__global__ void tiles(Results* out) {
  const auto tile = cg::tiled_partition<Size>(cg::this_thread_block());
  const u32 t = threadIdx.x, v = value_of(t);
  Results r;
  switch (tile.meta_group_rank() % 4) {
    case 0:
      r = collectives(tile, v);
      break;
    case 1:
      tile.sync();
      r = collectives(tile, v + 1);
      break;
    case 2:
      r = collectives(tile, v ^ 5);
      tile.sync();
      break;
    default:
      r = collectives(tile, 2 * v);
  }
  out[t] = r;
}

template <int Size>
void test_tiles() {
  test::Array<Results> out(kThreads);
  tiles<Size><<<1, kThreads>>>(out.device);
  out.fetch();
  for (int begin = 0; begin < kThreads; begin += Size) {
    u32 v[Size], ballot = 0, any = 0, all = 1, sum = 0, most = 0;
    for (int k = 0; k < Size; ++k) {
      const u32 plain = value_of(u32(begin + k));
      const u32 kinds[] = {plain, plain + 1, plain ^ 5, 2 * plain};
      v[k] = kinds[begin / Size % 4];
      ballot |= (v[k] & 1) << k, any |= v[k] > 120, all &= v[k] > 3, sum += v[k];
      most = std::max(most, v[k]);
    }
    u32 scan = 0;
    for (int k = 0; k < Size; ++k) {
      u32 matched = 0;
      for (int j = 0; j < Size; ++j) matched |= u32((v[j] & 3) == (v[k] & 3)) << j;
      const Results want = {v[k + 1 < Size ? k + 1 : k],
                            v[k >= 2 ? k - 2 : k],
                            v[Size > 1 ? k ^ 1 : k],
                            v[Size / 2],
                            ballot,
                            any,
                            all,
                            matched,
                            sum,
                            most,
                            scan + v[k],
                            scan};
      scan += v[k];
      test::expect(("tile of " + std::to_string(Size)).c_str(), size_t(begin + k),
                   out.host[size_t(begin + k)], want);
    }
  }
}

/// Some lanes only: coalesced threads, and partitions of a warp by label and by predicate.
__global__ void partitions(u32* out) {
  const auto warp = cg::tiled_partition<32>(cg::this_thread_block());
  const u32 lane = warp.thread_rank();
  u32* mine = out + 8 * threadIdx.x;
  for (int k = 0; k < 8; ++k) mine[k] = 0;
  if (lane % 3 == 1) {
    const auto some = cg::coalesced_threads();
    mine[0] = some.size();
    mine[1] = some.thread_rank();
    mine[2] = cg::reduce(some, lane, cg::plus<u32>());
    mine[3] = some.shfl(lane, some.size() - 1);
    const auto halves = cg::binary_partition(some, lane > 16);
    mine[4] = halves.size();
  }
  const auto labeled = cg::labeled_partition(warp, lane * lane % 5);
  mine[5] = labeled.size();
  mine[6] = cg::reduce(labeled, lane, cg::plus<u32>());
  mine[7] = cg::inclusive_scan(labeled, 1u);
}

void test_partitions() {
  test::Array<u32> out(8 * 64);
  partitions<<<1, 64>>>(out.device);
  out.fetch();
  for (u32 t = 0; t < 64; ++t) {
    const u32 lane = t % 32;
    u32 want[8] = {};
    for (u32 k = 0; k < 32; ++k) {
      const bool same = k * k % 5 == lane * lane % 5;
      want[5] += same, want[6] += same ? k : 0, want[7] += same && k <= lane;
      if (lane % 3 != 1 || k % 3 != 1) continue;
      want[0] += 1, want[1] += k < lane, want[2] += k, want[3] = k;
      want[4] += (k > 16) == (lane > 16);
    }
    for (u32 k = 0; k < 8; ++k) test::expect("partition", t * 8 + k, out.host[t * 8 + k], want[k]);
  }
}

/// Tiles of 64 and 128 threads meet in shared memory that no program declares.
__global__ void wide_tiles(u32* out) {
  __shared__ cg::block_tile_memory<256> memory;
  const auto block = cg::this_thread_block(memory);
  const auto tile = cg::tiled_partition<64>(block);
  const u32 t = block.thread_rank();
  const u32 sum = cg::reduce(tile, value_of(t), cg::plus<u32>());
  tile.sync();
  const auto big = cg::tiled_partition<128>(block);
  const u32 scan = cg::inclusive_scan(big, value_of(t));
  out[2 * t] = sum + tile.shfl(t, 63);
  out[2 * t + 1] = scan + big.any(t == 200);
}

void test_wide_tiles() {
  test::Array<u32> out(512);
  wide_tiles<<<1, 256>>>(out.device);
  out.fetch();
  for (u32 t = 0; t < 256; ++t) {
    u32 sum = t / 64 * 64 + 63, scan = t / 128 == 1;
    for (u32 k = 0; k < 64; ++k) sum += value_of(t / 64 * 64 + k);
    for (u32 k = t / 128 * 128; k <= t; ++k) scan += value_of(k);
    test::expect("sum of a tile of 64", t, out.host[2 * t], sum);
    test::expect("scan of a tile of 128", t, out.host[2 * t + 1], scan);
  }
}

/// One thread of a group, and a group's copies to shared memory.
__global__ void copies(const u32* in, u32* out, u32 count) {
  extern __shared__ u32 staged[];
  const auto block = cg::this_thread_block();
  cg::memcpy_async(block, staged, in, sizeof(u32) * count);
  cg::wait(block);
  for (u32 k = block.thread_rank(); k < count; k += block.size()) out[k] = staged[count - 1 - k];
  block.sync();
  cg::memcpy_async(block, staged, in, cuda::aligned_size_t<16>(sizeof(u32) * 128));
  cg::memcpy_async(block, staged + 128, in + 128, cuda::aligned_size_t<16>(sizeof(u32) * 64));
  cg::wait_prior<1>(block);
  const u32 first = staged[block.thread_rank()];
  cg::wait(block);
  out[count + block.thread_rank()] = first + staged[128 + block.thread_rank() % 64];
  cg::invoke_one(block, [&] { out[count + block.size()] = block.num_threads(); });
  const auto warp = cg::tiled_partition<32>(block);
  const u32 chosen = cg::invoke_one_broadcast(warp, [&] { return warp.meta_group_rank() + 7; });
  out[count + block.size() + 1 + block.thread_rank()] = chosen;
}

void test_copies() {
  constexpr u32 kCount = 333, kBlock = 96;
  std::vector<u32> values(kCount);
  for (u32 k = 0; k < kCount; ++k) values[k] = value_of(k);
  test::Array<u32> in(values), out(kCount + 2 * kBlock + 1);
  copies<<<1, kBlock, 4 * kCount>>>(in.device, out.device, kCount);
  out.fetch();
  for (u32 k = 0; k < kCount; ++k)
    test::expect("copy of a block", k, out.host[k], values[kCount - 1 - k]);
  for (u32 t = 0; t < kBlock; ++t) {
    test::expect("two copies", t, out.host[kCount + t], values[t] + values[128 + t % 64]);
    test::expect("one thread's value", t, out.host[kCount + kBlock + 1 + t], t / 32 + 7);
  }
  test::expect("threads of a block", 0, out.host[kCount + kBlock], kBlock);
}

/// Each round every block adds up what all blocks wrote in the round before.
__global__ void rounds(u32* sums, u32* out, u32 count) {
  const auto grid = cg::this_grid();
  u32 mine = value_of(blockIdx.x);
  for (u32 round = 0; round < count; ++round) {
    if (threadIdx.x == 0) sums[blockIdx.x] = mine;
    grid.sync();
    u32 sum = 0;
    for (u32 b = threadIdx.x; b < gridDim.x; b += blockDim.x) sum += sums[b];
    mine = mine * 3 +
           cg::reduce(cg::tiled_partition<32>(cg::this_thread_block()), sum, cg::plus<u32>());
    grid.sync();
  }
  if (threadIdx.x == 0) out[blockIdx.x] = mine + grid.is_valid();
}

void test_grid() {
  constexpr u32 kBlocks = 100, kRounds = 4;
  test::Array<u32> sums(kBlocks), out(kBlocks);
  u32 rounds_of = kRounds;
  void* args[] = {&sums.device, &out.device, &rounds_of};
  const cudaError_t error =
      cudaLaunchCooperativeKernel(reinterpret_cast<void*>(rounds), kBlocks, 32, args, 0, nullptr);
  test::expect("cooperative launch", 0, int(error), 0);
  out.fetch();
  std::vector<u32> mine(kBlocks);
  for (u32 b = 0; b < kBlocks; ++b) mine[b] = value_of(b);
  for (u32 r = 0; r < kRounds; ++r) {
    u32 sum = 0;
    for (const u32 v : mine) sum += v;
    for (u32& v : mine) v = v * 3 + sum;
  }
  for (u32 b = 0; b < kBlocks; ++b) test::expect("grid", b, out.host[b], mine[b] + 1);
}

}  // namespace

int main() {
  test_tiles<32>();
  test_tiles<16>();
  test_tiles<8>();
  test_tiles<4>();
  test_tiles<2>();
  test_tiles<1>();
  test_partitions();
  test_wide_tiles();
  test_copies();
  test_grid();
  return test::finish();
}
