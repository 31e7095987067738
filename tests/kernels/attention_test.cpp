#include "kernels/attention.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "kernels/philox.h"

namespace noisette {
namespace {

constexpr double kSentinel = 12288.0;  // exact in every type; no result comes near it

/// Standard normal values, rounded to T so that f64 and T start from the same numbers.
template <class T>
std::vector<T> normal(int64_t n, uint64_t index, double spread = 1) {
  std::vector<T> x;
  for (int64_t i = 0; i < n; ++i) {
    const PhiloxBlock b = philox_block({7, Purpose::kTest}, index, uint32_t(i));
    const double radius = std::sqrt(-2 * std::log(double(uniform_open(b[0]))));
    x.push_back(T(acc_t<T>(spread * radius * std::cos(2 * M_PI * double(uniform(b[1]))))));
  }
  return x;
}

struct Case {
  std::string name;
  int64_t batch, queries, keys, heads, head_dim;
  bool causal = false;
  double spread = 1;  // of q and k
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

/// Everything attention reads and writes, in rows a little longer than needed; the rest holds
/// sentinels.
template <class T>
struct Problem {
  explicit Problem(const Case& c) {
    const int64_t width = c.heads * c.head_dim;
    d = {c.batch,
         c.queries,
         c.keys,
         c.heads,
         c.head_dim,
         width + 3,
         width + 5,
         width + 7,
         width + 2,
         c.causal,
         1 / std::sqrt(double(c.head_dim))};
    q = normal<T>(c.batch * c.queries * d.q_stride, 1, c.spread);
    k = normal<T>(c.batch * c.keys * d.k_stride, 2, c.spread);
    v = normal<T>(c.batch * c.keys * d.v_stride, 3);
    dout = normal<T>(c.batch * c.queries * d.o_stride, 4);
    const T sentinel{acc_t<T>(kSentinel)};
    o.assign(dout.size(), sentinel);
    dq.assign(q.size(), sentinel);
    dk.assign(k.size(), sentinel);
    dv.assign(v.size(), sentinel);
    lse.assign(std::size_t(c.batch * c.heads * c.queries), 0);
  }
  void run() {
    cpu::attention_forward<T>(q.data(), k.data(), v.data(), o.data(), lse.data(), d);
    cpu::attention_backward<T>(q.data(), k.data(), v.data(), o.data(), lse.data(), dout.data(),
                               dq.data(), dk.data(), dv.data(), d);
  }
  AttentionDims d;
  std::vector<T> q, k, v, o, dout, dq, dk, dv;
  std::vector<acc_t<T>> lse;
};

/// The definition and its derivative with every score stored, in f64.
template <class T>
Problem<double> expected(const Case& c, const Problem<T>& x) {
  Problem<double> y(c);
  const auto widen = [](const std::vector<T>& from, std::vector<double>& to) {
    for (std::size_t i = 0; i < from.size(); ++i) to[i] = double(acc_t<T>(from[i]));
  };
  widen(x.q, y.q), widen(x.k, y.k), widen(x.v, y.v), widen(x.dout, y.dout);
  const AttentionDims& d = y.d;
  for (int64_t n = 0; n < d.batch; ++n)
    for (int64_t h = 0; h < d.heads; ++h) {
      const auto place = [&](int64_t length, int64_t stride) {
        return [=, &d](int64_t row, int64_t e) {
          return std::size_t((n * length + row) * stride + h * d.head_dim + e);
        };
      };
      const auto q = place(d.queries, d.q_stride), o = place(d.queries, d.o_stride);
      const auto k = place(d.keys, d.k_stride), v = place(d.keys, d.v_stride);
      for (int64_t e = 0; e < d.head_dim; ++e) {
        for (int64_t i = 0; i < d.queries; ++i) y.o[o(i, e)] = y.dq[q(i, e)] = 0;
        for (int64_t j = 0; j < d.keys; ++j) y.dk[k(j, e)] = y.dv[v(j, e)] = 0;
      }
      for (int64_t i = 0; i < d.queries; ++i) {
        const int64_t visible = d.causal ? std::min(d.keys, i + 1) : d.keys;
        std::vector<double> p(visible), dp(visible);
        double top = -INFINITY, sum = 0, mean = 0;
        for (int64_t j = 0; j < visible; ++j) {
          for (int64_t e = 0; e < d.head_dim; ++e) p[j] += d.scale * y.q[q(i, e)] * y.k[k(j, e)];
          top = std::max(top, p[j]);
        }
        for (double& s : p) sum += s = std::exp(s - top);
        y.lse[(n * d.heads + h) * d.queries + i] = top + std::log(sum);
        for (int64_t j = 0; j < visible; ++j) {
          p[j] /= sum;
          for (int64_t e = 0; e < d.head_dim; ++e) {
            y.o[o(i, e)] += p[j] * y.v[v(j, e)];
            y.dv[v(j, e)] += p[j] * y.dout[o(i, e)];
            dp[j] += y.dout[o(i, e)] * y.v[v(j, e)];
          }
          mean += p[j] * dp[j];
        }
        for (int64_t j = 0; j < visible; ++j)
          for (int64_t e = 0; e < d.head_dim; ++e) {
            y.dq[q(i, e)] += d.scale * p[j] * (dp[j] - mean) * y.k[k(j, e)];
            y.dk[k(j, e)] += d.scale * p[j] * (dp[j] - mean) * y.q[q(i, e)];
          }
      }
    }
  return y;
}

/// Largest difference as a multiple of the largest expected magnitude (at least `floor`: with one
/// key dq and dk are zero, the difference of two terms of order one).
template <class T>
double error(const std::vector<T>& got, const std::vector<double>& want, double floor = 0) {
  double difference = 0, size = floor;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double x = double(acc_t<T>(got[i]));
    if (want[i] == kSentinel) {
      EXPECT_EQ(x, kSentinel) << "written outside the row, at " << i;
      continue;
    }
    if (!std::isfinite(want[i]) && want[i] == x) continue;
    if (!std::isfinite(x)) return INFINITY;
    difference = std::max(difference, std::abs(x - want[i]));
    size = std::max(size, std::abs(want[i]));
  }
  return size == 0 ? difference : difference / size;
}

template <class T>
void expect_matches(const Case& c, double tolerance, double lse_tolerance) {
  Problem<T> x(c);
  const Problem<double> y = expected(c, x);
  x.run();
  EXPECT_LE(error(x.o, y.o), tolerance);
  EXPECT_LE(error(x.lse, y.lse, 1.0), lse_tolerance);
  EXPECT_LE(error(x.dq, y.dq, 0.1), tolerance);
  EXPECT_LE(error(x.dk, y.dk, 0.1), tolerance);
  EXPECT_LE(error(x.dv, y.dv), tolerance);
}

class Attention : public testing::TestWithParam<Case> {};

// Worst of all cases when written: f64 2.9e-15; f32 1.3e-6 (sums of up to 600 terms), lse 1.4e-7;
// bf16 5.4e-3, from rounding P, dS and the result to 8 bits (one rounding is 2e-3 to 4e-3).
TEST_P(Attention, MatchesDefinitionF64) { expect_matches<double>(GetParam(), 1e-14, 1e-15); }
TEST_P(Attention, MatchesDefinitionF32) { expect_matches<float>(GetParam(), 2.5e-6, 3e-7); }
TEST_P(Attention, MatchesDefinitionBf16) { expect_matches<bfloat16>(GetParam(), 1e-2, 3e-7); }

INSTANTIATE_TEST_SUITE_P(
    Shapes, Attention,
    testing::Values(Case{"one", 1, 1, 1, 1, 1}, Case{"one_key", 2, 5, 1, 2, 3},
                    Case{"one_query", 3, 1, 7, 1, 8}, Case{"odd", 2, 3, 5, 3, 7},
                    Case{"text", 2, 33, 77, 4, 40}, Case{"pixels14", 1, 196, 196, 1, 128},
                    Case{"two_key_tiles", 1, 70, 300, 2, 64}, Case{"long", 1, 530, 65, 1, 16},
                    Case{"vae", 1, 70, 130, 1, 512}, Case{"wide", 1, 41, 150, 1, 257},
                    Case{"tile_exact", 1, 64, 64, 1, 256}, Case{"tile_plus_one", 1, 65, 257, 1, 16},
                    Case{"causal", 2, 77, 77, 2, 64, true}, Case{"causal_one", 1, 1, 1, 1, 5, true},
                    Case{"causal_long", 1, 600, 600, 1, 33, true},
                    Case{"causal_few_keys", 1, 300, 70, 1, 20, true},
                    Case{"causal_few_queries", 1, 20, 300, 1, 20, true},
                    Case{"many_heads", 3, 17, 19, 8, 12}),
    [](const auto& info) { return info.param.name; });

template <class T>
class AttentionOf : public testing::Test {};
using Types = testing::Types<float, bfloat16, double>;
TYPED_TEST_SUITE(AttentionOf, Types);

template <class T>
bool all_finite(const std::vector<T>& x) {
  for (const T& value : x)
    if (!std::isfinite(double(acc_t<T>(value)))) return false;
  return true;
}

TYPED_TEST(AttentionOf, LargeLogitsStayFinite) {
  for (const bool causal : {false, true}) {
    const Case c{"", 1, 70, 300, 1, 24, causal, 300};  // scores up to about 1e6
    Problem<TypeParam> x(c);
    x.run();
    EXPECT_TRUE(all_finite(x.o) && all_finite(x.lse));
    EXPECT_TRUE(all_finite(x.dq) && all_finite(x.dk) && all_finite(x.dv));
  }
}

/// A softmax that is a choice: o is the row of v with the largest score.
TYPED_TEST(AttentionOf, OneDominantKeyIsCopied) {
  Problem<TypeParam> x({"", 1, 40, 300, 1, 16});
  for (auto& value : x.q) value = TypeParam{100};
  for (auto& value : x.k) value = TypeParam{-100};
  const int64_t chosen = 277;
  for (int64_t e = 0; e < 16; ++e) x.k[std::size_t(chosen * x.d.k_stride + e)] = TypeParam{100};
  x.run();
  for (int64_t i = 0; i < 40; ++i)
    for (int64_t e = 0; e < 16; ++e)
      EXPECT_EQ(acc_t<TypeParam>(x.o[std::size_t(i * x.d.o_stride + e)]),
                acc_t<TypeParam>(x.v[std::size_t(chosen * x.d.v_stride + e)]));
}

TYPED_TEST(AttentionOf, NanInAnInputReachesItsRows) {
  Problem<TypeParam> x({"", 1, 20, 40, 1, 24});
  x.q[std::size_t(3 * x.d.q_stride)] = TypeParam{std::numeric_limits<float>::quiet_NaN()};
  x.run();
  for (int64_t i = 0; i < 20; ++i)
    EXPECT_EQ(std::isnan(acc_t<TypeParam>(x.o[std::size_t(i * x.d.o_stride)])), i == 3) << i;
}

TYPED_TEST(AttentionOf, EmptyBatchQueriesAndKeys) {
  for (const Case& c :
       {Case{"", 0, 5, 5, 2, 8}, Case{"", 2, 0, 5, 2, 8}, Case{"", 2, 5, 0, 2, 8}}) {
    Problem<TypeParam> x(c);
    const Problem<double> y = expected(c, x);
    x.run();
    EXPECT_EQ(error(x.o, y.o), 0);
    EXPECT_EQ(error(x.lse, y.lse), 0);
    EXPECT_EQ(error(x.dq, y.dq), 0);
    EXPECT_EQ(error(x.dk, y.dk), 0);
    EXPECT_EQ(error(x.dv, y.dv), 0);
  }
}

template <class T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

TYPED_TEST(AttentionOf, BitEqualForAnyNumberOfThreads) {
  const int before = omp_get_max_threads();
  for (const Case& c : {Case{"", 1, 300, 200, 1, 24}, Case{"", 3, 70, 90, 8, 20}}) {
    omp_set_num_threads(1);
    Problem<TypeParam> one(c);
    one.run();
    for (const int threads : {2, 5}) {
      omp_set_num_threads(threads);
      Problem<TypeParam> many(c);
      many.run();
      EXPECT_TRUE(same_bytes(one.o, many.o) && same_bytes(one.lse, many.lse)) << threads;
      EXPECT_TRUE(same_bytes(one.dq, many.dq)) << threads;
      EXPECT_TRUE(same_bytes(one.dk, many.dk) && same_bytes(one.dv, many.dv)) << threads;
    }
  }
  omp_set_num_threads(before);
}

/// One image gives the same bits alone and in a batch.
TYPED_TEST(AttentionOf, ForwardDoesNotDependOnTheBatch) {
  const Case batch{"", 5, 100, 77, 2, 40}, alone{"", 1, 100, 77, 2, 40};
  Problem<TypeParam> x(batch), y(alone);
  x.run();
  y.run();
  x.o.resize(y.o.size());
  EXPECT_TRUE(same_bytes(x.o, y.o));
}

TYPED_TEST(AttentionOf, LogSumExpIsOptional) {
  Problem<TypeParam> x({"", 2, 9, 11, 2, 6}), y({"", 2, 9, 11, 2, 6});
  x.run();
  cpu::attention_forward<TypeParam>(y.q.data(), y.k.data(), y.v.data(), y.o.data(), nullptr, y.d);
  EXPECT_TRUE(same_bytes(x.o, y.o));
}

}  // namespace
}  // namespace noisette
