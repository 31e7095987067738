// Between the lanes of a warp: PTX ISA, sections 9.7.9.6 (shfl), 9.7.13 (vote, match, redux,
// activemask, bar.warp.sync, elect), and what cooperative groups build on them.
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>

#include "operands.h"

namespace cg = cooperative_groups;

namespace {

__host__ __device__ u32 value_of(u32 lane) { return (lane + 1) * 0x9e3779b9; }

struct Shuffled {
  u32 value, valid;
};
template <int Mode>
__device__ Shuffled shuffled(u32 a, u32 b, u32 c, u32 members) {
  Shuffled r;
#define SHFL(mode, text)                                              \
  if (Mode == mode)                                                   \
    asm volatile("{ .reg .pred p; shfl.sync." text                    \
                 ".b32 %0|p, %2, %3, %4, %5; selp.u32 %1, 1, 0, p; }" \
                 : "=r"(r.value), "=r"(r.valid)                       \
                 : "r"(a), "r"(b), "r"(c), "r"(members));
  SHFL(0, "up") SHFL(1, "down") SHFL(2, "bfly") SHFL(3, "idx") return r;
}
/// Every amount with every width; the amount differs between lanes in the second half.
template <int Mode>
__global__ void shuffles(Shuffled* out) {
  const u32 lane = threadIdx.x;
  for (u32 width = 1; width <= 32; width *= 2)
    for (u32 n = 0; n < 64; ++n) {
      const u32 c = (32 - width) << 8 | (Mode == 0 ? 0 : 31);
      *(out + ((width * 64 + n) * 32 + lane)) =
          shuffled<Mode>(value_of(lane), n < 32 ? n : (n + lane) & 31, c, ~0u);
    }
}
Shuffled shuffled_host(int mode, u32 lane, u32 b, u32 width) {  // the manual's pseudo-code
  const u32 segment = 32 - width, clamp = mode == 0 ? 0 : 31;
  const u32 low = lane & segment, top = low | (clamp & ~segment);
  s32 j = 0;
  bool valid = false;
  if (mode == 0) j = s32(lane) - s32(b), valid = j >= s32(top);
  if (mode == 1) j = s32(lane + b), valid = j <= s32(top);
  if (mode == 2) j = s32(lane ^ b), valid = j <= s32(top);
  if (mode == 3) j = s32(low | (b & ~segment)), valid = j <= s32(top);
  return {value_of(valid ? u32(j) : lane), valid};
}
template <int Mode>
void check_shuffles() {
  test::Array<Shuffled> out(33 * 64 * 32);
  shuffles<Mode><<<1, 32>>>(out.device);
  cudaDeviceSynchronize();
  for (u32 width = 1; width <= 32; width *= 2) {
    std::vector<Shuffled> got(64 * 32);
    cudaMemcpy(got.data(), out.device + width * 64 * 32, got.size() * sizeof(Shuffled),
               cudaMemcpyDeviceToHost);
    for (u32 n = 0; n < 64; ++n)
      for (u32 lane = 0; lane < 32; ++lane)
        test::expect("shfl", Mode * 10000 + width * 100 + n, got[n * 32 + lane],
                     shuffled_host(Mode, lane, n < 32 ? n : (n + lane) & 31, width));
  }
}

/// Votes, matches and reductions of three groups of lanes that take different ways.
struct Said {
  u32 all, any, uni, ballot, match_any, match_all, all_same, match_long, sum, least, most, low,
      high, both, either, odd, active;
};
__host__ __device__ u32 group_of(u32 lane) {
  const u32 kind = lane % 5 < 2 ? 0 : lane % 3 ? 1 : 2;
  u32 mask = 0;
  for (u32 l = 0; l < 32; ++l) mask |= u32((l % 5 < 2 ? 0 : l % 3 ? 1 : 2) == kind) << l;
  return mask;
}
__device__ void speak(Said& s, u32 lane, u32 x, u32 m) {
  s.all = __all_sync(m, x & 3), s.any = __any_sync(m, x % 7 == 0), s.uni = __uni_sync(m, x & 64);
  s.ballot = __ballot_sync(m, x & 8);
  s.match_any = __match_any_sync(m, x % 4);
  int same = 0;
  s.match_all = __match_all_sync(m, x % 4 == 9, &same), s.all_same = same;
  s.match_long = __match_any_sync(m, u64(x % 3) << 40);
  s.sum = __reduce_add_sync(m, x);
  s.least = u32(__reduce_min_sync(m, s32(x))), s.most = u32(__reduce_max_sync(m, s32(x)));
  s.low = __reduce_min_sync(m, x), s.high = __reduce_max_sync(m, x);
  s.both = __reduce_and_sync(m, x | 0xff00), s.either = __reduce_or_sync(m, x & 0xff);
  s.odd = __reduce_xor_sync(m, x);
  s.active = __activemask();
}
__global__ void votes(Said* out) {
  const u32 lane = threadIdx.x, x = value_of(lane), m = group_of(lane);
  Said s{};
  if (lane % 5 < 2)
    speak(s, lane, x, m);
  else if (lane % 3)
    speak(s, lane, x, m);
  else
    speak(s, lane, x, m);
  out[lane] = s;
}
void check_votes() {
  test::Array<Said> out(32);
  votes<<<1, 32>>>(out.device);
  out.fetch();
  for (u32 lane = 0; lane < 32; ++lane) {
    const u32 m = group_of(lane), x = value_of(lane);
    Said w{};
    w.all = 1, w.both = ~0u, w.low = ~0u, w.least = 0x7fffffff, w.most = 0x80000000;
    u32 set = 0;
    for (u32 l = 0; l < 32; ++l) {
      if (!(m >> l & 1)) continue;
      const u32 y = value_of(l);
      w.all &= (y & 3) != 0, w.any |= y % 7 == 0, set |= y & 64 ? 1 : 2;
      w.ballot |= u32((y & 8) != 0) << l;
      w.match_any |= u32(y % 4 == x % 4) << l, w.match_long |= u32(y % 3 == x % 3) << l;
      w.sum += y, w.low = std::min(w.low, y), w.high = std::max(w.high, y);
      w.least = u32(std::min(s32(w.least), s32(y))), w.most = u32(std::max(s32(w.most), s32(y)));
      w.both &= y | 0xff00, w.either |= y & 0xff, w.odd ^= y;
    }
    w.uni = set != 3, w.match_all = m, w.all_same = 1, w.active = m;

    test::expect("vote, match, redux", lane, out.host[lane], w);
  }
}

/// Lanes meet at __syncwarp, one after the other in memory order.
__global__ void staircase(u32* out) {
  __shared__ u32 cells[32];
  const u32 lane = threadIdx.x;
  cells[lane] = lane;
  __syncwarp();
  for (u32 step = 1; step < 32; step *= 2) {
    const u32 add = lane >= step ? cells[lane - step] : 0;
    __syncwarp();
    cells[lane] += add;
    __syncwarp();
  }
  if (lane % 2) {  // halves that meet by themselves
    cells[lane] *= 2;
    __syncwarp(0xaaaaaaaa);
    out[lane] = cells[lane ^ 2];
  } else {
    __syncwarp(0x55555555);
    out[lane] = cells[lane ^ 2];
  }
}
void check_staircase() {
  test::Array<u32> out(32);
  staircase<<<1, 32>>>(out.device);
  out.fetch();
  for (u32 lane = 0; lane < 32; ++lane) {
    const u32 from = lane ^ 2, sum = from * (from + 1) / 2;
    test::expect("__syncwarp", lane, out.host[lane], lane % 2 ? 2 * sum : sum);
  }
}

/// Tiles, reductions, scans and labelled partitions.
struct Grouped {
  u32 rank, size, sum, scan, top, label_size, label_sum, coalesced;
};
__global__ void groups(Grouped* out) {
  const auto block = cg::this_thread_block();
  const auto tile = cg::tiled_partition<8>(block);
  const auto warp = cg::tiled_partition<32>(block);
  const u32 t = block.thread_rank(), x = value_of(t) >> 20;
  Grouped g{};
  g.rank = tile.thread_rank(), g.size = tile.size();
  g.sum = cg::reduce(tile, x, cg::plus<u32>());
  g.scan = cg::inclusive_scan(tile, x, cg::plus<u32>());
  g.top = cg::reduce(warp, x, cg::greater<u32>());
  const auto labelled = cg::labeled_partition(warp, t % 3);
  g.label_size = labelled.size();
  g.label_sum = cg::reduce(labelled, x, cg::plus<u32>());
  if (x % 2) {
    const auto active = cg::coalesced_threads();
    g.coalesced = active.shfl(x, active.size() - 1) * 64 + active.thread_rank();
  }
  block.sync();
  out[t] = g;
}
void check_groups() {
  test::Array<Grouped> out(96);
  groups<<<1, 96>>>(out.device);
  out.fetch();
  for (u32 t = 0; t < 96; ++t) {
    Grouped w{t % 8, 8};
    const u32 base = t / 32 * 32;
    u32 last_odd = 0, odds = 0;
    for (u32 l = base; l < base + 32; ++l) {
      const u32 x = value_of(l) >> 20;
      if (l / 8 == t / 8) w.sum += x, w.scan += l <= t ? x : 0;
      w.top = std::max(w.top, x);
      if (l % 3 == t % 3) ++w.label_size, w.label_sum += x;
      if (x % 2) last_odd = x, odds += l < t;
    }
    if ((value_of(t) >> 20) % 2) w.coalesced = last_odd * 64 + odds;
    test::expect("cooperative groups", t, out.host[t], w);
  }
}

/// shfl of other types goes through 32-bit words.
__global__ void wide_shuffles(f64* out) {
  const u32 lane = threadIdx.x;
  out[lane] =
      __shfl_xor_sync(~0u, 1.0 / (lane + 3), 5) + f64(__shfl_down_sync(~0u, s64(lane) << 40, 3));
}
void check_wide() {
  test::Array<f64> out(32);
  wide_shuffles<<<1, 32>>>(out.device);
  out.fetch();
  for (u32 lane = 0; lane < 32; ++lane)
    test::expect("shfl of f64", lane, out.host[lane],
                 1.0 / ((lane ^ 5) + 3) + f64(s64(lane + 3 < 32 ? lane + 3 : lane) << 40));
}

/// Lanes of one mask meet at different places of the code, tiles of the warp at several at once.
__global__ void apart(u32* out) {
  __shared__ u32 cells[32];
  const u32 lane = threadIdx.x, tile = 0xffu << lane / 8 * 8;
  cells[lane] = lane;
  u32 got;
  if (lane % 3 == 0) {
    __syncwarp();
    got = cells[31 - lane];
    __syncwarp();
  } else if (lane % 3 == 1) {
    __syncwarp();
    got = cells[31 - lane] + 1;
    __syncwarp();
  } else {
    __syncwarp();
    got = cells[31 - lane] + 2;
    __syncwarp();
  }
  cells[lane] = got;
  switch (lane / 8) {
    case 0:
      __syncwarp(tile);
      got = cells[lane ^ 7];
      break;
    case 1:
      got = __shfl_xor_sync(tile, got, 7);
      break;
    case 2:
      if (lane & 1)
        __syncwarp(tile);
      else
        __syncwarp(0x00ff0000);
      got = cells[lane ^ 7];
      break;
    default:
      got = __ballot_sync(tile, got & 1) + __reduce_add_sync(tile, got);
  }
  out[lane] = got;
}
void check_apart() {
  test::Array<u32> out(32);
  apart<<<1, 32>>>(out.device);
  out.fetch();
  const auto of = [](u32 l) { return 31 - l + l % 3; };
  for (u32 lane = 0; lane < 32; ++lane) {
    u32 want = of(lane ^ 7);
    if (lane >= 24) {
      want = 0;
      for (u32 l = 24; l < 32; ++l) want += of(l) + (of(l) & 1) * (1u << l);
    }
    test::expect("lanes apart", lane, out.host[lane], want);
  }
}

/// Instructions with results, too: each side of a branch has its own, and one in a call.
struct Exchanged {
  u32 shuffled, voted, matched, sum, wide;
  bool operator==(const Exchanged&) const = default;
};
__device__ __noinline__ u32 vote_for(u32 x, u32 by) { return __ballot_sync(~0u, x & by); }
__global__ void meet(Exchanged* out) {
  const u32 lane = threadIdx.x;
  Exchanged e;
  if (lane % 3 == 0) {
    e.shuffled = __shfl_xor_sync(~0u, lane * 10, 16) + 1;
    e.voted = vote_for(lane, 1) + 1;
    e.matched = __match_any_sync(~0u, lane / 5) + 1;
    e.sum = __reduce_add_sync(~0u, lane) + 1;
    e.wide = __match_any_sync(~0u, u64(lane / 7) << 40) + 1;
  } else if (lane % 3 == 1) {
    e.shuffled = __shfl_xor_sync(~0u, lane * 20, 1) + 2;
    e.voted = vote_for(lane, 2) + 2;
    e.matched = __match_any_sync(~0u, lane / 6) + 2;
    e.sum = __reduce_add_sync(~0u, 2 * lane) + 2;
    e.wide = __match_any_sync(~0u, u64(lane / 7) << 40) + 2;
  } else {
    e.shuffled = __shfl_xor_sync(~0u, lane * 30, lane) + 3;
    e.voted = __ballot_sync(~0u, lane & 4) + 3;
    e.matched = __match_any_sync(~0u, lane / 7) + 3;
    e.sum = __reduce_add_sync(~0u, 3 * lane) + 3;
    e.wide = __match_any_sync(~0u, u64(lane / 7) << 40) + 3;
  }
  out[lane] = e;
}
void check_meet() {
  test::Array<Exchanged> out(32);
  meet<<<1, 32>>>(out.device);
  out.fetch();
  for (u32 lane = 0; lane < 32; ++lane) {
    const u32 side = lane % 3, from = lane ^ (side == 0 ? 16 : side == 1 ? 1 : lane);
    const auto key = [](u32 l) { return l / (5 + l % 3); };
    Exchanged w{from * 10 * (from % 3 + 1), 0, 0, 0, 0};
    for (u32 l = 0; l < 32; ++l) {
      w.voted |= u32((l >> l % 3 & 1) != 0) << l;
      w.matched |= u32(key(l) == key(lane)) << l;
      w.wide |= u32(l / 7 == lane / 7) << l;
      w.sum += l * (l % 3 + 1);
    }
    for (u32 Exchanged::*m : {&Exchanged::shuffled, &Exchanged::voted, &Exchanged::matched,
                              &Exchanged::sum, &Exchanged::wide})
      w.*m += side + 1;
    test::expect("lanes that meet", lane, out.host[lane], w);
  }
}

}  // namespace

int main() {
  check_shuffles<0>(), check_shuffles<1>(), check_shuffles<2>(), check_shuffles<3>();
  check_votes();
  check_staircase();
  check_groups();
  check_wide();
  check_apart();
  check_meet();
  return test::finish();
}
