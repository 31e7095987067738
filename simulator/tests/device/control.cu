// Flow of control: divergence, loops, switches, calls direct and indirect, recursion, partial
// warps. Every function is compiled for host and device; the host says what is right.
#include "operands.h"

namespace {

__host__ __device__ u32 nested(u32 x) {
  u32 r = 1;
  if (x & 1) {
    r += 3;
    if (x & 2)
      r *= 5;
    else if (x & 4) {
      r ^= 77;
      if (x & 8) return r;
    }
    r += x;
  } else {
    for (u32 k = 0; k < (x >> 2 & 7); ++k) {
      if (k * x % 5 == 3) continue;
      if (k * x % 7 == 6) break;
      r = r * 31 + k;
    }
  }
  return r + 1000;
}

__host__ __device__ u32 collatz(u32 x) {
  u32 steps = 0;
  for (u64 v = x + 1; v != 1; ++steps) v = v & 1 ? 3 * v + 1 : v >> 1;
  return steps;
}

__host__ __device__ u32 switched(u32 x) {
  u32 r = x;
  for (u32 k = 0; k < 4; ++k) switch ((r ^ k) % 11) {
      case 0:
        r += 17;
        break;
      case 1:
        r *= 3;
        [[fallthrough]];
      case 2:
        r ^= 0x5555;
        break;
      case 3:
        r = r << 5 | r >> 27;
        break;
      case 4:
        if (r & 64) return r;
        r -= 9;
        break;
      case 5:
        r = ~r;
        break;
      case 6:
        r += r >> 3;
        break;
      case 8:
        r *= 0x9e3779b9;
        break;
      case 9:
        r -= k;
        [[fallthrough]];
      default:
        r += 101;
    }
  return r;
}

/// Jumps that no structure of loops and branches describes.
__host__ __device__ u32 jumps(u32 x) {
  u32 r = 0, n = 0;
  if (x & 1) goto inside;
top:
  r += 2;
  if (r & 8) goto tail;
inside:
  r = r * 3 + (x & 15);
  if (++n > 20) goto end;
  if (r & 4) goto top;
tail:
  r ^= x >> 3;
  if (++n < 9 && (r & 1)) goto inside;
  if (n < 12) goto top;
end:
  return r * 64 + n;
}

__host__ __device__ u32 nested_loops(u32 x) {
  u32 r = 0;
  for (u32 i = 0; i <= x % 5; ++i)
    for (u32 j = i; j < 6; ++j) {
      s32 k = s32(j);
      while (u32(k) % 4 != x % 3 && k < 20) r += u32(++k);
      do r ^= u32(k);
      while (--k > s32(i) + 2);
    }
  return r;
}

__host__ __device__ __noinline__ u32 ackermann(u32 m, u32 n) {
  if (m == 0) return n + 1;
  if (n == 0) return ackermann(m - 1, 1);
  return ackermann(m - 1, ackermann(m, n - 1));
}
__host__ __device__ u32 recursive(u32 x) { return ackermann(x % 3, x % 6); }

__host__ __device__ __noinline__ u32 is_odd(u32 n);
__host__ __device__ __noinline__ u32 is_even(u32 n) { return n == 0 ? 1 : is_odd(n - 1); }
__host__ __device__ __noinline__ u32 is_odd(u32 n) { return n == 0 ? 0 : is_even(n - 1); }
__host__ __device__ u32 mutual(u32 x) { return is_even(x % 40) * 2 + is_odd(x % 13); }

struct Tree {  // an array in local memory that a recursion walks
  u32 keys[16];
};
__host__ __device__ __noinline__ u32 walk(const Tree& tree, u32 at, u32 depth) {
  if (at >= 16) return depth;
  const u32 left = walk(tree, 2 * at + 1, depth + 1);
  return tree.keys[at] * left + walk(tree, 2 * at + 2, depth + tree.keys[at] % 2);
}
__host__ __device__ u32 walked(u32 x) {
  Tree tree;
  for (u32 k = 0; k < 16; ++k) tree.keys[k] = x * (k + 3) % 17;
  return walk(tree, x % 3, 0);
}

using Function = u32 (*)(u32);
__host__ __device__ __noinline__ u32 twice(u32 x) { return 2 * x; }
__host__ __device__ __noinline__ u32 squared(u32 x) { return x * x; }
__host__ __device__ __noinline__ u32 wobbled(u32 x) { return x % 7 ? nested(x) : collatz(x); }
__host__ __device__ u32 pointers(u32 x) {
  Function table[4] = {twice, squared, wobbled, nullptr};
  table[3] = x & 16 ? table[x >> 5 & 1] : nested_loops;
  u32 r = x % 1000;
  for (u32 k = 0; k < 3; ++k) r = table[(r ^ x) & 3](r % 5000);
  return r;
}

struct Shape {
  __host__ __device__ virtual u32 area(u32 k) const = 0;
};
struct Square final : Shape {
  u32 side;
  __host__ __device__ explicit Square(u32 x) : side(x) {}
  __host__ __device__ u32 area(u32 k) const override { return side * side + k; }
};
struct Strip final : Shape {
  u32 a, b;
  __host__ __device__ explicit Strip(u32 x) : a(x), b(x >> 3) {}
  __host__ __device__ u32 area(u32 k) const override {
    u32 r = 0;
    for (u32 i = 0; i < b % 9; ++i) r += a ^ i;
    return r * k;
  }
};
__host__ __device__ u32 virtuals(u32 x) {
  const Square square(x % 300);
  const Strip strip(x);
  const Shape* first = x & 1 ? static_cast<const Shape*>(&square) : &strip;
  const Shape* second = x & 6 ? static_cast<const Shape*>(&strip) : &square;
  u32 r = 0;
  for (u32 k = 0; k < x % 4 + 1; ++k) {
    r = r * 3 + first->area(k);
    const Shape* other = first;
    first = second, second = other;
  }
  return r;
}

#define FUNCTIONS(X) \
  X(nested)          \
  X(collatz)         \
  X(switched) X(jumps) X(nested_loops) X(recursive) X(mutual) X(walked) X(pointers) X(virtuals)
#define KERNEL(f)                                                                           \
  __global__ void run_##f(u32* out, u32 count, u32 stride) {                                \
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;                                    \
    if (i >= count) return;                                                                 \
    out[i] = f(i * stride);                                                                 \
  }                                                                                         \
  void check_##f(u32 count, u32 block, u32 stride) {                                        \
    test::Array<u32> out(count);                                                            \
    run_##f<<<(count + block - 1) / block, block>>>(out.device, count, stride);             \
    out.fetch();                                                                            \
    for (u32 i = 0; i < count; ++i) test::expect(#f, i* stride, out.host[i], f(i* stride)); \
  }
