// C++ on the device, each function the same on the host: virtual functions, function pointers,
// recursion, large values by value, memory of a size that the program computes, switches, bit
// fields, 128-bit integers, allocation, and vectors in memory.
#include <alloca.h>

#include <cstdlib>

#include "operands.h"

#define BOTH __host__ __device__

namespace {

struct Shape {
  u32 scale = 3;
  BOTH virtual u32 area(u32 x) const { return x; }
  BOTH virtual ~Shape() {}
};
struct Square : Shape {
  BOTH u32 area(u32 x) const override { return x * x + scale; }
};
struct Cube : Square {
  BOTH u32 area(u32 x) const override { return Square::area(x) * x; }
  BOTH virtual f64 mix(f64 x, f32 y, s8 c) const { return x * y + c; }
};

/// Lanes of a warp make objects of three kinds and call through one pointer.
BOTH u32 virtual_calls(u32 a) {
  Shape* shape = a % 3 == 0 ? new Shape : a % 3 == 1 ? new Square : new Cube;
  shape->scale += a % 7;
  const u32 r = shape->area(a);
  delete shape;
  return r;
}

BOTH u32 plus_one(u32 x) { return x + 1; }
BOTH u32 squared(u32 x) { return x * x; }
BOTH u32 through_pointer(u32 a) {
  u32 (*const f)(u32) = a & 4 ? plus_one : squared;
  return f(a) + (a & 1 ? squared : plus_one)(a >> 3);
}

BOTH u32 ackermann(u32 m, u32 n) {
  if (m == 0) return n + 1;
  return n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

struct Large {
  u32 values[40];
  s8 step;
};
BOTH __noinline__ Large shifted(Large in, u32 by) {
  for (u32 k = 0; k < 40; ++k) in.values[k] += u32(in.step) * by;
  in.step = s8(in.step - 1);
  return in;
}
BOTH u32 by_value(u32 a) {
  Large large{};
  large.step = s8(a);
  large = shifted(shifted(large, a), a >> 8);
  return large.values[a % 40] + u8(large.step);
}
BOTH __noinline__ f64 many_kinds(s8 a, s16 b, s32 c, s64 d, f32 e, f64 f, bool g,
                                 const Cube* cube) {
  return a + b + c + f64(d) + e + f + g + cube->mix(f, e, a);
}
BOTH f64 arguments(u32 a) {
  const Cube cube;
  return many_kinds(s8(a), s16(a >> 3), s32(a), s64(a) << 20, f32(a % 100), f64(a % 1000), a & 1,
                    &cube);
}

/// An array of each lane's own size, one more in each round of a loop.
BOTH __noinline__ u32 sum_of(const u32* values, u32 count) {
  u32 sum = 0;
  for (u32 k = 0; k < count; ++k) sum = sum * 31 + values[count - 1 - k];
  return sum;
}
BOTH u32 computed_size(u32 a) {
  u32 sum = 0;
  for (u32 round = 0; round < 3; ++round) {
    const u32 count = 1 + (a + round) % 50;
    auto* values = static_cast<u32*>(alloca(count * sizeof(u32)));
    for (u32 k = 0; k < count; ++k) values[k] = a ^ k;
    sum += sum_of(values, count);
  }
  return sum;
}

BOTH u32 switches(u32 a) {
  u32 r = a;
  for (int k = 0; k < 4; ++k) switch ((r >> k) % 11) {
      case 0:
        r += 17;
        break;
      case 1:
        r ^= 0x55;
        [[fallthrough]];
      case 2:
        r = r * 3 + 1;
        break;
      case 3:
        continue;
      case 5:
        r -= a;
        break;
      case 7:
        return r;
      case 8:
        r = ~r;
        break;
      default:
        r = r << 1 | r >> 31;
    }
  return r;
}

struct Fields {
  u32 a : 3, b : 13;
  s32 c : 9;
  u64 d : 40;
};
BOTH u64 bit_fields(u32 a) {
  Fields f{a, a >> 2, s32(a >> 5), u64(a) << 11};
  f.b += f.a, --f.c, f.d ^= f.b;
  return f.a + f.b * 8 + u64(s64(f.c)) + f.d * 64;
}

BOTH u64 wide_integers(u64 a, u64 b) {
  const u128 x = u128(a) * b + (u128(b) << 37);
  const u128 y = (x / (a | 1)) ^ (x % (b | 3)) ^ u128(s128(s64(a)) >> 3);
  return u64(y) + u64(y >> 64);
}

BOTH u32 allocations(u32 a) {
  const u32 count = a % 20 + 1;
  auto* values = static_cast<u32*>(std::malloc(count * sizeof(u32)));
  for (u32 k = 0; k < count; ++k) values[k] = a + k;
  const u32 r = sum_of(values, count);
  std::free(values);
  return r;
}

BODY1(
    u32, u32, "virtual functions", { return virtual_calls(a); }, virtual_calls(a))
BODY1(
    u32, u32, "function pointers", { return through_pointer(a); }, through_pointer(a))
BODY1(
    u32, u32, "recursion", { return ackermann(a % 3, a % 5); }, ackermann(a % 3, a % 5))
BODY1(
    u32, u32, "a large value", { return by_value(a); }, by_value(a))
BODY1(
    f64, u32, "many arguments", { return arguments(a); }, arguments(a))
BODY1(
    u32, u32, "alloca", { return computed_size(a); }, computed_size(a))
BODY1(
    u32, u32, "switch", { return switches(a); }, switches(a))
BODY1(
    u64, u32, "bit fields", { return bit_fields(a); }, bit_fields(a))
BODY2(
    u64, u64, u64, "128-bit integers", { return wide_integers(a, b); }, wide_integers(a, b))
BODY1(
    u32, u32, "malloc and free", { return allocations(a); }, allocations(a))

/// Vectors of every size, with cache hints, and 16 bits compared and swapped.
__global__ void vectors(const double4_16a* in, double4_16a* out, const char3* small, u16* halves) {
  const u32 t = threadIdx.x;
  out[t] = in[t];
  __stwt(reinterpret_cast<int4*>(out + 32 + t), __ldcg(reinterpret_cast<const int4*>(in + t)));
  __stcs(reinterpret_cast<longlong2*>(out + 32 + t) + 1,
         __ldg(reinterpret_cast<const longlong2*>(in + t) + 1));
  const char3 c = small[t];
  u16 seen = halves[t % 4];
  for (u16 old; (old = atomicCAS(halves + t % 4, seen, u16(seen + c.x + c.y * c.z))) != seen;)
    seen = old;
}
void test_vectors() {
  std::vector<double4_16a> in(32);
  std::vector<char3> small(32);
  u16 want[4] = {};
  for (u32 t = 0; t < 32; ++t) {
    in[t] = {t + 0.5, t * 3.0, -1.0 * t, 1.0 / (t + 1)};
    small[t] = {s8(t), s8(2 * t), s8(t - 7)};
    want[t % 4] = u16(want[t % 4] + small[t].x + small[t].y * small[t].z);
  }
  test::Array<double4_16a> da(in), out(64);
  test::Array<char3> ds(small);
  test::Array<u16> halves(4);
  vectors<<<1, 32>>>(da.device, out.device, ds.device, halves.device);
  out.fetch(), halves.fetch();
  for (u32 t = 0; t < 64; ++t) test::expect("vectors", t, out.host[t], in[t % 32]);
  for (u32 k = 0; k < 4; ++k) test::expect("atomicCAS of 16 bits", k, halves.host[k], want[k]);
}

}  // namespace

int main() {
  test_vectors();
  return test::run_all();
}
