// The harness behind the op tests. A GradCase is a function of tensors; from one row follow
//   the gradient check   f64 gradients against central differences, with a random cotangent
//   the parity check     f32 and bf16 outputs and gradients against f64 on the same inputs
//   the meta check       shapes and dtypes on the meta device
// With NOISETTE_TEST_DEVICE=cuda f32 and bf16 run there; f64 is always the CPU's.
// The checks return text, empty when all is well, so that a test can also demand a failure.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "framework/autograd/autograd.h"
#include "framework/core/tensor.h"
#include "tests/support/message.h"

namespace noisette::testing_support {

/// Where the parity checks run.
inline Device test_device() {
  const char* name = std::getenv("NOISETTE_TEST_DEVICE");
  return name != nullptr && std::string_view(name) == "cuda" ? Device{DeviceType::cuda, 0} : kCpu;
}

/// One input of a case: normal numbers of the given mean and spread.
struct In {
  Shape shape;
  bool full =
      false;  // 1-D parameters and the like: accumulator type instead of the activations' type
  double offset = 0;
  double scale = 1;

  In(std::initializer_list<int64_t> dims) : shape(dims) {}
  In(Shape s, bool full = false, double offset = 0, double scale = 1)
      : shape(std::move(s)), full(full), offset(offset), scale(scale) {}
};
inline In param(Shape s, double offset = 0) { return {std::move(s), true, offset}; }

struct GradCase {
  std::string name;
  std::vector<In> inputs;
  std::function<Tensor(const std::vector<Tensor>&)> fn;
  /// Rounding errors allowed in the parity check, in units of the dtype's epsilon times the largest
  /// |value|.
  double units = 8;
  /// Roundings to bf16 inside a bf16 op, before that of its result.
  double inner_roundings = 0;
  /// The same on the way to the gradient of a parameter, which is f32.
  double parameter_roundings = 0;
};

inline void PrintTo(const GradCase& c, std::ostream* os) { *os << c.name; }

/// Normal numbers, rounded to bf16 so that every dtype holds them exactly.
inline std::vector<double> normals(int64_t n, std::mt19937& engine, double offset, double scale) {
  std::normal_distribution<double> draw(offset, scale);
  std::vector<double> x;
  for (int64_t i = 0; i < n; ++i) x.push_back(double(float(bfloat16(float(draw(engine))))));
  return x;
}

inline Tensor tensor_of(const std::vector<double>& values, const Shape& shape, DType dtype) {
  Tensor x = empty(shape, dtype);
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::f64) x.data<double>()[i] = values[i];
    if (dtype == DType::f32) x.data<float>()[i] = float(values[i]);
    if (dtype == DType::bf16) x.data<bfloat16>()[i] = bfloat16(float(values[i]));
  }
  return x;
}

inline std::vector<double> values_of(const Tensor& anywhere) {
  const Tensor x = to_device(anywhere, kCpu);
  std::vector<double> v;
  for (int64_t i = 0; i < x.numel(); ++i) {
    if (x.dtype() == DType::f64) v.push_back(x.data<double>()[i]);
    if (x.dtype() == DType::f32) v.push_back(double(x.data<float>()[i]));
    if (x.dtype() == DType::bf16) v.push_back(double(float(x.data<bfloat16>()[i])));
  }
  return v;
}

/// Output and gradients of one case in one dtype, for the inputs and the cotangent that belong to
/// the case.
struct Outcome {
  std::vector<Tensor> in;
  Tensor out;
  std::vector<double> cotangent;

  Outcome(const GradCase& c, DType dtype, Device device = kCpu, uint32_t seed = 20240607) {
    std::mt19937 engine(seed);
    for (const In& spec : c.inputs) {
      const auto x = normals(spec.shape.numel(), engine, spec.offset, spec.scale);
      in.push_back(
          to_device(tensor_of(x, spec.shape, spec.full ? accumulator_of(dtype) : dtype), device));
      in.back().requires_grad();
    }
    out = c.fn(in);
    cotangent = normals(out.numel(), engine, 0, 1);
    backward(out, to_device(tensor_of(cotangent, out.shape(), out.dtype()), device));
  }
};

