#include "kernels/norm.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <random>
#include <vector>

namespace noisette {
namespace {

/// The definition in kernels/norm.h, term by term.
struct Naive {
  std::vector<double> y, mean, rstd;

  Naive(const std::vector<double>& x, const std::vector<double>& shift,
        const std::vector<double>& weight, const std::vector<double>& bias, const GroupNormDims& d)
      : y(x.size()), mean(size_t(d.batch * d.groups)), rstd(mean.size()) {
    const int64_t width = d.channels / d.groups;
    auto z = [&](int64_t n, int64_t p, int64_t c) {
      return x[size_t((n * d.pixels + p) * d.channels + c)] + shift[size_t(n * d.channels + c)];
    };
    for (int64_t n = 0; n < d.batch; ++n)
      for (int64_t g = 0; g < d.groups; ++g) {
        double sum = 0, squares = 0;
        const double count = double(d.pixels * width);
        for (int64_t p = 0; p < d.pixels; ++p)
          for (int64_t c = g * width; c < (g + 1) * width; ++c) sum += z(n, p, c);
        const double m = sum / count;
        for (int64_t p = 0; p < d.pixels; ++p)
          for (int64_t c = g * width; c < (g + 1) * width; ++c)
            squares += (z(n, p, c) - m) * (z(n, p, c) - m);
        const double r = 1 / std::sqrt(squares / count + d.eps);
        mean[size_t(n * d.groups + g)] = m;
        rstd[size_t(n * d.groups + g)] = r;
        for (int64_t p = 0; p < d.pixels; ++p)
          for (int64_t c = g * width; c < (g + 1) * width; ++c) {
            const double u = (z(n, p, c) - m) * r * weight[size_t(c)] + bias[size_t(c)];
            y[size_t((n * d.pixels + p) * d.channels + c)] = d.silu ? u / (1 + std::exp(-u)) : u;
          }
      }
  }
};

template <class T>
std::vector<T> normal(int64_t count, double scale, double offset, uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> draw(offset, scale);
  std::vector<T> x(static_cast<size_t>(count));
  for (T& v : x) v = T(float(draw(engine)));
  return x;
}

template <class T>
std::vector<double> wide(const std::vector<T>& x) {
  std::vector<double> y;
  for (const T& v : x) y.push_back(double(acc_t<T>(v)));
  return y;
}

/// Largest error of y against the definition evaluated in double on the same inputs.
template <class T>
double forward_error(const GroupNormDims& d, double offset) {
  using A = acc_t<T>;
  const auto x = normal<T>(d.batch * d.pixels * d.channels, 1.0, offset, 1);
  const auto shift = normal<T>(d.batch * d.channels, 0.5, 0.0, 2);
  const auto weight = normal<A>(d.channels, 0.3, 1.0, 3);
  const auto bias = normal<A>(d.channels, 0.3, 0.0, 4);
  std::vector<T> y(x.size());
  std::vector<A> mean(size_t(d.batch * d.groups)), rstd(mean.size());
  cpu::group_norm_forward(x.data(), shift.data(), weight.data(), bias.data(), y.data(), mean.data(),
                          rstd.data(), d);
  const Naive naive(wide(x), wide(shift), wide(weight), wide(bias), d);
  double error = 0;
  for (size_t i = 0; i < y.size(); ++i)
    error = std::max(error, std::fabs(double(A(y[i])) - naive.y[i]));
  return error;
}

const GroupNormDims kSizes[] = {{1, 1, 1, 1, 1e-5, false},    {2, 7, 6, 3, 1e-5, true},
                                {3, 65, 40, 4, 1e-6, true},   {2, 300, 96, 32, 1e-5, false},
                                {5, 33, 513, 27, 1e-5, true}, {1, 2049, 32, 32, 1e-5, true}};

TEST(GroupNorm, MatchesTheDefinition) {
  for (const GroupNormDims& d : kSizes) {
    SCOPED_TRACE(testing::Message() << d.batch << "x" << d.pixels << "x" << d.channels);
    EXPECT_LE(forward_error<double>(d, 0.0), 1e-12);
    EXPECT_LE(forward_error<float>(d, 0.0), 3e-6);     // measured 1.2e-6, |y| up to 6
    EXPECT_LE(forward_error<bfloat16>(d, 0.0), 0.02);  // half a unit of bf16 at 4 is 0.0078
  }
}

TEST(GroupNorm, SurvivesAMeanMuchLargerThanTheSpread) {
  // E[z^2] - E[z]^2 in f32 would lose everything here: 3000^2 * 2^-24 = 0.5.
  EXPECT_LE(forward_error<float>({2, 300, 96, 32, 1e-5, false}, 3000.0), 2e-3);
}

/// All outputs of one forward and backward, as bits.
template <class T>
std::vector<double> everything(const GroupNormDims& d, bool with_add) {
  using A = acc_t<T>;
  const int64_t n = d.batch * d.pixels * d.channels;
  const auto x = normal<T>(n, 1.0, 0.3, 1), dy = normal<T>(n, 1.0, 0.0, 5);
  const auto add = normal<T>(n, 1.0, 0.0, 6);
  const auto shift = normal<T>(d.batch * d.channels, 0.5, 0.0, 2);
  const auto weight = normal<A>(d.channels, 0.3, 1.0, 3), bias = normal<A>(d.channels, 0.3, 0.0, 4);
  std::vector<T> y(x.size()), dx(x.size()), dshift(shift.size());
  std::vector<A> mean(size_t(d.batch * d.groups)), rstd(mean.size());
  std::vector<A> dweight(weight.size(), A(1)), dbias(bias.size(), A(1));
  cpu::group_norm_forward(x.data(), shift.data(), weight.data(), bias.data(), y.data(), mean.data(),
                          rstd.data(), d);
  cpu::group_norm_backward(x.data(), shift.data(), weight.data(), bias.data(), mean.data(),
                           rstd.data(), dy.data(), with_add ? add.data() : nullptr, dx.data(),
                           dweight.data(), dbias.data(), dshift.data(), true, d);
  std::vector<double> all = wide(y);
  for (const auto& v : {wide(dx), wide(dshift), wide(dweight), wide(dbias), wide(mean)})
    all.insert(all.end(), v.begin(), v.end());
  return all;
}

TEST(GroupNorm, DoesNotDependOnTheNumberOfThreads) {
  const int before = omp_get_max_threads();
  for (GroupNormDims d : {GroupNormDims{1, 1000, 64, 32, 1e-5, true},
                          {3, 400, 64, 8, 1e-5, true},
                          // too large for du to be kept between the two passes of backward
                          {3, 2100, 64, 8, 1e-5, true}}) {
    omp_set_num_threads(1);
    const auto one = everything<float>(d, false), half = everything<bfloat16>(d, true);
    for (const int threads : {2, 3}) {
      omp_set_num_threads(threads);
      EXPECT_EQ(one, everything<float>(d, false));
      EXPECT_EQ(half, everything<bfloat16>(d, true));
    }
    omp_set_num_threads(before);
  }
}

TEST(GroupNorm, BackwardIsTheSameWhetherItKeepsOrRecomputes) {
  // Samples of 2048 pixels keep du, of 2049 recompute it; a pixel without gradient makes them
  // alike.
  const int64_t channels = 64, groups = 8, pixels = 2049;
  const GroupNormDims large{1, pixels, channels, groups, 1e-5, true};
  const GroupNormDims small{1, pixels - 1, channels, groups, 1e-5, true};
  const auto x = normal<float>(pixels * channels, 1.0, 0.3, 1);
  auto dy = normal<float>(pixels * channels, 1.0, 0.0, 5);
  std::fill(dy.end() - channels, dy.end(), 0.0f);
  const auto w = normal<float>(channels, 0.3, 1.0, 3), b = normal<float>(channels, 0.3, 0.0, 4);
  const std::vector<float> mean(size_t(groups), 0.3f), rstd(size_t(groups), 1.0f);
  const auto run = [&](const GroupNormDims& d) {
    std::vector<float> dw(w.size()), db(w.size()), dx(x.size());
    cpu::group_norm_backward<float>(x.data(), nullptr, w.data(), b.data(), mean.data(), rstd.data(),
                                    dy.data(), nullptr, dx.data(), dw.data(), db.data(), nullptr,
                                    false, d);
    return std::pair(db, dx);
  };
  const auto [db_large, dx_large] = run(large);
  const auto [db_small, dx_small] = run(small);
  EXPECT_EQ(db_large, db_small);                                // the sums see the same numbers
  for (size_t i = 0; i < size_t(small.pixels * channels); ++i)  // the means differ by 1 / 2049
    ASSERT_NEAR(dx_large[i], dx_small[i], 1e-4);
}

TEST(GroupNorm, AddsWhatOtherUsesOfTheInputContributed) {
  const GroupNormDims d{2, 65, 24, 4, 1e-5, true};
  const auto plain = everything<double>(d, false), with = everything<double>(d, true);
  const auto add = normal<double>(d.batch * d.pixels * d.channels, 1.0, 0.0, 6);
  const size_t n = add.size();
  for (size_t i = 0; i < n; ++i) EXPECT_NEAR(with[n + i], plain[n + i] + add[i], 1e-12);
  for (size_t i = 2 * n; i < plain.size(); ++i) EXPECT_EQ(with[i], plain[i]);
}

TEST(LayerNorm, IsGroupNormWithOneGroupOverOnePixel) {
  for (const int64_t channels : {1, 5, 64, 129}) {
    const int64_t rows = 67;
    const auto x = normal<double>(rows * channels, 1.0, 0.3, 1);
    const auto dy = normal<double>(rows * channels, 1.0, 0.0, 5);
    const auto w = normal<double>(channels, 0.3, 1.0, 3), b = normal<double>(channels, 0.3, 0.0, 4);
    std::vector<double> y(x.size()), y2(x.size()), dx(x.size()), dx2(x.size());
    std::vector<double> m(static_cast<size_t>(rows)), r(m), m2(m), r2(m), dw(w.size()), db(dw),
        dw2(dw), db2(dw);
    const LayerNormDims d{rows, channels, 1e-5};
    const GroupNormDims g{rows, 1, channels, 1, 1e-5, false};
    cpu::layer_norm_forward(x.data(), w.data(), b.data(), y.data(), m.data(), r.data(), d);
    cpu::layer_norm_backward<double>(x.data(), w.data(), m.data(), r.data(), dy.data(), dy.data(),
                                     dx.data(), dw.data(), db.data(), false, d);
    cpu::group_norm_forward<double>(x.data(), nullptr, w.data(), b.data(), y2.data(), m2.data(),
                                    r2.data(), g);
    cpu::group_norm_backward<double>(x.data(), nullptr, w.data(), b.data(), m2.data(), r2.data(),
                                     dy.data(), dy.data(), dx2.data(), dw2.data(), db2.data(),
                                     nullptr, false, g);
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_NEAR(y[i], y2[i], 1e-12);
      EXPECT_NEAR(dx[i], dx2[i], 1e-11);
    }
    for (size_t c = 0; c < w.size(); ++c) {
      EXPECT_NEAR(dw[c], dw2[c], 1e-11);
      EXPECT_NEAR(db[c], db2[c], 1e-11);
    }
  }
}

}  // namespace
}  // namespace noisette
