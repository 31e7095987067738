// The harness must notice a wrong gradient: a check that cannot fail is no check.
#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::GradCase;

/// y = x^2 in f64 or f32, with a backward scaled by `factor` and shifted by `offset` at element 0.
Tensor square(const Tensor& x, double factor, double offset = 0) {
  Tensor y = empty_like(x);
  const auto fill_in = [&](auto* out, const auto* in) {
    for (int64_t i = 0; i < x.numel(); ++i) out[i] = in[i] * in[i];
  };
  if (x.dtype() == DType::f64)
    fill_in(y.data<double>(), x.data<double>());
  else
    fill_in(y.data<float>(), x.data<float>());
  return record("square", y, {x},
                [x = x.detach(), factor, offset](const Tensor& dy, const Needs&) -> Grads {
                  Tensor dx = empty_like(x);
                  const auto fill_in = [&](auto* out, const auto* in, const auto* g) {
                    for (int64_t i = 0; i < x.numel(); ++i)
                      out[i] = std::remove_reference_t<decltype(*out)>(factor * 2 * in[i] * g[i] +
                                                                       (i == 0 ? offset : 0));
                  };
                  if (x.dtype() == DType::f64)
                    fill_in(dx.data<double>(), x.data<double>(), dy.data<double>());
                  else
                    fill_in(dx.data<float>(), x.data<float>(), dy.data<float>());
                  return {dx};
                });
}

GradCase square_case(double factor, double offset = 0) {
  return {"square", {{3, 5}}, [=](auto in) { return square(in[0], factor, offset); }};
}

TEST(GradCheck, AcceptsARightGradient) {
  EXPECT_EQ(gradient_mismatch(square_case(1)), "");
  EXPECT_EQ(parity_mismatch(square_case(1), DType::f32), "");
}

TEST(GradCheck, NoticesAWrongGradient) {
  for (const GradCase& wrong : {square_case(1 + 1e-6), square_case(-1), square_case(0),
                                square_case(1, 1e-6), square_case(std::nan(""))})
    EXPECT_NE(gradient_mismatch(wrong), "");
}

TEST(GradCheck, NoticesAMissingGradient) {
  const GradCase c{"drop", {{2}, {2}}, [](auto in) { return square(in[0], 1); }};
  EXPECT_EQ(gradient_mismatch(c), "input 1 received no gradient");
}

TEST(GradCheck, ParityNoticesWhatF32Gets) {
  const GradCase c{"parity", {{3, 5}}, [](auto in) {
                     return square(in[0], in[0].dtype() == DType::f32 ? 1 + 1e-5 : 1);
                   }};
  EXPECT_NE(parity_mismatch(c, DType::f32), "");
}

}  // namespace
}  // namespace noisette
