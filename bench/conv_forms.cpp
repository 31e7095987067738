// The direct and the Winograd form of f32 convolutions beside each other: all three passes,
// interleaved, medians of seven calls after one. Without the rule that chooses between them. Prints
// the table of docs/winograd.md.
//   cmake --build build --target conv_forms && build/bin/conv_forms
#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/onednn.h"
#include "kernels/cpu/winograd.h"

namespace noisette {
namespace {

std::vector<float> normal(int64_t n, float scale) {
  static std::mt19937 rng(1);
  std::normal_distribution<float> draw(0, scale);
  std::vector<float> v(static_cast<std::size_t>(n));
  for (float& x : v) x = draw(rng);
  return v;
}

/// Seconds of each of two calls, taken in turns.
std::array<double, 2> medians(const std::function<void()>& a, const std::function<void()>& b) {
  constexpr int kRounds = 7;
  std::array<std::vector<double>, 2> all;
  for (int round = 0; round <= kRounds; ++round)
    for (int i = 0; i < 2; ++i) {
      const auto start = std::chrono::steady_clock::now();
      (i == 0 ? a : b)();
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      if (round > 0) all[std::size_t(i)].push_back(took.count());
    }
  std::array<double, 2> result;
  for (int i = 0; i < 2; ++i) {
    auto& v = all[std::size_t(i)];
    std::nth_element(v.begin(), v.begin() + kRounds / 2, v.end());
    result[std::size_t(i)] = v[kRounds / 2];
  }
  return result;
}

std::string cell(const std::array<double, 2>& seconds, const ConvDims& d, bool chosen) {
  return fmt::format(" {:.0f} / {:.0f} ({:.1f}x{}) |", d.flops() / seconds[0] * 1e-9,
                     d.flops() / seconds[1] * 1e-9, seconds[0] / seconds[1],
                     chosen ? "" : ", direct is used");
}

void row(const std::string& name, const ConvDims& d) {
  const auto x = normal(d.x_numel(), 1), dy = normal(d.y_numel(), 1);
  const auto w = normal(d.weight_numel(), 1 / std::sqrt(float(d.weight_numel() / d.out_c)));
  auto y = dy, dx = x, dw = w;
  const auto pays = [&](cpu::ConvPass pass) { return cpu::winograd_pays(pass, d); };
  fmt::print("| {} |", name);
  fmt::print("{}", cell(medians(
                            [&] {
                              cpu::onednn::conv_forward<float>(x.data(), w.data(), nullptr,
                                                               y.data(), false, d);
                            },
                            [&] {
                              cpu::winograd_forward<float>(x.data(), w.data(), nullptr, nullptr,
                                                           y.data(), d);
                            }),
                        d, pays(cpu::ConvPass::forward)));
  fmt::print(
      "{}",
      cell(medians(
               [&] { cpu::onednn::conv_backward_data<float>(dy.data(), w.data(), dx.data(), d); },
               [&] {
                 cpu::winograd_backward_data<float>(dy.data(), w.data(), nullptr, dx.data(), d);
               }),
           d, pays(cpu::ConvPass::backward_data)));
  fmt::print("{}\n", cell(medians(
                              [&] {
                                cpu::onednn::conv_backward_weight<float>(x.data(), dy.data(),
                                                                         dw.data(), false, d);
                              },
                              [&] {
                                cpu::winograd_backward_weight<float>(x.data(), dy.data(), dw.data(),
                                                                     false, d);
                              }),
                          d, pays(cpu::ConvPass::backward_weight)));
}

void square(int64_t n, int64_t size, int64_t in, int64_t out) {
  row(fmt::format("{}, {}x{}, {} -> {}", n, size, size, in, out),
      {n, size, size, in, out, 3, 3, 1, 1, 1, 1, 1});
}

void upsampling(int64_t n, int64_t size, int64_t channels) {
  row(fmt::format("upsampling, {}, {}x{}, {}", n, size, size, channels),
      {n, size, size, channels, 4 * channels, 2, 2, 1, 1, 1, 1, 1});
}

}  // namespace
}  // namespace noisette

int main() {
  using namespace noisette;
  fmt::print("{} threads; GFLOP/s of the direct form's arithmetic, direct / Winograd\n\n",
             omp_get_max_threads());
  fmt::print("| batch, map, channels | forward | data gradient | weight gradient |\n");
  fmt::print("|---|---|---|---|\n");
  square(16, 32, 128, 128);
  square(16, 16, 256, 256);
  square(16, 8, 512, 256);
  square(64, 28, 64, 64);
  square(32, 28, 32, 32);
  square(32, 14, 64, 64);
  square(32, 7, 128, 64);
  square(2, 64, 320, 320);
  square(2, 32, 640, 640);
  square(2, 16, 1280, 1280);
  square(2, 8, 1280, 1280);
  upsampling(16, 16, 256);
  upsampling(32, 14, 64);
}
