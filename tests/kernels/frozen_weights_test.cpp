#include "kernels/frozen_weights.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/conv.h"
#include "kernels/cpu/conv_form.h"
#include "kernels/cpu/kept_filters.h"
#include "kernels/cpu/winograd.h"
#include "kernels/upsample_conv.h"
#include "tests/kernels/conv_cases.h"
#include "tests/kernels/values.h"

namespace noisette {
namespace {

using test::cast;
using test::random_values;
using test::same3;

class Frozen : public testing::Test {
 protected:
  Frozen() { cpu::choose_conv_forms({.mode = cpu::ConvMode::winograd}); }
  ~Frozen() override { cpu::choose_conv_forms({}); }

  std::vector<float> forward() const {
    std::vector<float> result(y);
    cpu::conv2d_forward<float>(x.data(), weight.data(), nullptr, nullptr, result.data(), d);
    return result;
  }
  std::vector<float> backward() const {
    std::vector<float> result(x);
    cpu::conv2d_backward_data<float>(y.data(), weight.data(), nullptr, result.data(), d);
    return result;
  }
  std::vector<float> upsampled() const {
    std::vector<float> result(std::size_t(up.y_numel()));
    cpu::upsample_conv2d_forward<float>(x.data(), weight.data(), nullptr, result.data(), up);
    return result;
  }

  const ConvDims d = same3(2, 9, 7, 16, 16);
  const UpsampleConvDims up{2, 9, 7, 16, 16};
  std::vector<float> x = cast<float>(random_values(d.x_numel(), 1)),
                     y = cast<float>(random_values(d.y_numel(), 2)),
                     weight = cast<float>(random_values(d.weight_numel(), 3));
};

TEST_F(Frozen, WeightsGiveTheSameResults) {
  const auto y1 = forward(), dx1 = backward(), up1 = upsampled();
  const cpu::FrozenWeights frozen;
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(forward(), y1);
    EXPECT_EQ(backward(), dx1);
    EXPECT_EQ(upsampled(), up1);
  }
}

TEST_F(Frozen, FiltersAreKeptUntilTheEnd) {
  const auto first = forward();
  {
    const cpu::FrozenWeights frozen;
    EXPECT_EQ(forward(), first);
    weight[5] += 1;  // breaks the promise, which shows that the filters are not made again
    EXPECT_EQ(forward(), first);
    {
      const cpu::PassingWeights passing;
      EXPECT_NE(forward(), first);
    }
    {
      const cpu::FrozenWeights inside;
      EXPECT_EQ(forward(), first);
    }
    EXPECT_EQ(forward(), first) << "the outer promise goes on";
  }
  EXPECT_NE(forward(), first);
}

TEST_F(Frozen, OtherWeightsAreOthers) {
  const cpu::FrozenWeights frozen;
  const auto first = forward();
  std::vector<float> other(weight.rbegin(), weight.rend());
  std::swap(weight, other);
  EXPECT_NE(forward(), first);
  std::swap(weight, other);
  EXPECT_EQ(forward(), first);
}

TEST_F(Frozen, WhatAKernelAddsUpOnTheWayIsMadeEachTime) {
  const cpu::FrozenWeights frozen;
  const auto first = upsampled();
  weight[5] += 1;  // the sums of weights lie where they lay before
  EXPECT_NE(upsampled(), first);
}

TEST_F(Frozen, NoMoreIsKeptThanAllowed) {
  const auto key = [&](const float* w) { return cpu::FilterKey{w, false, 3, 16, 16}; };
  constexpr int64_t kNumel = 1000, kBytes = kNumel * sizeof(float);
  EXPECT_FALSE(cpu::can_keep_filters(key(weight.data()), kNumel)) << "nothing was promised";
  const cpu::FrozenWeights frozen(2 * kBytes);
  EXPECT_FALSE(cpu::kept_filters(key(weight.data()), kNumel).filled);
  EXPECT_TRUE(cpu::kept_filters(key(weight.data()), kNumel).filled);
  EXPECT_NE(cpu::kept_filters(key(weight.data() + 1), kNumel).data, nullptr);
  EXPECT_EQ(cpu::kept_filters(key(weight.data() + 2), kNumel).data, nullptr);
  EXPECT_FALSE(cpu::can_keep_filters(key(weight.data() + 2), kNumel));
  EXPECT_TRUE(cpu::can_keep_filters(key(weight.data()), kNumel));
}

TEST_F(Frozen, KeptFiltersMakeWinogradPaySooner) {
  const ConvDims wide = same3(2, 16, 16, 1280, 1280), small = same3(2, 8, 8, 1280, 1280);
  EXPECT_FALSE(cpu::winograd_pays(ConvPass::forward, small));
  EXPECT_TRUE(cpu::winograd_pays(ConvPass::forward, small, true));
  EXPECT_TRUE(cpu::winograd_pays(ConvPass::forward, wide, true));
}

}  // namespace
}  // namespace noisette
