// Norms on CUDA against the f64 reference, by every way that their kernels have: groups that stay
// in shared memory, alone, several to a block and in part, and groups cut into tiles; rows of a
// warp, of a block, and rows too long for registers; vectors and single elements.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernels/norm.h"
#include "tests/kernels/on_device.h"
#include "tests/kernels/values.h"

#ifdef NOISETTE_CUDA

namespace noisette {
namespace {

using test::cast;
using test::expect_close;
using test::OnDevice;
using test::random_values;

struct GroupCase {
  std::string name;
  GroupNormDims d;
};

/// Inputs of a group norm that f32 and bf16 hold exactly.
struct GroupInputs {
  std::vector<double> x, shift, weight, bias, dy, add;
  explicit GroupInputs(const GroupNormDims& d)
      : x(random_values(d.batch * d.pixels * d.channels, 1)),
        shift(random_values(d.batch * d.channels, 2)),
        weight(random_values(d.channels, 3)),
        bias(random_values(d.channels, 4)),
        dy(random_values(int64_t(x.size()), 5)),
        add(random_values(int64_t(x.size()), 6)) {}
};

/// What they give.
struct GroupOutputs {
  std::vector<double> y, mean, rstd, dx, dweight, dbias, dshift;
  GroupOutputs(const GroupInputs& in, const GroupNormDims& d)
      : y(in.x),
        mean(size_t(d.batch * d.groups)),
        rstd(mean),
        dx(in.x),
        dweight(in.weight),
        dbias(in.bias),
        dshift(in.shift) {
    cpu::group_norm_forward(in.x.data(), in.shift.data(), in.weight.data(), in.bias.data(),
                            y.data(), mean.data(), rstd.data(), d);
    cpu::group_norm_backward(in.x.data(), in.shift.data(), in.weight.data(), in.bias.data(),
                             mean.data(), rstd.data(), in.dy.data(), in.add.data(), dx.data(),
                             dweight.data(), dbias.data(), dshift.data(), true, d);
  }
};

class CudaGroupNorm : public test::NeedsCuda<testing::TestWithParam<GroupCase>> {
 protected:
  template <class T>
  void matches_f64() {
    const GroupNormDims& d = GetParam().d;
    const GroupInputs in(d);
    const GroupOutputs want(in, d);
    const OnDevice x(cast<T>(in.x)), shift(cast<T>(in.shift)), dy(cast<T>(in.dy));
    const OnDevice weight(cast<float>(in.weight)), bias(cast<float>(in.bias));
    const OnDevice y(cast<T>(in.x)), again(cast<T>(in.x)), dx(cast<T>(in.add)), dshift(shift);
    const OnDevice mean(cast<float>(want.mean)), rstd(mean), dweight(weight), dbias(bias);
    cuda::group_norm_forward(x.get(), shift.get(), weight.get(), bias.get(), y.get(), mean.get(),
                             rstd.get(), d);
    cuda::group_norm_repeat(x.get(), shift.get(), weight.get(), bias.get(), mean.get(), rstd.get(),
                            again.get(), d);
    cuda::group_norm_backward(x.get(), shift.get(), weight.get(), bias.get(), mean.get(),
                              rstd.get(), dy.get(), dx.get(), dx.get(), dweight.get(), dbias.get(),
                              dshift.get(), true, d);
    const auto values = y.back(), repeated = again.back();
    for (std::size_t i = 0; i < values.size(); ++i)
      ASSERT_EQ(float(repeated[i]), float(values[i])) << "at " << i;
    const double rounding = std::is_same_v<T, float> ? 0x1p-20 : 0x1p-8;
    // Sums over pixels: of terms up to about 10, whose errors are those of f32.
    const double sums = 1e-6 * double(d.batch * d.pixels) + 2e-5;
    expect_close(values, want.y, rounding, 1e-5, "y");
    expect_close(mean.back(), want.mean, 0x1p-20, 1e-6, "mean");
    expect_close(rstd.back(), want.rstd, 0x1p-20, 1e-6, "rstd");
    expect_close(dx.back(), want.dx, rounding, 3e-5, "dx");
    expect_close(dweight.back(), want.dweight, 0x1p-20, sums, "dweight");
    expect_close(dbias.back(), want.dbias, 0x1p-20, sums, "dbias");
    expect_close(dshift.back(), want.dshift, rounding, sums, "dshift");
  }
};

TEST_P(CudaGroupNorm, F32MatchesF64) { matches_f64<float>(); }
TEST_P(CudaGroupNorm, Bf16MatchesF64) { matches_f64<bfloat16>(); }

INSTANTIATE_TEST_SUITE_P(
    Shapes, CudaGroupNorm,
    testing::Values(GroupCase{"OneElement", {1, 1, 1, 1, 1e-5, true}},
                    GroupCase{"OneVector", {1, 1, 8, 8, 1e-1, true}},
                    GroupCase{"Odd", {3, 7, 6, 3, 1e-5, true}},
                    GroupCase{"GroupsOfHalfAVector", {2, 65, 32, 8, 1e-5, true}},
                    GroupCase{"GroupsAcrossVectors", {1, 33, 40, 4, 1e-5, true}},
                    GroupCase{"GroupsOfManySectors", {2, 9, 144, 3, 1e-5, false}},
                    GroupCase{"GroupsOfAPrime", {2, 21, 136, 8, 1e-5, true}},
                    GroupCase{"LastBlockHasFewerGroups", {1, 10, 120, 12, 1e-5, true}},
                    GroupCase{"SeveralGroupsOfABlock", {300, 4, 64, 32, 1e-5, true}},
                    GroupCase{"StartsOnVectorsNotSectors", {1, 1500, 120, 10, 1e-5, true}},
                    GroupCase{"XFitsButNotWithDy", {1, 320, 120, 3, 1e-5, true}},
                    GroupCase{"XFitsInPart", {1, 1024, 48, 4, 1e-5, true}},
                    GroupCase{"XFitsInPartOdd", {1, 2001, 14, 2, 1e-5, true}},
                    GroupCase{"InTiles", {2, 2100, 64, 2, 1e-5, true}},
                    GroupCase{"InTilesOdd", {1, 22001, 3, 1, 1e-5, true}},
                    GroupCase{"WideGroup", {2, 5, 520, 1, 1e-5, true}},
                    GroupCase{"WideGroupOdd", {1, 5, 513, 1, 1e-5, false}}),
    [](const auto& info) { return info.param.name; });

struct RowCase {
  int64_t rows, channels;
};

class CudaLayerNorm : public test::NeedsCuda<testing::TestWithParam<RowCase>> {
 protected:
  template <class T>
  void matches_f64() {
    const LayerNormDims d{GetParam().rows, GetParam().channels, 1e-5};
    const int64_t n = d.rows * d.channels;
    const auto x = random_values(n, 1), dy = random_values(n, 2), add = random_values(n, 3);
    const auto w = random_values(d.channels, 4), b = random_values(d.channels, 5);
    std::vector<double> y(x), mean(size_t(d.rows)), rstd(mean), dx(x), dw(w), db(b);
    cpu::layer_norm_forward(x.data(), w.data(), b.data(), y.data(), mean.data(), rstd.data(), d);
    cpu::layer_norm_backward(x.data(), w.data(), mean.data(), rstd.data(), dy.data(), add.data(),
                             dx.data(), dw.data(), db.data(), true, d);
    const OnDevice on_x(cast<T>(x)), on_dy(cast<T>(dy)), on_y(cast<T>(x)), on_dx(cast<T>(add));
    const OnDevice on_w(cast<float>(w)), on_b(cast<float>(b)), on_mean(cast<float>(mean));
    const OnDevice on_rstd(on_mean), on_dw(on_w), on_db(on_b);
    cuda::layer_norm_forward(on_x.get(), on_w.get(), on_b.get(), on_y.get(), on_mean.get(),
                             on_rstd.get(), d);
    cuda::layer_norm_backward(on_x.get(), on_w.get(), on_mean.get(), on_rstd.get(), on_dy.get(),
                              on_dx.get(), on_dx.get(), on_dw.get(), on_db.get(), true, d);
    const double rounding = std::is_same_v<T, float> ? 0x1p-20 : 0x1p-8;
    expect_close(on_y.back(), y, rounding, 1e-5, "y");
    expect_close(on_mean.back(), mean, 0x1p-20, 1e-6, "mean");
    expect_close(on_rstd.back(), rstd, 0x1p-20, 1e-6, "rstd");
    expect_close(on_dx.back(), dx, rounding, 3e-5, "dx");
    expect_close(on_dw.back(), dw, 0x1p-20, 1e-6 * double(d.rows) + 1e-5, "dweight");
    expect_close(on_db.back(), db, 0x1p-20, 1e-6 * double(d.rows) + 1e-5, "dbias");
    // Without what other uses contributed, and without gradients of parameters.
    cuda::layer_norm_backward<T>(on_x.get(), on_w.get(), on_mean.get(), on_rstd.get(), on_dy.get(),
                                 nullptr, on_dx.get(), nullptr, nullptr, false, d);
    for (std::size_t i = 0; i < dx.size(); ++i) dx[i] -= add[i];
    expect_close(on_dx.back(), dx, rounding, 3e-5, "dx alone");
  }
};

TEST_P(CudaLayerNorm, F32MatchesF64) { matches_f64<float>(); }
TEST_P(CudaLayerNorm, Bf16MatchesF64) { matches_f64<bfloat16>(); }

INSTANTIATE_TEST_SUITE_P(Shapes, CudaLayerNorm,
                         testing::Values(RowCase{1, 2}, RowCase{9, 7}, RowCase{70, 16},
                                         RowCase{33, 320}, RowCase{5, 129}, RowCase{3, 1032},
                                         RowCase{2, 1027}, RowCase{2, 8192}, RowCase{3, 8200}),
                         [](const auto& info) {
                           return "r" + std::to_string(info.param.rows) + "x" +
                                  std::to_string(info.param.channels);
                         });

}  // namespace
}  // namespace noisette

#endif
