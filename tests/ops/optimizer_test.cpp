#include "framework/ops/optimizer.h"

#include <omp.h>

#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::message_of;
using testing_support::normals;
using testing_support::tensor_of;
using testing_support::values_of;

struct Update {
  OptimizerBuffers b;
  Tensor numbers;

  Update(int64_t n, DType dtype, double gradient_scale = 1) {
    std::mt19937 engine(8);
    const auto draw = [&](double scale) {
      return tensor_of(normals(n, engine, 0, scale), {n}, dtype);
    };
    b = {draw(1), draw(gradient_scale), zeros({n}, dtype), zeros({n}, dtype), {}, {}};
    b.average = b.weight.clone();
    b.compute = zeros({n}, DType::bf16);
    numbers = make_update_numbers({.learning_rate = 1e-2, .ema_decay = 0.9, .step = 1});
  }
  double& number(int64_t i) { return numbers.span<double>()[size_t(i)]; }
  void update(const AdamWOptions& o) {
    gradient_squares(b.grad, numbers);
    adamw_step(b, numbers, o);
  }
};

TEST(AdamW, FollowsAlgorithm2) {
  const int64_t n = 37;
  Update run(n, DType::f64);
  const AdamWOptions o{
      .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.1, .clip_norm = 2};
  auto w = values_of(run.b.weight), average = w;
  const auto g = values_of(run.b.grad);
  std::vector<double> m(w.size()), v(w.size());
  double norm = 0;
  for (const double x : g) norm += x * x;
  norm = std::sqrt(norm);
  ASSERT_GT(norm, 2);  // the clip is active
  for (int k = 1; k <= 3; ++k) {
    run.number(2) = k;
    run.update(o);
    for (size_t i = 0; i < w.size(); ++i) {
      const double c = g[i] * 2 / (norm + 1e-6);
      m[i] = 0.9 * m[i] + 0.1 * c;
      v[i] = 0.99 * v[i] + 0.01 * c * c;
      const double m_hat = m[i] / (1 - std::pow(0.9, k)), v_hat = v[i] / (1 - std::pow(0.99, k));
      w[i] -= 1e-2 * 0.1 * w[i] + 1e-2 * m_hat / (std::sqrt(v_hat) + 1e-8);
      average[i] = 0.9 * average[i] + 0.1 * w[i];
    }
  }
  const auto got = values_of(run.b.weight), mean = values_of(run.b.average),
             low = values_of(run.b.compute);
  for (size_t i = 0; i < w.size(); ++i) {
    EXPECT_NEAR(got[i], w[i], 1e-13);
    EXPECT_NEAR(mean[i], average[i], 1e-13);
    EXPECT_EQ(low[i], double(float(bfloat16(float(got[i])))));
  }
}

TEST(AdamW, ScaledAccumulationIsTheSameUpdate) {
  Update plain(33, DType::f64), scaled(33, DType::f64, 8);
  plain.update({.clip_norm = 1});
  scaled.update({.clip_norm = 1, .grad_scale = 1.0 / 8});
  const auto a = values_of(plain.b.weight), b = values_of(scaled.b.weight);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-12);
}

TEST(AdamW, ANonFiniteGradientChangesNothingFromThenOn) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    Update run(20001, DType::f32);
    run.b.grad.data<float>()[17003] = bad;
    const auto before = values_of(run.b.weight);
    run.update({});
    EXPECT_EQ(run.number(4), 0);
    EXPECT_EQ(values_of(run.b.weight), before);
    EXPECT_EQ(values_of(run.b.average), before);
    run.b.grad.data<float>()[17003] = 0;
    run.update({});
    EXPECT_EQ(values_of(run.b.weight), before);
  }
}

TEST(AdamW, ANonFiniteLossCountsAsABadGradient) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    Update run(40, DType::f32);
    const auto before = values_of(run.b.weight);
    require_finite(from_vector<float>({1, 2}, {2}), run.numbers);
    EXPECT_EQ(run.number(4), 1);
    require_finite(from_vector<float>({1, bad}, {2}), run.numbers);
    run.update({});
    EXPECT_EQ(run.number(4), 0);
    EXPECT_EQ(values_of(run.b.weight), before);
  }
}

TEST(AdamW, ZerosStayZero) {  // the gaps between parameters
  Update run(64, DType::f32);
  for (const Tensor* x : {&run.b.weight, &run.b.grad, &run.b.average}) fill(*x, 0);
  run.update({.weight_decay = 0.1});
  for (const Tensor* x : {&run.b.weight, &run.b.m, &run.b.v, &run.b.average, &run.b.compute})
    for (const double v : values_of(*x)) EXPECT_EQ(v, 0);
}

TEST(AdamW, DoesNotDependOnTheNumberOfThreads) {
  const int before = omp_get_max_threads();
  std::vector<double> first;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    Update run(100003, DType::f32);
    run.update({.clip_norm = 1});
    auto all = values_of(run.b.weight);
    all.push_back(run.number(3));
    if (first.empty()) first = all;
    EXPECT_EQ(all, first);
  }
  omp_set_num_threads(before);
}

TEST(AdamW, ErrorsNameBothSides) {
  Update run(8, DType::f32);
  run.b.m = zeros({7}, DType::f32);
  EXPECT_NE(message_of([&] { run.update({}); }).find("f32 [8] like the weights; got f32 [7]"),
            std::string::npos);
}

}  // namespace
}  // namespace noisette
