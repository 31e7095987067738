// Products on tensor cores against the f64 reference, around the edges of their tiles.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernels/matmul.h"
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

}  // namespace
}  // namespace noisette

#endif
