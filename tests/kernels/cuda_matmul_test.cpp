// Products by tiles against the f64 reference, around the edges of the tiles: bf16 on tensor cores,
// f32 by multiply-adds and in tf32.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/products.h"
#include "kernels/cuda/runtime.h"
#include "kernels/matmul.h"
#include "kernels/shape.h"
#include "tests/kernels/on_device.h"
#include "tests/kernels/values.h"

#ifdef NOISETTE_CUDA

namespace noisette {
namespace {

using test::cast;
using test::OnDevice;
using test::random_values;
using test::value;

class CudaMatmul : public test::NeedsCuda<testing::TestWithParam<MatmulDims>> {};

TEST_P(CudaMatmul, Bf16MatchesF64) {
  for (const int transposes : {0, 1, 2, 3}) {
    MatmulDims d = GetParam();
    d.trans_a = transposes & 1, d.trans_b = transposes & 2;
    const auto a = random_values(d.a_numel(), 1), b = random_values(d.b_numel(), 2);
    const auto bias = random_values(d.n, 3), residual = random_values(d.c_numel(), 4);
    std::vector<double> want(std::size_t(d.c_numel())), sums(want.size());
    cpu::matmul(a.data(), b.data(), bias.data(), residual.data(), want.data(), d);
    cpu::matmul<double>(a.data(), b.data(), nullptr, nullptr, sums.data(), d);

    const OnDevice on_a(cast<bfloat16>(a)), on_b(cast<bfloat16>(b)), c(cast<bfloat16>(residual));
    const OnDevice on_bias(cast<float>(bias)), total(cast<float>(residual));
    cuda::matmul(on_a.get(), on_b.get(), on_bias.get(), c.get(), c.get(), d);
    cuda::matmul_accumulate(on_a.get(), on_b.get(), total.get(), true, d);
    const auto got = c.back();
    const auto got_sums = total.back();
    // bf16 inputs multiply exactly; sums of k terms in f32 stay within k roundings, in practice a
    // few.
    const double of_sums = 1e-6 * std::sqrt(double(d.k)) + 1e-5;
    for (std::size_t i = 0; i < want.size(); ++i) {
      ASSERT_NEAR(value(got[i]), want[i], 0x1p-8 * std::abs(want[i]) + of_sums)
          << "at " << i << ", transposes " << transposes;
      ASSERT_NEAR(double(got_sums[i]), sums[i] + residual[i], of_sums + 1e-6 * std::abs(sums[i]))
          << "at " << i << ", transposes " << transposes;
    }
  }
}

/// Numbers of f32 that bf16 and tf32 round.
std::vector<double> fine_values(int64_t n, int stream) {
  std::vector<double> v = random_values(n, stream);
  for (double& x : v) x = double(float(0.7 * x));
  return v;
}

/// Largest distance of c and of the accumulated sums from the f64 reference, over all transposes.
double error_of(MatmulDims d) {
  double largest = 0;
  for (const int transposes : {0, 1, 2, 3}) {
    d.trans_a = transposes & 1, d.trans_b = transposes & 2;
    const auto a = fine_values(d.a_numel(), 1), b = fine_values(d.b_numel(), 2);
    const auto bias = random_values(d.n, 3), residual = random_values(d.c_numel(), 4);
    std::vector<double> want(residual), sums(want.size());
    cpu::matmul(a.data(), b.data(), bias.data(), residual.data(), want.data(), d);
    cpu::matmul<double>(a.data(), b.data(), nullptr, nullptr, sums.data(), d);
    const OnDevice on_a(cast<float>(a)), on_b(cast<float>(b)), c(cast<float>(residual));
    const OnDevice on_bias(cast<float>(bias)), total(cast<float>(residual));
    cuda::matmul(on_a.get(), on_b.get(), on_bias.get(), c.get(), c.get(), d);
    cuda::matmul_accumulate(on_a.get(), on_b.get(), total.get(), true, d);
    const auto got = c.back(), got_sums = total.back();
    for (std::size_t i = 0; i < want.size(); ++i) {
      largest = std::max(largest, std::abs(double(got[i]) - want[i]));
      largest = std::max(largest, std::abs(double(got_sums[i]) - sums[i] - residual[i]));
    }
  }
  return largest;
}

TEST_P(CudaMatmul, F32MatchesF64) {
  const double k = double(GetParam().k);
  // Chains of up to 512 terms of size one in one sum: measured up to 3.7e-5 with 1032 terms.
  EXPECT_LT(error_of(GetParam()), 2e-6 * std::sqrt(k));
}

TEST_P(CudaMatmul, Tf32RoundsFactorsAlone) {
  const double k = double(GetParam().k);
  cuda::allow_tf32(true);
  const double error = error_of(GetParam());
  cuda::allow_tf32(false);
  // Each factor of size one is off by up to 2^-11; signs are random.
  EXPECT_LT(error, 0x1p-10 * 4 * std::sqrt(k));
  if (GetParam().k % 8 == 0 && GetParam().m % 8 == 0) {
    EXPECT_GT(error, 1e-5) << "tensor cores were not used";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, CudaMatmul,
    testing::Values(MatmulDims{.m = 128, .n = 128, .k = 32}, MatmulDims{.m = 16, .n = 16, .k = 16},
                    MatmulDims{.m = 136, .n = 120, .k = 40},
                    MatmulDims{.m = 264, .n = 136, .k = 72},
                    MatmulDims{.m = 24, .n = 328, .k = 1032},  // a long sum, in parts
                    MatmulDims{.batch = 3, .m = 40, .n = 24, .k = 56},
                    MatmulDims{.m = 33, .n = 17, .k = 19}),  // rows of no whole chunks
    [](const auto& info) {
      const MatmulDims& d = info.param;
      return "b" + std::to_string(d.batch) + "_m" + std::to_string(d.m) + "_n" +
             std::to_string(d.n) + "_k" + std::to_string(d.k);
    });

/// Grids of at most three blocks along their second and third axis.
class CudaSmallGrids : public test::NeedsCuda<testing::Test> {
 protected:
  CudaSmallGrids() { gemm_most_ = std::exchange(cuda::gemm::most_blocks, 3); }
  ~CudaSmallGrids() override { cuda::gemm::most_blocks = gemm_most_; }

 private:
  int64_t gemm_most_;
};

TEST_F(CudaSmallGrids, ProductsTakeSeveralLaunches) {
  // Rows of tiles, products, and parts of a long sum.
  for (const MatmulDims& d :
       {MatmulDims{.m = 900, .n = 24, .k = 16}, MatmulDims{.batch = 7, .m = 400, .n = 16, .k = 24},
        MatmulDims{.batch = 2, .m = 16, .n = 16, .k = 1500}})
    EXPECT_LT(error_of(d), 2e-6 * std::sqrt(double(d.k))) << d.batch << " x " << d.m;
}

/// Shape of a product of x [m, k] and weights [n, k], and rows that share one of the residual.
struct End {
  int64_t m, n, k, shared;
};
class CudaEnds : public test::NeedsCuda<testing::TestWithParam<End>> {};

/// n numbers on the device, from an address that may be odd.
template <class T>
class Room {
 public:
  Room(int64_t n, int64_t moved) : all_(std::vector<T>(std::size_t(n + moved))), moved_(moved) {}
  T* get() const { return all_.get() + moved_; }
  std::vector<double> back() const {
    const std::vector<T> v = all_.back();
    return test::values(std::vector<T>(v.begin() + moved_, v.end()));
  }

 private:
  OnDevice<T> all_;
  int64_t moved_;
};

/// What is done in one kernel gives the bits of several; at addresses `moved` by an element it is
/// several.
template <class T>
void check_ends(const End& e, int64_t moved) {
  const MatmulDims d{.m = e.m, .n = e.n, .k = e.k, .trans_b = true};
  const OnDevice a(cast<T>(random_values(d.a_numel(), 1))),
      b(cast<T>(random_values(d.b_numel(), 2)));
  const OnDevice bias(cast<float>(random_values(d.n, 3)));
  const OnDevice few(cast<T>(random_values((e.m + e.shared - 1) / e.shared * e.n, 4)));
  const Room<T> s(d.c_numel(), moved), f(d.c_numel(), moved), before(d.c_numel(), moved);

  cuda::repeat_rows(few.get(), f.get(), e.shared, e.m, e.n);
  cuda::matmul(a.get(), b.get(), bias.get(), f.get(), s.get(), d);
  const Room<T> c(d.c_numel(), moved);
  cuda::matmul(a.get(), b.get(), bias.get(), few.get(), c.get(), d, e.shared);
  EXPECT_EQ(c.back(), s.back()) << "a residual of fewer rows";

  for (const Activation kind :
       {Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::quick_gelu}) {
    cuda::activation_forward(s.get(), f.get(), d.c_numel(), kind);
    for (T* const keep : {before.get(), static_cast<T*>(nullptr)}) {
      const Room<T> y(d.c_numel(), moved);
      cuda::matmul_activation(a.get(), b.get(), bias.get(), few.get(), keep, y.get(), kind, d,
                              e.shared);
      EXPECT_EQ(y.back(), f.back()) << "activation " << int(kind);
    }
    EXPECT_EQ(before.back(), s.back());
  }
  if (e.n % 2 != 0) return;
  const Room<T> g(d.c_numel() / 2, moved);
  cuda::matmul<T>(a.get(), b.get(), bias.get(), nullptr, s.get(), d);
  cuda::geglu_forward(s.get(), g.get(), d.m, d.n / 2);
  for (T* const keep : {before.get(), static_cast<T*>(nullptr)}) {
    const Room<T> y(d.c_numel() / 2, moved);
    cuda::matmul_geglu(a.get(), b.get(), bias.get(), keep, y.get(), d);
    EXPECT_EQ(y.back(), g.back());
  }
  EXPECT_EQ(before.back(), s.back());
}

TEST_P(CudaEnds, Bf16IsSeveralKernels) { check_ends<bfloat16>(GetParam(), 0); }
TEST_P(CudaEnds, F32IsSeveralKernels) { check_ends<float>(GetParam(), 0); }
TEST_P(CudaEnds, Tf32IsSeveralKernels) {
  cuda::allow_tf32(true);
  check_ends<float>(GetParam(), 0);
  cuda::allow_tf32(false);
}
TEST_P(CudaEnds, OddAddresses) { check_ends<bfloat16>(GetParam(), 1); }

INSTANTIATE_TEST_SUITE_P(
    Shapes, CudaEnds,
    testing::Values(End{128, 128, 64, 8}, End{127, 136, 40, 127}, End{129, 264, 72, 43},
                    End{16, 120, 16, 4},     // fewer columns than a tile of pairs
                    End{40, 132, 24, 7},     // halves that do not end with chunks
                    End{24, 160, 1032, 24},  // sums in parts, added up by the last block
                    End{17, 128, 4616, 5},   // and by another kernel
                    End{1, 1, 1, 1}, End{8, 256, 64, 2}, End{33, 18, 19, 11}, End{0, 128, 64, 1},
                    End{20, 128, 0, 5}),
    [](const auto& info) {
      const End& e = info.param;
      return "m" + std::to_string(e.m) + "_n" + std::to_string(e.n) + "_k" + std::to_string(e.k);
    });

}  // namespace
}  // namespace noisette

#endif
