#include "train/measure_conv.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>
#include <vector>

#include "framework/core/tensor.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/random.h"

namespace noisette {
namespace {

using cpu::ConvCase;
using cpu::ConvMode;

/// Puts back the choice that was there.
class ChoiceKept {
 public:
  ChoiceKept() = default;
  ~ChoiceKept() { cpu::choose_conv_forms(std::move(before_)); }

 private:
  cpu::ConvChoice before_ = cpu::conv_choice();
};

/// The tensors of one pass: what it reads and what it writes. x and weight have the spread of
/// activations and of weights that keep it.
struct Pass {
  ConvCase c;
  Tensor x, weight, y;  // backward passes read dy from y, and write dx into x or dweight (f32)

  explicit Pass(const ConvCase& c) : c(c) {
    const ConvDims& d = c.dims;
    const DType dtype = c.bf16 ? DType::bf16 : DType::f32;
    x = values(d.x_numel(), dtype, 1, 0);
    y = values(d.y_numel(), dtype, 1, 1);
    weight =
        c.pass == ConvPass::backward_weight
            ? zeros({d.weight_numel()}, DType::f32)
            : values(d.weight_numel(), dtype, 1 / std::sqrt(double(d.weight_numel() / d.out_c)), 2);
  }

  static Tensor values(int64_t count, DType dtype, double scale, uint32_t layer) {
    const Tensor index = zeros({1}, DType::i64);
    return cast(mul(normal({1, count}, DType::f32, {1, Purpose::kTest, layer}, index), scale),
                dtype);
  }

  /// The tensor that a pass writes.
  const Tensor& result() const {
    return c.pass == ConvPass::forward ? y : c.pass == ConvPass::backward_data ? x : weight;
  }

  template <class T>
  void run() const {
    if (c.pass == ConvPass::forward)
      cpu::conv2d_forward<T>(x.data<T>(), weight.data<T>(), nullptr, nullptr, y.data<T>(), c.dims);
    if (c.pass == ConvPass::backward_data)
      cpu::conv2d_backward_data<T>(y.data<T>(), weight.data<T>(), nullptr, x.data<T>(), c.dims);
    if (c.pass == ConvPass::backward_weight)
      cpu::conv2d_backward_weight<T>(x.data<T>(), y.data<T>(), weight.data<acc_t<T>>(), false,
                                     c.dims);
  }
  void run_as(ConvMode mode) const {
    cpu::choose_conv_forms({.mode = mode});
    c.bf16 ? run<bfloat16>() : run<float>();
  }
  double seconds_as(ConvMode mode) const {
    const auto start = std::chrono::steady_clock::now();
    run_as(mode);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
};

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + std::ptrdiff_t(v.size() / 2), v.end());
  return v[v.size() / 2];
}

/// |a - b| / |b|
double relative_error(const Tensor& a, const Tensor& b) {
  const std::vector<double> got = to_vector<double>(cast(a, DType::f64)),
                            want = to_vector<double>(b);
  double error = 0, size = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    error += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  return std::sqrt(error / std::max(size, 1e-300));
}

}  // namespace

ConvTimes time_conv(const ConvCase& c, int64_t pairs) {
  const ChoiceKept kept;
  const Pass pass(c);
  std::vector<double> direct, winograd;
  ConvTimes t;
  for (int64_t i = 0; i <= pairs; ++i) {
    const double a = pass.seconds_as(ConvMode::direct), b = pass.seconds_as(ConvMode::winograd);
    if (i == 0) continue;
    direct.push_back(a);
    winograd.push_back(b);
    t.winograd_always_faster &= b < a;
    t.direct_always_faster &= a < b;
  }
  t.direct = median(direct);
  t.winograd = median(winograd);
  return t;
}

ConvErrors conv_errors(ConvCase c) {
  const ChoiceKept kept;
  constexpr int64_t kSide = 8, kChannels = 32;
  if (c.pass == ConvPass::backward_weight) {  // sums over pixels
    c.dims.in_c = std::min(c.dims.in_c, kChannels);
    c.dims.out_c = std::min(c.dims.out_c, kChannels);
  } else {  // sums over channels
    c.dims.batch = 1;
    c.dims.in_h = std::min(c.dims.in_h, kSide);
    c.dims.in_w = std::min(c.dims.in_w, kSide);
  }
  const Pass pass(c);
  Pass exact = pass;
  exact.x = cast(pass.x, DType::f64);
  exact.y = cast(pass.y, DType::f64);
  exact.weight = cast(pass.weight, DType::f64);
  exact.run<double>();
  ConvErrors errors;
  pass.run_as(ConvMode::direct);
  errors.direct = relative_error(pass.result(), exact.result());
  pass.run_as(ConvMode::winograd);
  errors.winograd = relative_error(pass.result(), exact.result());
  return errors;
}

}  // namespace noisette
