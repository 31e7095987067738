// One-dimensional transforms of Winograd's F(m, r): m outputs of a filter of r taps from m + r - 1
// multiplications, by the Toom-Cook construction. Lavin & Gray 2016, "Fast algorithms for
// convolutional neural networks", section 4, arXiv:1509.09308.
//
//   y = A^T ((G g) * (B^T d))      d [m + r - 1] inputs, g [r] filter, y [m] outputs
//
// Two dimensions apply each along rows and then along columns. The gradients of y to d and g are
// the transposes, so that the weight gradient needs A and G^T beside B^T. V is a vector of f32 or a
// float.
#pragma once
#include <cstdint>

namespace noisette::cpu::winograd {

/// The polynomial with coefficients c at the points p and -p.
template <int N, class V>
[[gnu::always_inline]] inline void evaluate(const V (&c)[N], float p, V& at_plus, V& at_minus) {
  V even = c[0] + (p * p) * c[2], odd = p * c[1];
  if constexpr (N == 4) odd += (p * p * p) * c[3];
  at_plus = even + odd;
  at_minus = even - odd;
}

/// F(4, 3) with the points 0, a, -a, b, -b and infinity. Lavin & Gray have a = 1, b = 2. With a =
/// 11/16, b = 3/2 the error of f32 is half of that (docs/winograd.md): among pairs near these it is
/// the smallest, and a^2, b^2 are exact.
struct ThreeTaps {
  static constexpr int kTile = 4, kTaps = 3, kPatch = 6, kPoints = kPatch * kPatch;

  static constexpr float kA = 0.6875f, kA2 = kA * kA, kA3 = kA2 * kA;
  static constexpr float kB = 1.5f, kB2 = kB * kB, kB3 = kB2 * kB;
  static constexpr float kProduct = kA2 * kB2, kSum = kA2 + kB2;
  /// 1 over the product of the differences to the other points, at 0, at +-a and at +-b.
  static constexpr float kAt0 = float(1.0 / kProduct);
  static constexpr float kAtA = float(1.0 / (2.0 * kA2 * (double(kA2) - kB2)));
  static constexpr float kAtB = float(1.0 / (2.0 * kB2 * (double(kB2) - kA2)));

  /// B^T d.
  template <class V>
  static void input(const V (&d)[6], V (&v)[6]) {
    const V even_a = d[4] - kB2 * d[2], odd_a = kA * d[3] - (kA * kB2) * d[1];
    const V even_b = d[4] - kA2 * d[2], odd_b = kB * d[3] - (kB * kA2) * d[1];
    v[0] = kProduct * d[0] - kSum * d[2] + d[4];
    v[1] = even_a + odd_a;
    v[2] = even_a - odd_a;
    v[3] = even_b + odd_b;
    v[4] = even_b - odd_b;
    v[5] = kProduct * d[1] - kSum * d[3] + d[5];
  }

  /// G g. Inlined, so that a caller pays for the points it uses.
  template <class V>
  [[gnu::always_inline]] static void filter(const V (&g)[3], V (&u)[6]) {
    evaluate(g, kA, u[1], u[2]);
    evaluate(g, kB, u[3], u[4]);
    u[0] = g[0] * kAt0;
    u[1] *= kAtA, u[2] *= kAtA;
    u[3] *= kAtB, u[4] *= kAtB;
    u[5] = g[2];
  }

  /// A^T m.
  template <class V>
  static void output(const V (&m)[6], V (&y)[4]) {
    const V sum_a = m[1] + m[2], difference_a = m[1] - m[2];
    const V sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    y[0] = m[0] + sum_a + sum_b;
    y[1] = kA * difference_a + kB * difference_b;
    y[2] = kA2 * sum_a + kB2 * sum_b;
    y[3] = kA3 * difference_a + kB3 * difference_b + m[5];
  }

