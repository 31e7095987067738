// Tests of single instructions. An OP has the instruction and what the PTX manual says of its
// result, computed on the host; both see all pairs of edge values and a seeded mix of operands.
//
//   OP2(u32, u32, u32, "mul.hi.u32", u32(u64(a) * b >> 32))
//   int main() { return test::run_all(); }
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

using u8 = uint8_t;
using s8 = int8_t;
using u16 = uint16_t;
using s16 = int16_t;
using u32 = uint32_t;
using s32 = int32_t;
using u64 = uint64_t;
using s64 = int64_t;
using f32 = float;
using f64 = double;
using u128 = unsigned __int128;
using s128 = __int128;

#define ASM_u16 "h"
#define ASM_s16 "h"
#define ASM_u32 "r"
#define ASM_s32 "r"
#define ASM_u64 "l"
#define ASM_s64 "l"
#define ASM_f32 "f"
#define ASM_f64 "d"

namespace test {

inline int failures = 0;

inline u64 mixed(u64 x) {  // splitmix64
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

inline constexpr u32 kEdges = 20;

template <class T>
T edge(u32 n) {
  if constexpr (std::is_floating_point_v<T>) {
    using L = std::numeric_limits<T>;
    const T values[] = {0,
                        1,
                        2,
                        T(0.5),
                        T(1.5),
                        L::min(),
                        L::max(),
                        T(3),
                        L::denorm_min(),
                        L::min() / 2,
                        T(1) / T(3),
                        L::infinity(),
                        L::quiet_NaN(),
                        1 + L::epsilon(),
                        T(1e10)};
    const T value = values[n % 15];
    return n < 15 ? value : -values[n - 15];
  } else {
    const int bits = sizeof(T) * 8;
    const u64 top = u64(1) << (bits < 64 ? bits - 1 : 63);
    const u64 values[] = {0,  1,  ~u64(0), 2,  top,  top - 1, top + 1, 3,       u64(-2),   7,
                          10, 31, 32,      33, 0x55, 0xff,    0x100,   u64(-7), u64(bits), 0xffff};
    return T(values[n % kEdges]);
  }
}

/// The operand of a case: pairs of edges first, then edges, small values and random bits.
template <class T>
T operand(u32 index, u32 position) {
  if (index < kEdges * kEdges && position < 2)
    return edge<T>(position == 0 ? index % kEdges : index / kEdges);
  const u64 bits = mixed(u64(index) * 8 + position), kind = mixed(bits) % 4;
  if (kind == 0) return edge<T>(u32(bits % kEdges));
  if constexpr (std::is_floating_point_v<T>) {
    if (kind == 1) return T(s32(bits)) / T(1 << 16);
    using U = std::conditional_t<sizeof(T) == 4, u32, u64>;
    return std::bit_cast<T>(U(bits));
  } else {
    if (kind == 1) return T(s64(bits % 129) - 64);
    if constexpr (sizeof(T) > 8) return T(bits) << 64 | mixed(bits + 1);
    return T(bits);
  }
}

template <class T>
T canonical(T value) {
  return value == value ? value : std::bit_cast<T>(0x7fffffffu);
}
template <>
inline f64 canonical(f64 value) {
  return value;
}

/// Equal bits; but any NaN will do where the expected one is not the canonical NaN of f32.
template <class T>
bool same(const T& got, const T& want) {
  if constexpr (std::is_floating_point_v<T>)
    if (want != want && got != got) {
      u32 bits = 0;
      std::memcpy(&bits, &want, 4);
      if (sizeof(T) == 8 || bits != 0x7fffffffu) return true;
    }
  return std::memcmp(&got, &want, sizeof(T)) == 0;
}

template <class T>
void print(const T& value) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(&value);
  std::printf("0x");
  for (size_t k = sizeof(T); k-- > 0;) std::printf("%02x", bytes[k]);
  if constexpr (std::is_floating_point_v<T>) std::printf(" (%.9g)", double(value));
}

/// Device memory that a host vector fills and that is copied back.
template <class T>
struct Array {
  explicit Array(std::vector<T> values) : host(std::move(values)) {
    cudaMalloc(&device, host.size() * sizeof(T));
    cudaMemcpy(device, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice);
  }
  explicit Array(size_t size) : Array(std::vector<T>(size)) {}
  ~Array() { cudaFree(device); }
  Array(const Array&) = delete;
  std::vector<T>& fetch() {
    const cudaError_t error =
        cudaMemcpy(host.data(), device, host.size() * sizeof(T), cudaMemcpyDeviceToHost);
    if (error != cudaSuccess) {
      std::printf("%s\n", cudaGetErrorString(error));
      ++failures;
    }
    return host;
  }
  std::vector<T> host;
  T* device = nullptr;
};

template <class T>
void expect(const char* what, size_t index, const T& got, const T& want) {
  if (same(got, want)) return;
  if (++failures > 200) return;
  std::printf("%s [%zu]: got ", what, index);
  print(got), std::printf(", want "), print(want), std::printf("\n");
}

template <class Op, class R, class... A>
__global__ void apply(u32 count, R* results, const A*... operands) {
  const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) results[i] = Op::device(operands[i]...);
}