/// Compares every gradient with central differences in f64. Bound: 1e-8 + 1e-7 |g|; the differences
/// themselves are good to h^2 ~ 4e-11 relative and eps / h ~ 4e-11 absolute for values of order
/// one.
inline std::string gradient_mismatch(const GradCase& c) {
  Outcome run(c, DType::f64);
  const double h = std::cbrt(std::numeric_limits<double>::epsilon());
  const NoGrad no_grad;
  const auto objective = [&] {
    const Tensor y = c.fn(run.in);
    double sum = 0;
    for (size_t i = 0; i < run.cotangent.size(); ++i) sum += y.data<double>()[i] * run.cotangent[i];
    return sum;
  };
  for (size_t k = 0; k < run.in.size(); ++k) {
    const Tensor grad = run.in[k].grad();
    if (!grad.defined()) return fmt::format("input {} received no gradient", k);
    for (int64_t i = 0; i < run.in[k].numel(); ++i) {
      double& x = run.in[k].data<double>()[i];
      const double before = x;
      x = before + h;
      const double up = objective();
      x = before - h;
      const double down = objective();
      x = before;
      const double numeric = (up - down) / (2 * h), analytic = grad.data<double>()[i];
      if (!(std::abs(analytic - numeric) <= 1e-8 + 1e-7 * std::abs(numeric)))
        return fmt::format("input {} {}, element {}: gradient {:.12g}, central difference {:.12g}",
                           k, run.in[k].shape(), i, analytic, numeric);
    }
  }
  return "";
}

/// Largest distance between two lists, and the largest magnitude in the reference.
inline std::string distance_message(const std::string& what, const std::vector<double>& got,
                                    const std::vector<double>& want, double bound) {
  double error = 0, largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error = std::max(error, std::isnan(got[i]) ? INFINITY : std::abs(got[i] - want[i]));
    largest = std::max(largest, std::abs(want[i]));
  }
  if (error <= bound * largest) return "";
  return fmt::format("{}: error {:.3g} exceeds {:.3g} ({:.3g} of the largest value {:.3g})", what,
                     error, bound * largest, bound, largest);
}

/// f32 or bf16 against f64 on the same inputs. One rounding of the result costs half an epsilon;
/// `units` leaves room for the arithmetic before it, which is in f32 for both: a bf16 case has the
/// same room on top of its rounding.
inline std::string parity_mismatch(const GradCase& c, DType dtype) {
  const Outcome want(c, DType::f64), got(c, dtype, test_device());
  const double eps32 = std::numeric_limits<float>::epsilon(), eps16 = 0x1p-7;
  const auto bound_of = [&](DType d) {
    const double roundings = d == DType::bf16       ? 1 + c.inner_roundings
                             : dtype == DType::bf16 ? c.parameter_roundings
                                                    : 0;
    return c.units * eps32 + 0.5 * roundings * eps16;
  };
  std::string m = distance_message("output", values_of(got.out), values_of(want.out),
                                   bound_of(got.out.dtype()));
  for (size_t k = 0; k < want.in.size() && m.empty(); ++k)
    m = distance_message(fmt::format("gradient of input {}", k), values_of(got.in[k].grad()),
                         values_of(want.in[k].grad()), bound_of(got.in[k].dtype()));
  return m;
}

/// The op on the meta device must give the shape and dtype it gives on the CPU, for all floating
/// dtypes.
inline std::string meta_mismatch(const GradCase& c) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    const Outcome real(c, dtype);
    std::vector<Tensor> in;
    for (const In& spec : c.inputs) {
      in.push_back(empty(spec.shape, spec.full ? accumulator_of(dtype) : dtype, kMeta));
      in.back().requires_grad();
    }
    const Tensor y = c.fn(in);
    if (!(y.shape() == real.out.shape()) || y.dtype() != real.out.dtype() || !y.device().is_meta())
      return fmt::format("meta gives {} {} on {}, the CPU {} {}", y.dtype(), y.shape(), y.device(),
                         real.out.dtype(), real.out.shape());
    backward(y, empty_like(y));
  }
  return "";
}

}  // namespace noisette::testing_support

/// Instantiates the four checks for a list of cases: NOISETTE_OP_TESTS(Norm, GradCase{...},
/// GradCase{...})
#define NOISETTE_OP_TESTS(family, ...)                                                      \
  class family : public ::testing::TestWithParam<::noisette::testing_support::GradCase> {}; \
  TEST_P(family, MatchesCentralDifferences) {                                               \
    EXPECT_EQ(::noisette::testing_support::gradient_mismatch(GetParam()), "");              \
  }                                                                                         \
  TEST_P(family, F32MatchesF64) {                                                           \
    EXPECT_EQ(::noisette::testing_support::parity_mismatch(GetParam(), DType::f32), "");    \
  }                                                                                         \
  TEST_P(family, Bf16MatchesF64) {                                                          \
    EXPECT_EQ(::noisette::testing_support::parity_mismatch(GetParam(), DType::bf16), "");   \
  }                                                                                         \
  TEST_P(family, InfersShapesOnMeta) {                                                      \
    EXPECT_EQ(::noisette::testing_support::meta_mismatch(GetParam()), "");                  \
  }                                                                                         \
  INSTANTIATE_TEST_SUITE_P(Ops, family, ::testing::Values(__VA_ARGS__),                     \
                           [](const auto& info) { return info.param.name; })