  /// A y: the transpose of output.
  template <class V>
  static void output_transposed(const V (&y)[4], V (&m)[6]) {
    evaluate(y, kA, m[1], m[2]);
    evaluate(y, kB, m[3], m[4]);
    m[0] = y[0];
    m[5] = y[3];
  }

  /// G^T u: the transpose of filter.
  template <class V>
  static void filter_transposed(const V (&u)[6], V (&g)[3]) {
    const V sum_a = (u[1] + u[2]) * kAtA, sum_b = (u[3] + u[4]) * kAtB;
    g[0] = u[0] * kAt0 + sum_a + sum_b;
    g[1] = (u[1] - u[2]) * (kA * kAtA) + (u[3] - u[4]) * (kB * kAtB);
    g[2] = sum_a * kA2 + sum_b * kB2 + u[5];
  }
};

/// What the schemes with the points 0, 1, -1 and infinity share.
struct FourPoints {
  static constexpr int kPatch = 4, kPoints = kPatch * kPatch;

  /// B^T d.
  template <class V>
  static void input(const V (&d)[4], V (&v)[4]) {
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[3] - d[1];
  }
};

/// F(2, 3): saves less than F(4, 3) and rounds a third as much.
struct ThreeTapsSmall : FourPoints {
  static constexpr int kTile = 2, kTaps = 3;

  /// G g. Inlined, so that a caller pays for the points it uses.
  template <class V>
  [[gnu::always_inline]] static void filter(const V (&g)[3], V (&u)[4]) {
    evaluate(g, 1.0f, u[1], u[2]);
    u[0] = g[0];
    u[1] *= 0.5f, u[2] *= 0.5f;
    u[3] = g[2];
  }

  /// A^T m.
  template <class V>
  static void output(const V (&m)[4], V (&y)[2]) {
    y[0] = m[0] + (m[1] + m[2]);
    y[1] = m[1] - m[2] + m[3];
  }

  /// A y: the transpose of output.
  template <class V>
  static void output_transposed(const V (&y)[2], V (&m)[4]) {
    m[0] = y[0];
    m[1] = y[0] + y[1];
    m[2] = y[0] - y[1];
    m[3] = y[1];
  }

  /// G^T u: the transpose of filter.
  template <class V>
  static void filter_transposed(const V (&u)[4], V (&g)[3]) {
    const V half_sum = 0.5f * (u[1] + u[2]);
    g[0] = u[0] + half_sum;
    g[1] = 0.5f * (u[1] - u[2]);
    g[2] = half_sum + u[3];
  }
};

/// F(3, 2): for the 2x2 convolutions that upsampling is made of.
struct TwoTaps : FourPoints {
  static constexpr int kTile = 3, kTaps = 2;

  /// G g. Inlined, so that a caller pays for the points it uses.
  template <class V>
  [[gnu::always_inline]] static void filter(const V (&g)[2], V (&u)[4]) {
    u[0] = g[0];
    u[1] = 0.5f * (g[0] + g[1]);
    u[2] = 0.5f * (g[0] - g[1]);
    u[3] = g[1];
  }

  /// A^T m.
  template <class V>
  static void output(const V (&m)[4], V (&y)[3]) {
    const V sum = m[1] + m[2];
    y[0] = m[0] + sum;
    y[1] = m[1] - m[2];
    y[2] = sum + m[3];
  }

  /// A y: the transpose of output.
  template <class V>
  static void output_transposed(const V (&y)[3], V (&m)[4]) {
    evaluate(y, 1.0f, m[1], m[2]);
    m[0] = y[0];
    m[3] = y[2];
  }

  /// G^T u: the transpose of filter.
  template <class V>
  static void filter_transposed(const V (&u)[4], V (&g)[2]) {
    g[0] = u[0] + 0.5f * (u[1] + u[2]);
    g[1] = u[3] + 0.5f * (u[1] - u[2]);
  }
};

}  // namespace noisette::cpu::winograd
