// Matrix fragments in registers. One register of all lanes is a tile of 8 rows: lane 4 * g + t has
// neighbours of row g, so that the register's 128 bytes are the tile, row by row. Tiles of a
// fragment follow each other down its columns. PTX ISA, 9.7.14.5, draws so what mma takes; wmma,
// whose layout is left open, has the same here.
//   a  m x k                   b  n x k (b transposed)
//   c, d  m x n: tiles of 8 x 8; wider numbers take two registers, of even and of odd columns
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "simulator/code/decoder.h"
#include "simulator/exec/formats.h"
#include "simulator/exec/lanes.h"
#include "simulator/exec/warp.h"

namespace sim {

/// All lanes of the warp must execute an .aligned instruction. False: some have not come yet.
bool whole_warp(Warp& w, uint32_t mask);

/// A form of multiplication: shape, types as they are written, and who does it.
struct Product {
  int m, n, k;
  ptx::Type d, a, b, c;
  Handler run;
};
/// Registers of a fragment of `rows` x `columns` numbers.
int fragment_registers(int rows, int columns, ptx::Type type);
/// Fills in an instruction d, a, b, c of a form; a and b may have more registers than are read.
void decode_product(Decoder& d, const Instruction& inst, const Product& form, Inst& i);
/// "m16n8k16" of an instruction.
struct Shape {
  int m = 0, n = 0, k = 0;
};
Shape shape_of(const Instruction& inst);

void decode_wmma(Decoder& d, const Instruction& inst, Inst& i);
void decode_ldmatrix(Decoder& d, const Instruction& inst, Inst& i);
void decode_stmatrix(Decoder& d, const Instruction& inst, Inst& i);
void decode_movmatrix(Decoder& d, const Instruction& inst, Inst& i);

namespace tensor {

// Elements: how they are kept, and the number that they are.
struct F16 {
  using Kept = uint16_t;
  using Number = float;
  static float number(Kept x) { return half_to_float(x); }
  static Kept keep(float x) { return float_to_half(x); }
};
struct BF16 {
  using Kept = uint16_t;
  using Number = float;
  static float number(Kept x) { return brain_to_float(x); }
};
struct TF32 {  // the lower 13 bits are not looked at
  using Kept = uint32_t;
  using Number = float;
  static float number(Kept x) { return std::bit_cast<float>(x & 0xffffe000); }
};
struct F32 {
  using Kept = uint32_t;
  using Number = float;
  static float number(Kept x) { return std::bit_cast<float>(x); }
  static Kept keep(float x) {
    const auto bits = std::bit_cast<uint32_t>(x);
    return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fffffff : bits;
  }
};
struct F64 {
  using Kept = uint64_t;
  using Number = double;
  static double number(Kept x) { return std::bit_cast<double>(x); }
  static Kept keep(double x) { return std::bit_cast<uint64_t>(x); }
};
struct S32 {
  using Kept = uint32_t;
  using Number = int32_t;
  static int32_t number(Kept x) { return int32_t(x); }
  static Kept keep(int32_t x) { return uint32_t(x); }
};
template <class T>
struct Byte {
  using Kept = T;
  using Number = int32_t;
  static int32_t number(Kept x) { return x; }
};
using S8 = Byte<int8_t>;
using U8 = Byte<uint8_t>;

template <class E>
inline constexpr int kTileWidth = sizeof(typename E::Kept) == 8
                                      ? 4
                                      : 16 / int(sizeof(typename E::Kept));

/// A fragment of a or b, as numbers.
template <class E, int R, int C>
void unpack(Warp& w, const Row* registers, typename E::Number (&to)[R][C]) {
  using Kept = typename E::Kept;
  constexpr int kWidth = kTileWidth<E>, kDown = R / 8;
  for (int t = 0; t < R * C / (8 * kWidth); ++t) {
    Kept tile[8][kWidth];
    std::memcpy(tile, w.row<Kept>(registers[t]), sizeof tile);
    for (int r = 0; r < 8; ++r)
      for (int c = 0; c < kWidth; ++c)
        to[t % kDown * 8 + r][t / kDown * kWidth + c] = E::number(tile[r][c]);
  }
}

/// A fragment of c.
template <class E, int R, int C>
void unpack_sums(Warp& w, const Row* registers, typename E::Number (&to)[R][C]) {
  using Kept = typename E::Kept;
  if constexpr (sizeof(Kept) == 2) return unpack<E>(w, registers, to);
  for (int t = 0; t < R * C / 64; ++t) {
    const Kept* even = w.row<Kept>(registers[2 * t]);
    const Kept* odd = w.row<Kept>(registers[2 * t + 1]);
    Kept tile[64];
    SIM_LANES tile[2 * l] = even[l], tile[2 * l + 1] = odd[l];
    for (int r = 0; r < 8; ++r)
      for (int c = 0; c < 8; ++c)
        to[t % (R / 8) * 8 + r][t / (R / 8) * 8 + c] = E::number(tile[8 * r + c]);
  }
}

/// A fragment of d.
template <class E, int R, int C>
void pack_sums(Warp& w, const Row* registers, const typename E::Number (&from)[R][C]) {
  using Kept = typename E::Kept;
  for (int t = 0; t < R * C / 64; ++t) {
    Kept tile[64];
    for (int r = 0; r < 8; ++r)
      for (int c = 0; c < 8; ++c)
        tile[8 * r + c] = E::keep(from[t % (R / 8) * 8 + r][t / (R / 8) * 8 + c]);
    if constexpr (sizeof(Kept) == 2) {
      std::memcpy(w.row(registers[t]), tile, sizeof tile);
    } else {
      Kept* even = w.row<Kept>(registers[2 * t]);
      Kept* odd = w.row<Kept>(registers[2 * t + 1]);
      SIM_LANES even[l] = tile[2 * l], odd[l] = tile[2 * l + 1];
    }
  }
}

/// Eight numbers in a row.
template <class X>
struct Eight {
  using Vector [[gnu::vector_size(8 * sizeof(X))]] = X;
  static Vector load(const X* from) {
    Vector v;
    std::memcpy(&v, from, sizeof v);
    return v;
  }
};

/// d += a b. A card's order of sums is not documented; here each begins with c and takes k one
/// after the other, rounded to nearest at every step. Products are exact: f32 holds those of 11-bit
/// numbers.
template <int M, int N, int K, class X>
void accumulate(const X (&a)[M][K], const X (&b)[K][N], X (&d)[M][N]) {
  using Vector = typename Eight<X>::Vector;
  constexpr int kRows = 8;  // sums that the host's registers hold
  for (int m = 0; m < M; m += kRows)
    for (int n = 0; n < N; n += 8) {
      Vector sums[kRows];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) sums[r] = Eight<X>::load(&d[m + r][n]);
      for (int k = 0; k < K; ++k) {
        const Vector row = Eight<X>::load(&b[k][n]);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) sums[r] += a[m + r][k] * row;
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) std::memcpy(&d[m + r][n], &sums[r], sizeof(Vector));
    }
}

