// Softmax, cross entropy and sums on CUDA against the f64 reference, around the edges of vectors,
// warps, blocks and tiles.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernels/elementwise.h"
#include "kernels/loss.h"
#include "kernels/matmul.h"
#include "kernels/softmax.h"
#include "tests/kernels/on_device.h"
#include "tests/kernels/values.h"

#ifdef NOISETTE_CUDA

namespace noisette {
namespace {

using test::cast;
using test::expect_close;
using test::magnitude;
using test::OnDevice;
using test::random_values;

struct Matrix {
  int64_t rows, cols;
};
std::string name_of(const testing::TestParamInfo<Matrix>& info) {
  return "r" + std::to_string(info.param.rows) + "x" + std::to_string(info.param.cols);
}

class CudaRows : public test::NeedsCuda<testing::TestWithParam<Matrix>> {
 protected:
  template <class T>
  void softmax_matches_f64() {
    const auto [rows, cols] = GetParam();
    const auto x = random_values(rows * cols, 1), dy = random_values(rows * cols, 2);
    std::vector<double> y(x), dx(x);
    cpu::softmax_forward(x.data(), y.data(), rows, cols);
    const OnDevice on_x(cast<T>(x)), on_y(cast<T>(x)), on_dy(cast<T>(dy)), on_dx(cast<T>(x));
    cuda::softmax_forward(on_x.get(), on_y.get(), rows, cols);
    cuda::softmax_backward(on_y.get(), on_dy.get(), on_dx.get(), rows, cols);
    const double rounding = std::is_same_v<T, float> ? 0x1p-20 : 0x1p-8;
    const auto got = on_y.back();
    expect_close(got, y, rounding, 0, "y");
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = double(float(got[i]));
    cpu::softmax_backward(y.data(), dy.data(), dx.data(), rows, cols);
    expect_close(on_dx.back(), dx, rounding, 1e-7, "dx");
  }
  template <class T>
  void cross_entropy_matches_f64() {
    const auto [rows, cols] = GetParam();
    const auto x = random_values(rows * cols, 1), dloss = random_values(rows, 2);
    std::vector<int64_t> label;
    for (int64_t n = 0; n < rows; ++n) label.push_back(n * 5 % cols);
    std::vector<double> loss(dloss), dx(x);
    cpu::cross_entropy_forward(x.data(), label.data(), loss.data(), rows, cols);
    cpu::cross_entropy_backward(x.data(), label.data(), dloss.data(), dx.data(), rows, cols);
    const OnDevice on_x(cast<T>(x)), on_dx(cast<T>(x)), on_label(label);
    const OnDevice on_loss(cast<float>(dloss)), on_dloss(cast<float>(dloss));
    cuda::cross_entropy_forward(on_x.get(), on_label.get(), on_loss.get(), rows, cols);
    cuda::cross_entropy_backward(on_x.get(), on_label.get(), on_dloss.get(), on_dx.get(), rows,
                                 cols);
    const double rounding = std::is_same_v<T, float> ? 0x1p-20 : 0x1p-8;
    expect_close(on_loss.back(), loss, 0x1p-20, 2e-6, "loss");
    expect_close(on_dx.back(), dx, rounding, 1e-6, "dx");
  }
  template <class T>
  void sums_match_f64() {
    const auto [rows, cols] = GetParam();
    const auto x = random_values(rows * cols, 1), size = magnitude(x),
               start = random_values(cols, 2);
    std::vector<double> down(start), bound(static_cast<std::size_t>(cols)), total(1);
    cpu::column_sum(x.data(), down.data(), rows, cols, true);
    cpu::column_sum(size.data(), bound.data(), rows, cols, false);
    const OnDevice on_x(cast<T>(x)), on_down(cast<float>(start)), on_total(cast<float>(total));
    cuda::column_sum(on_x.get(), on_down.get(), rows, cols, true);
    const auto got = on_down.back();
    for (std::size_t c = 0; c < down.size(); ++c)
      ASSERT_NEAR(double(got[c]), down[c], 0x1p-20 * (bound[c] + std::abs(start[c]))) << c;
    cpu::sum_forward(x.data(), total.data(), 1.0, rows * cols);
    cuda::sum_forward<T>(on_x.get(), on_total.get(), 1.0, rows * cols);
    expect_close(on_total.back(), total, 0x1p-23, 1e-9, "sum");
  }
};

TEST_P(CudaRows, SoftmaxF32MatchesF64) { softmax_matches_f64<float>(); }
TEST_P(CudaRows, SoftmaxBf16MatchesF64) { softmax_matches_f64<bfloat16>(); }
TEST_P(CudaRows, CrossEntropyF32MatchesF64) { cross_entropy_matches_f64<float>(); }
TEST_P(CudaRows, CrossEntropyBf16MatchesF64) { cross_entropy_matches_f64<bfloat16>(); }
TEST_P(CudaRows, SumsF32MatchF64) { sums_match_f64<float>(); }
TEST_P(CudaRows, SumsBf16MatchF64) { sums_match_f64<bfloat16>(); }

INSTANTIATE_TEST_SUITE_P(Shapes, CudaRows,
                         testing::Values(Matrix{1, 1}, Matrix{9, 7}, Matrix{8, 8}, Matrix{70, 77},
                                         Matrix{3, 129}, Matrix{5, 256}, Matrix{2, 1025},
                                         Matrix{3, 1032}, Matrix{2, 8200}, Matrix{1000, 8},
                                         Matrix{5000, 33}, Matrix{20000, 16}),
                         name_of);

}  // namespace
}  // namespace noisette

#endif