template <class Op, class R, class... A, size_t... P>
void check(R (*host)(A...), std::index_sequence<P...>) {
  constexpr u32 kCount = kEdges * kEdges + 1625;  // no multiple of a warp
  const auto fill = [&]<class T>(u32 position, T*) {
    std::vector<T> values(kCount);
    for (u32 i = 0; i < kCount; ++i) values[i] = operand<T>(i, position);
    return values;
  };
  std::tuple<Array<A>...> in(fill(P, static_cast<A*>(nullptr))...);
  Array<R> out(kCount);
  apply<Op, R, A...><<<(kCount + 127) / 128, 128>>>(kCount, out.device, std::get<P>(in).device...);
  const auto& got = out.fetch();
  int shown = 0;
  for (u32 i = 0; i < kCount; ++i) {
    const R want = host(std::get<P>(in).host[i]...);
    if (same(got[i], want)) continue;
    ++failures;
    if (++shown > 5) continue;
    std::printf("%s(", Op::name);
    ((std::printf("%s", P ? ", " : ""), print(std::get<P>(in).host[i])), ...);
    std::printf("): got "), print(got[i]), std::printf(", want "), print(want), std::printf("\n");
  }
  if (shown > 5) std::printf("%s: %d mismatches of %u\n", Op::name, shown, kCount);
}

template <class Op, class R, class... A>
void check_op(R (*host)(A...)) {
  check<Op>(host, std::index_sequence_for<A...>());
}

inline std::vector<void (*)()>& all() {
  static std::vector<void (*)()> list;
  return list;
}
template <class Op>
struct Added {
  Added() {
    all().push_back([] { check_op<Op>(&Op::host); });
  }
};

inline int finish() {
  const cudaError_t error = cudaDeviceSynchronize();
  if (error != cudaSuccess) std::printf("%s\n", cudaGetErrorString(error)), ++failures;
  if (failures) std::printf("%d mismatches\n", failures);
  return failures != 0;
}
inline int run_all() {
  for (auto* f : all()) f();
  return finish();
}

}  // namespace test

// The number makes the names differ; it is taken one macro earlier than it is pasted.
#define DEFINE_OP(...) DEFINE_OP_X(__COUNTER__, __VA_ARGS__)
#define DEFINE_OP_X(n, ...) DEFINE_OP_AT(n, __VA_ARGS__)
#define DEFINE_OP_AT(n, title, R, operands, device_body, ...)                \
  struct Op##n {                                                             \
    static constexpr const char* name = title;                               \
    static __device__ R device operands device_body static R host operands { \
      return R(__VA_ARGS__);                                                 \
    }                                                                        \
  };                                                                         \
  const test::Added<Op##n> added##n;

// One instruction with one to three operands; the rest is the expected value of a, b, c.
#define OP1(R, A, text, ...)                                \
  DEFINE_OP(                                                \
      text, R, (A a),                                       \
      {                                                     \
        R r;                                                \
        asm(text " %0, %1;" : "=" ASM_##R(r) : ASM_##A(a)); \
        return r;                                           \
      },                                                    \
      __VA_ARGS__)
#define OP2(R, A, B, text, ...)                                             \
  DEFINE_OP(                                                                \
      text, R, (A a, B b),                                                  \
      {                                                                     \
        R r;                                                                \
        asm(text " %0, %1, %2;" : "=" ASM_##R(r) : ASM_##A(a), ASM_##B(b)); \
        return r;                                                           \
      },                                                                    \
      __VA_ARGS__)
#define OP3(R, A, B, C, text, ...)                                                          \
  DEFINE_OP(                                                                                \
      text, R, (A a, B b, C c),                                                             \
      {                                                                                     \
        R r;                                                                                \
        asm(text " %0, %1, %2, %3;" : "=" ASM_##R(r) : ASM_##A(a), ASM_##B(b), ASM_##C(c)); \
        return r;                                                                           \
      },                                                                                    \
      __VA_ARGS__)
// A body of C++ or several instructions that returns the result.
#define BODY1(R, A, title, body, ...) DEFINE_OP(title, R, (A a), body, __VA_ARGS__)
#define BODY2(R, A, B, title, body, ...) DEFINE_OP(title, R, (A a, B b), body, __VA_ARGS__)
#define BODY3(R, A, B, C, title, body, ...) DEFINE_OP(title, R, (A a, B b, C c), body, __VA_ARGS__)