/// In f64 products are not exact: one rounding for both.
template <int M, int N, int K>
void accumulate(const double (&a)[M][K], const double (&b)[K][N], double (&d)[M][N]) {
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n)
      for (int k = 0; k < K; ++k) d[m][n] = std::fma(a[m][k], b[k][n], d[m][n]);
}

/// Adds c to integer sums: modulo 2^32, or held to the range.
template <int M, int N>
void add_integers(const int32_t (&c)[M][N], int32_t (&d)[M][N], bool saturate) {
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) {
      const int64_t sum = int64_t(c[m][n]) + d[m][n];
      const int64_t held = sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum;
      d[m][n] = int32_t(saturate ? held : sum);
    }
}

/// i.rows: registers of d, a, b, c; i.option: integers are held to their range.
template <int M, int N, int K, class D, class A, class B, class C>
void multiply(Warp& w, const Inst& i, uint32_t mask) {
  using X = typename D::Number;
  if (!whole_warp(w, mask)) return;
  constexpr auto wide = [](int size) {
    return size == 2 ? 64 : 32;
  };  // numbers of a register of c, d
  const Row* at_a = i.rows + M * N / wide(sizeof(typename D::Kept));
  const Row* at_b = at_a + M * K / (8 * kTileWidth<A>);
  const Row* at_c = at_b + N * K / (8 * kTileWidth<B>);
  alignas(64) X a[M][K], turned[N][K], b[K][N], c[M][N], d[M][N] = {};
  unpack<A>(w, at_a, a);
  unpack<B>(w, at_b, turned);
  for (int n = 0; n < N; ++n)
    for (int k = 0; k < K; ++k) b[k][n] = turned[n][k];
  if constexpr (std::is_integral_v<X>) {
    accumulate(a, b, d);
    unpack_sums<C>(w, at_c, c);
    add_integers(c, d, i.option);
  } else {
    unpack_sums<C>(w, at_c, d);
    accumulate(a, b, d);
  }
  pack_sums<D>(w, i.rows, d);
}

}  // namespace tensor
}  // namespace sim
