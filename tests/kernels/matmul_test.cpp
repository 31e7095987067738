#include "kernels/matmul.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "tests/kernels/values.h"

namespace noisette {
namespace {

using test::cast;
using test::random_values;
using test::value;
using test::values;

/// The product by its definition, and the sum of the magnitudes of its terms.
struct Exact {
  std::vector<double> c, magnitude;

  Exact(const std::vector<double>& a, const std::vector<double>& b, const MatmulDims& d)
      : c(size_t(d.c_numel())), magnitude(c.size()) {
    size_t at = 0;
    for (int64_t s = 0; s < d.batch; ++s)
      for (int64_t i = 0; i < d.m; ++i)
        for (int64_t j = 0; j < d.n; ++j, ++at)
          for (int64_t l = 0; l < d.k; ++l) {
            const double p = a[size_t(s * d.m * d.k + (d.trans_a ? l * d.m + i : i * d.k + l))];
            const double q = b[size_t(s * d.k * d.n + (d.trans_b ? j * d.k + l : l * d.n + j))];
            c[at] += p * q;
            magnitude[at] += std::abs(p * q);
          }
  }
  void add(size_t i, double v) {
    c[i] += v;
    magnitude[i] += std::abs(v);
  }
};

/// The bound of conv_test.cpp: half a unit of the result's type, and 2^-20 of the terms' magnitudes
/// for f32 sums in any order (in f64, 2^-45).
template <class T>
void expect_close(const std::vector<T>& got, const Exact& want, const char* what) {
  const double rounding = std::is_same_v<T, bfloat16> ? 0x1p-8 : 0;
  const double sums = std::is_same_v<T, double> ? 0x1p-45 : 0x1p-20;
  ASSERT_EQ(got.size(), want.c.size());
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(value(got[i]), want.c[i],
                rounding * std::abs(want.c[i]) + sums * want.magnitude[i] + 1e-30)
        << what << " at " << i << " of " << got.size();
}

struct MatmulCase {
  std::string name;
  int64_t batch, m, n, k;
};

class Matmul : public testing::TestWithParam<std::tuple<MatmulCase, bool, bool>> {
 protected:
  MatmulDims dims() const {
    const auto& [c, trans_a, trans_b] = GetParam();
    return {c.batch, c.m, c.n, c.k, trans_a, trans_b};
  }

  template <class T>
  void check_all() {
    using A = acc_t<T>;
    const MatmulDims d = dims();
    const auto a = random_values(d.a_numel(), 1), b = random_values(d.b_numel(), 2);
    const auto bias = random_values(d.n, 3), residual = random_values(d.c_numel(), 4);
    const auto at = cast<T>(a), bt = cast<T>(b), rt = cast<T>(residual);
    const auto biast = cast<A>(bias);

    Exact want(a, b, d);
    std::vector<T> c = cast<T>(std::vector<double>(want.c.size(), 1234.5));
    cpu::matmul<T>(at.data(), bt.data(), nullptr, nullptr, c.data(), d);
    expect_close(c, want, "product");

    std::vector<A> sum = cast<A>(residual);
    cpu::matmul_accumulate(at.data(), bt.data(), sum.data(), false, d);
    expect_close(sum, want, "unrounded product");

    for (size_t i = 0; i < want.c.size(); ++i) want.add(i, residual[i]);
    sum = cast<A>(residual);
    cpu::matmul_accumulate(at.data(), bt.data(), sum.data(), true, d);
    expect_close(sum, want, "accumulated product");

    for (size_t i = 0; i < want.c.size(); ++i) want.add(i, bias[i % size_t(d.n)]);
    cpu::matmul(at.data(), bt.data(), biast.data(), rt.data(), c.data(), d);
    expect_close(c, want, "product with bias and residual");
    c = rt;
    cpu::matmul(at.data(), bt.data(), biast.data(), c.data(), c.data(), d);
    expect_close(c, want, "product with the residual in place");
    check_shared_residual(at, bt);
    check_ends(at, bt, biast, rt);
  }

  /// A row of the residual for several of the result.
  template <class T>
  void check_shared_residual(const std::vector<T>& a, const std::vector<T>& b) {
    const MatmulDims d = dims();
    const int64_t rows = d.batch * d.m, shared = rows % 5 == 0 ? 5 : rows;
    const auto residual = random_values(shared == 0 ? 0 : rows / shared * d.n, 5);
    Exact want(values(a), values(b), d);
    for (size_t i = 0; i < want.c.size(); ++i)
      want.add(i, residual[i / size_t(d.n) / size_t(shared) * size_t(d.n) + i % size_t(d.n)]);
    std::vector<T> c(want.c.size());
    const auto r = cast<T>(residual);
    cpu::matmul(a.data(), b.data(), none<T>(), r.data(), c.data(), d, shared);
    expect_close(c, want, "product with a residual of fewer rows");
  }
  template <class T>
  static const acc_t<T>* none() {
    return nullptr;
  }