FUNCTIONS(KERNEL)

/// Lanes that return early do not hold up the others, at warp or block barriers.
__global__ void leavers(u32* out) {
  const u32 t = threadIdx.x;
  if (t % 5 == 2) return;
  u32 r = t;
  for (u32 k = 0; k < t % 7; ++k) r += k;
  if (t >= 64 && t < 96) return;
  __syncthreads();
  out[t] = r + 1;
}
void check_leavers() {
  test::Array<u32> out(std::vector<u32>(150, 0));
  leavers<<<1, 150>>>(out.device);
  out.fetch();
  for (u32 t = 0; t < 150; ++t) {
    u32 want = t + t % 7 * (t % 7 - 1) / 2 + 1;
    if (t % 7 == 0) want = t + 1;
    if (t % 5 == 2 || (t >= 64 && t < 96)) want = 0;
    test::expect("early return", t, out.host[t], want);
  }
}

/// After a branch and after a loop the lanes are together again.
__global__ void together(u32* out) {
  u32 x = threadIdx.x;
  if (x & 1)
    x = x * 3 + 1;
  else
    x >>= 1;
  out[threadIdx.x] = __activemask();
  for (u32 k = 0; k < threadIdx.x; ++k) x ^= x << 1;
  out[32 + threadIdx.x] = __activemask();
  out[64 + threadIdx.x] = x;
}
void check_together() {
  test::Array<u32> out(96);
  together<<<1, 32>>>(out.device);
  out.fetch();
  for (u32 k = 0; k < 64; ++k) test::expect("reconvergence", k, out.host[k], ~0u);
}

}  // namespace

int main() {
#define CHECKS(f) check_##f(1000, 96, 1), check_##f(77, 77, 0x9e3779b9), check_##f(1, 1, 1);
  FUNCTIONS(CHECKS)
  check_leavers();
  check_together();
  return test::finish();
}
