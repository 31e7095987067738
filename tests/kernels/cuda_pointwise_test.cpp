// Kernels that move and combine elements on CUDA against those of the CPU in the same type, with
// extents that allow vectors and such that do not.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/activation.h"
#include "kernels/diffusion.h"
#include "kernels/elementwise.h"
#include "kernels/embedding.h"
#include "kernels/loss.h"
#include "kernels/random.h"
#include "kernels/shape.h"
#include "kernels/upsample_conv.h"
#include "tests/kernels/on_device.h"
#include "tests/kernels/values.h"

#ifdef NOISETTE_CUDA

namespace noisette {
namespace {

using test::cast;
using test::expect_close;
using test::OnDevice;
using test::random_values;

/// Innermost extents: of whole vectors, and odd.
class CudaPointwise : public test::NeedsCuda<testing::TestWithParam<int64_t>> {
 protected:
  template <class T>
  static double rounding() {
    return std::is_same_v<T, float> ? 0x1p-21 : 0x1p-7;
  }
  template <class T>
  static std::vector<double> wide(const std::vector<T>& v) {
    std::vector<double> w;
    for (const T x : v) w.push_back(double(float(x)));
    return w;
  }
  template <class T>
  void by_sample();
  template <class T>
  void shapes();
  template <class T>
  void upsampling();
  template <class T>
  void tables();
  template <class T>
  void draws();
};

template <class T>
void CudaPointwise::by_sample() {
  const int64_t batch = 3, each = 5 * GetParam(), n = batch * each;
  const auto x = cast<T>(random_values(n, 1)), dy = cast<T>(random_values(n, 2));
  const auto image = cast<float>(random_values(n, 3)), noise = cast<float>(random_values(n, 4));
  const auto s = cast<float>(random_values(batch, 5)), g = cast<float>(random_values(batch, 6));
  const OnDevice on_x(x), on_dy(dy), on_image(image), on_noise(noise), on_s(s), on_g(g);

  std::vector<float> loss(s), ds(s), target(image);
  std::vector<T> dx(x), scaled(x), noised(x), spread(x);
  const OnDevice on_loss(s), on_ds(s), on_target(image), on_dx(x), on_scaled(x), on_noised(x),
      on_spread(x);
  cpu::weighted_mse_forward(x.data(), image.data(), s.data(), loss.data(), batch, each);
  cuda::weighted_mse_forward(on_x.get(), on_image.get(), on_s.get(), on_loss.get(), batch, each);
  expect_close(on_loss.back(), wide(loss), 0x1p-20, 0, "weighted_mse_forward");
  cpu::weighted_mse_backward(x.data(), image.data(), s.data(), g.data(), dx.data(), batch, each);
  cuda::weighted_mse_backward(on_x.get(), on_image.get(), on_s.get(), on_g.get(), on_dx.get(),
                              batch, each);
  expect_close(on_dx.back(), wide(dx), rounding<T>(), 0, "weighted_mse_backward");
  cpu::scale_per_sample_forward(x.data(), s.data(), scaled.data(), batch, each);
  cuda::scale_per_sample_forward(on_x.get(), on_s.get(), on_scaled.get(), batch, each);
  expect_close(on_scaled.back(), wide(scaled), 0, 0, "scale_per_sample_forward");
  cpu::scale_per_sample_backward(x.data(), dy.data(), ds.data(), batch, each);
  cuda::scale_per_sample_backward(on_x.get(), on_dy.get(), on_ds.get(), batch, each);
  expect_close(on_ds.back(), wide(ds), 0x1p-20, 1e-4, "scale_per_sample_backward");
  cpu::sum_backward<T>(s.data(), spread.data(), 0.3, n);
  cuda::sum_backward<T>(on_s.get(), on_spread.get(), 0.3, n);
  expect_close(on_spread.back(), wide(spread), 0, 0, "sum_backward");

  const std::vector<double> table = random_values(10, 7);
  const std::vector<int64_t> t = {9, 0, 4};
  const OnDevice on_table(table), on_t(t);
  const auto tables = [](const double* p) { return NoiseTables{p, p + 1, p + 2, p + 3, 7}; };
  const std::vector<int64_t> inside = {6, 0, 4};
  const OnDevice on_inside(inside);
  cpu::add_noise(image.data(), noise.data(), inside.data(), tables(table.data()), noised.data(),
                 target.data(), batch, each);
  cuda::add_noise(on_image.get(), on_noise.get(), on_inside.get(), tables(on_table.get()),
                  on_noised.get(), on_target.get(), batch, each);
  expect_close(on_noised.back(), wide(noised), rounding<T>(), 1e-6, "add_noise");
  expect_close(on_target.back(), wide(target), 0x1p-21, 1e-6, "add_noise's target");
  cuda::add_noise(on_image.get(), on_noise.get(), on_t.get(), tables(on_table.get()),
                  on_noised.get(), on_target.get(), batch, each);
  EXPECT_TRUE(std::isnan(on_target.back()[0]));  // a step outside
}

template <class T>
void CudaPointwise::shapes() {
  const int64_t c = GetParam();
  const ImageDims d{2, 4, 6, c};
  const int64_t n = 2 * 4 * 6 * c;
  const auto x = cast<T>(random_values(n, 1)), large = cast<T>(random_values(4 * n, 2));
  const OnDevice on_x(x), on_large(large);
  std::vector<T> same(x), up(large), down(x.begin(), x.begin() + n / 4);
  const OnDevice on_same(x), on_up(large), on_down(down);
  cpu::resize_nearest_forward(x.data(), up.data(), 2, d);
  cuda::resize_nearest_forward(on_x.get(), on_up.get(), 2, d);
  expect_close(on_up.back(), wide(up), 0, 0, "resize_nearest_forward");
  cpu::resize_nearest_backward(large.data(), same.data(), 2, d);
  cuda::resize_nearest_backward(on_large.get(), on_same.get(), 2, d);
  expect_close(on_same.back(), wide(same), rounding<T>(), 1e-6, "resize_nearest_backward");
  cpu::average_pool_forward(x.data(), down.data(), 2, d);
  cuda::average_pool_forward(on_x.get(), on_down.get(), 2, d);
  expect_close(on_down.back(), wide(down), rounding<T>(), 1e-6, "average_pool_forward");
  cpu::average_pool_backward(down.data(), same.data(), 2, d);
  cuda::average_pool_backward(OnDevice(down).get(), on_same.get(), 2, d);
  expect_close(on_same.back(), wide(same), 0, 0, "average_pool_backward");
  // Rows of 4 c channels take some of rows of 2 c.
  cpu::copy_channels(x.data(), 2 * c, c, up.data(), 4 * c, 2 * c, c, 24);
  cuda::copy_channels(on_x.get(), 2 * c, c, on_up.get(), 4 * c, 2 * c, c, int64_t(24));
  expect_close(on_up.back(), wide(up), 0, 0, "copy_channels");
  // Rows of c and 3 c channels.
  cpu::join_channels(x.data(), c, x.data() + 12 * c, 3 * c, up.data(), 12);
  cuda::join_channels(on_x.get(), c, on_x.get() + 12 * c, 3 * c, on_up.get(), int64_t(12));
  expect_close(on_up.back(), wide(up), 0, 0, "join_channels");
  cpu::split_channels(x.data(), up.data(), c, up.data() + 12 * c, 3 * c, 12);
  cuda::split_channels(on_x.get(), on_up.get(), c, on_up.get() + 12 * c, 3 * c, int64_t(12));
  expect_close(on_up.back(), wide(up), 0, 0, "split_channels");
  std::vector<T> half(x.begin(), x.begin() + n / 2);
  const OnDevice on_half(half);
  cpu::geglu_forward(x.data(), half.data(), 24, c);
  cuda::geglu_forward(on_x.get(), on_half.get(), 24, c);
  expect_close(on_half.back(), wide(half), rounding<T>(), 1e-6, "geglu_forward");
  cpu::geglu_backward(x.data(), large.data(), same.data(), 24, c);
  cuda::geglu_backward(on_x.get(), on_large.get(), on_same.get(), 24, c);
  expect_close(on_same.back(), wide(same), rounding<T>(), 1e-5, "geglu_backward");
}

template <class T>
void CudaPointwise::upsampling() {
  const int64_t c = std::min<int64_t>(GetParam(), 24);
  const UpsampleConvDims d{2, 3, 4, c, c};
  const auto x = cast<T>(random_values(d.x_numel(), 1)),
             dy = cast<T>(random_values(d.y_numel(), 2));
  const auto w = cast<T>(random_values(d.weight_numel(), 3));
  const auto bias = cast<float>(random_values(c, 4));
  std::vector<T> y(dy), dx(x);
  std::vector<float> dw(w.size());
  const OnDevice on_x(x), on_dy(dy), on_w(w), on_bias(bias), on_y(dy), on_dx(x), on_dw(dw);
  cpu::upsample_conv2d_forward(x.data(), w.data(), bias.data(), y.data(), d);
  cuda::upsample_conv2d_forward(on_x.get(), on_w.get(), on_bias.get(), on_y.get(), d);
  cpu::upsample_conv2d_backward<T>(x.data(), w.data(), dy.data(), nullptr, dx.data(), dw.data(),
                                   false, d);
  cuda::upsample_conv2d_backward<T>(on_x.get(), on_w.get(), on_dy.get(), nullptr, on_dx.get(),
                                    on_dw.get(), false, d);
  // Sums of up to 216 products, in another order; bf16 rounds summed weights on both devices.
  const double sums = std::is_same_v<T, float> ? 1e-4 : 0.1;
  expect_close(on_y.back(), wide(y), rounding<T>(), sums, "upsample_conv2d_forward");
  expect_close(on_dx.back(), wide(dx), rounding<T>(), sums, "upsample_conv2d_backward, dx");
  expect_close(on_dw.back(), wide(dw), rounding<T>(), sums, "upsample_conv2d_backward, dweight");
}

template <class T>
void CudaPointwise::tables() {
  const int64_t dim = GetParam(), rows = 5;
  std::vector<int64_t> index;
  for (int64_t n = 0; n < 600; ++n) index.push_back(n % 7 - 1);  // -1 and 5 are no rows
  const int64_t count = int64_t(index.size());
  const auto table = cast<T>(random_values(rows * dim, 1));
  const auto dy = cast<T>(random_values(count * dim, 2));
  std::vector<T> y(dy);
  std::vector<float> dtable = cast<float>(random_values(rows * dim, 3));
  const OnDevice on_table(table), on_dy(dy), on_y(dy), on_index(index), on_dtable(dtable);
  cpu::embedding_forward(table.data(), index.data(), y.data(), count, rows, dim);
  cuda::embedding_forward(on_table.get(), on_index.get(), on_y.get(), count, rows, dim);
  const auto got = on_y.back();
  for (std::size_t i = 0; i < y.size(); ++i)
    ASSERT_TRUE(float(got[i]) == float(y[i]) ||
                (std::isnan(float(got[i])) && std::isnan(float(y[i]))))
        << i;
  cpu::embedding_backward(dy.data(), index.data(), dtable.data(), count, rows, dim, true);
  cuda::embedding_backward(on_dy.get(), on_index.get(), on_dtable.get(), count, rows, dim, true);
  EXPECT_EQ(on_dtable.back(), dtable);  // the same order of additions
}

template <class T>
void CudaPointwise::draws() {
  const int64_t batch = 3, each = GetParam();
  const RngKey key{5, Purpose::kDropout, 2};
  const std::vector<int64_t> index = {4, 0, 77};
  const auto x = cast<T>(random_values(batch * each, 1));
  std::vector<T> y(x);
  const OnDevice on_index(index), on_x(x), on_y(x);
  cpu::dropout(x.data(), y.data(), index.data(), batch, each, 0.4, key);
  cuda::dropout(on_x.get(), on_y.get(), on_index.get(), batch, each, 0.4, key);
  EXPECT_EQ(wide(on_y.back()), wide(y));
  cpu::fill_normal(y.data(), index.data(), batch, each, key);
  cuda::fill_normal(on_y.get(), on_index.get(), batch, each, key);
  EXPECT_EQ(wide(on_y.back()), wide(y));
}

TEST_P(CudaPointwise, BySampleF32) { by_sample<float>(); }
TEST_P(CudaPointwise, BySampleBf16) { by_sample<bfloat16>(); }
TEST_P(CudaPointwise, ShapesF32) { shapes<float>(); }
TEST_P(CudaPointwise, ShapesBf16) { shapes<bfloat16>(); }
TEST_P(CudaPointwise, UpsamplingF32) { upsampling<float>(); }
TEST_P(CudaPointwise, UpsamplingBf16) { upsampling<bfloat16>(); }
TEST_P(CudaPointwise, TablesF32) { tables<float>(); }
TEST_P(CudaPointwise, TablesBf16) { tables<bfloat16>(); }
TEST_P(CudaPointwise, DrawsF32) { draws<float>(); }
TEST_P(CudaPointwise, DrawsBf16) { draws<bfloat16>(); }

INSTANTIATE_TEST_SUITE_P(Extents, CudaPointwise, testing::Values(1, 5, 8, 12, 24, 320),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace noisette

#endif