  /// An activation or a gate after the product are the kernels for these, to the bit.
  template <class T>
  void check_ends(const std::vector<T>& a, const std::vector<T>& b,
                  const std::vector<acc_t<T>>& bias, const std::vector<T>& residual) {
    const MatmulDims d = dims();
    const T* const add = residual.data();
    std::vector<T> s(residual.size()), want(s.size()), kept(s.size()), c(s.size());
    for (const Activation kind :
         {Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::quick_gelu}) {
      cpu::matmul(a.data(), b.data(), bias.data(), add, s.data(), d);
      cpu::activation_forward(s.data(), want.data(), d.c_numel(), kind);
      cpu::matmul_activation(a.data(), b.data(), bias.data(), add, kept.data(), c.data(), kind, d);
      EXPECT_EQ(values(c), values(want));
      EXPECT_EQ(values(kept), values(s));
      c.assign(c.size(), T(0));
      cpu::matmul_activation<T>(a.data(), b.data(), bias.data(), add, nullptr, c.data(), kind, d);
      EXPECT_EQ(values(c), values(want)) << "nothing kept";
    }
    if (d.n % 2 != 0) return;
    cpu::matmul<T>(a.data(), b.data(), bias.data(), nullptr, s.data(), d);
    want.resize(s.size() / 2), c.resize(want.size());
    cpu::geglu_forward(s.data(), want.data(), d.batch * d.m, d.n / 2);
    cpu::matmul_geglu(a.data(), b.data(), bias.data(), kept.data(), c.data(), d);
    EXPECT_EQ(values(c), values(want));
    EXPECT_EQ(values(kept), values(s));
    c.assign(c.size(), T(0));
    cpu::matmul_geglu<T>(a.data(), b.data(), bias.data(), nullptr, c.data(), d);
    EXPECT_EQ(values(c), values(want)) << "nothing kept";
  }
};

TEST_P(Matmul, F64) { check_all<double>(); }
TEST_P(Matmul, F32) { check_all<float>(); }
TEST_P(Matmul, Bf16) { check_all<bfloat16>(); }

INSTANTIATE_TEST_SUITE_P(
    Shapes, Matmul,
    testing::Combine(
        testing::Values(MatmulCase{"One", 1, 1, 1, 1}, MatmulCase{"Even", 1, 32, 64, 48},
                        MatmulCase{"Odd", 1, 17, 31, 33}, MatmulCase{"ManyRows", 1, 1030, 24, 40},
                        MatmulCase{"ManyRowsOdd", 1, 1025, 3, 7},
                        MatmulCase{"Vector", 1, 1, 65, 129}, MatmulCase{"Column", 1, 70, 1, 9},
                        MatmulCase{"Batch", 3, 8, 16, 24}, MatmulCase{"BatchOdd", 5, 7, 9, 11},
                        MatmulCase{"EmptyBatch", 0, 3, 4, 5}, MatmulCase{"NoRows", 2, 0, 4, 5},
                        MatmulCase{"NoTerms", 2, 3, 4, 0}),
        testing::Bool(), testing::Bool()),
    [](const auto& info) {
      return std::get<0>(info.param).name + (std::get<1>(info.param) ? "_TransA" : "") +
             (std::get<2>(info.param) ? "_TransB" : "");
    });

template <class T>
void check_column_sum(int64_t rows, int64_t cols) {
  using A = acc_t<T>;
  const auto x = random_values(rows * cols, 1), start = random_values(cols, 2);
  const auto xt = cast<T>(x);
  for (const bool accumulate : {false, true}) {
    std::vector<A> out = cast<A>(start);
    cpu::column_sum(xt.data(), out.data(), rows, cols, accumulate);
    for (int64_t j = 0; j < cols; ++j) {
      double sum = accumulate ? start[size_t(j)] : 0, magnitude = std::abs(sum);
      for (int64_t i = 0; i < rows; ++i) {
        sum += x[size_t(i * cols + j)];
        magnitude += std::abs(x[size_t(i * cols + j)]);
      }
      ASSERT_NEAR(double(out[size_t(j)]), sum, 0x1p-22 * magnitude)
          << rows << " x " << cols << ", column " << j;
    }
  }
}

TEST(ColumnSum, MatchesTheDefinition) {
  for (const int64_t cols : {1, 2, 3, 15, 16, 17, 64, 130})
    for (const int64_t rows : {0, 1, 3, 31, 32, 33, 100, 1500}) {
      check_column_sum<float>(rows, cols);
      check_column_sum<bfloat16>(rows, cols);
      check_column_sum<double>(rows, cols);
    }
}

TEST(ColumnSum, DoesNotDependOnTheNumberOfThreads) {
  const int64_t rows = 3000;
  for (const int64_t cols : {1, 3, 33}) {
    const auto x = cast<float>(random_values(rows * cols, 1));
    std::vector<std::vector<float>> results;
    const int before = omp_get_max_threads();
    for (const int threads : {1, 2, 3}) {
      omp_set_num_threads(threads);
      results.emplace_back(size_t(cols));
      cpu::column_sum(x.data(), results.back().data(), rows, cols, false);
    }
    omp_set_num_threads(before);
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
  }
}

}  // namespace
}  // namespace noisette
