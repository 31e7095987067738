// An image depends on its number, its class and the model: not on what else is made with it.
#include "train/sampling.h"

#include "tests/train/training.h"

namespace noisette {
namespace {

using namespace test;
using Pixels = std::vector<uint8_t>;

/// An untrained network whose output matters: every layer starts with weights of its own.
class Sampling : public testing::Test {
 protected:
  Sampling()
      : config_(configured()),
        unet_(config_.model),
        arena_(unet_, {.dtype = DType::f32, .trainable = false}) {
    arena_.initialize(5);
    omp_set_num_threads(1);
  }

  ~Sampling() override { omp_set_num_threads(threads_); }

  static TrainConfig configured() {
    TrainConfig c = small_config("nowhere.h5");
    c.model.init = WeightInit::torch;
    return c;
  }

  Pixels sample(SampleRequest r, double guidance = 1,
                diffusion::Sampler sampler = diffusion::Sampler::ddim,
                double guidance_below = 1) const {
    const diffusion::SamplerConfig s{.sampler = sampler,
                                     .steps = sampler == diffusion::Sampler::ddim ? 6 : 20,
                                     .guidance = guidance,
                                     .guidance_below = guidance_below};
    return sample_pixels(unet_, config_.schedule, diffusion::Target::eps, s, r);
  }

  static Pixels part(const Pixels& all, int64_t first, int64_t count) {
    return Pixels(all.begin() + first * 64, all.begin() + (first + count) * 64);
  }

  static int largest_difference(const Pixels& a, const Pixels& b) {
    EXPECT_EQ(a.size(), b.size());
    int largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
    return largest;
  }

  int threads_ = omp_get_max_threads();
  TrainConfig config_;
  UNet unet_;
  ParameterArena arena_;
};

TEST_F(Sampling, AnImageDoesNotDependOnItsCompany) {
  const auto labels = spread_labels(64, {0, 1, 2}, false);
  for (const auto sampler : {diffusion::Sampler::ddim, diffusion::Sampler::ddpm}) {
    const Pixels all = sample({.count = 64, .labels = labels, .seed = 9}, 2, sampler);
    const Pixels alone =
        sample({.count = 1, .labels = {labels[5]}, .first = 5, .seed = 9}, 2, sampler);
    const Pixels sevens =
        sample({.count = 64, .labels = labels, .batch = 7, .seed = 9}, 2, sampler);
    EXPECT_LE(largest_difference(part(all, 5, 1), alone), 1);  // a value on the edge of two pixels
    EXPECT_LE(largest_difference(all, sevens), 1);
    EXPECT_GT(largest_difference(part(all, 5, 1), part(all, 8, 1)), 20)
        << "another number, same class";
    EXPECT_GT(
        largest_difference(all, sample({.count = 64, .labels = labels, .seed = 10}, 2, sampler)),
        20);
  }
}

TEST_F(Sampling, GuidanceOneIsConditionalAndZeroIsNot) {
  const std::vector<int64_t> labels = spread_labels(6, {0, 1, 2}, false), empty(6, 3);
  const Pixels one = sample({.count = 6, .labels = labels}, 1),
               zero = sample({.count = 6, .labels = labels}, 0),
               none = sample({.count = 6, .labels = empty}, 1);
  EXPECT_EQ(zero, none);
  EXPECT_EQ(none, sample({.count = 6, .labels = empty}, 3)) << "guided from nothing to nothing";
  EXPECT_GT(largest_difference(one, none), 2);
  EXPECT_GT(largest_difference(one, sample({.count = 6, .labels = labels}, 3)), 2);
  EXPECT_GT(largest_difference(one, sample({.count = 6, .labels = {1, 2, 0, 1, 2, 0}}, 1)), 2);
}

TEST_F(Sampling, GuidanceActsInItsIntervalAlone) {
  const auto labels = spread_labels(6, {0, 1, 2}, false);
  const auto below = [&](double share, double guidance = 3) {
    return sample({.count = 6, .labels = labels}, guidance, diffusion::Sampler::ddim, share);
  };
  const Pixels one = sample({.count = 6, .labels = labels}, 1);
  EXPECT_EQ(below(0.01), one) << "no step is that clean";
  EXPECT_GT(largest_difference(below(0.5), one), 2);
  EXPECT_GT(largest_difference(below(0.5), below(1)), 2);
  EXPECT_EQ(below(0.5, 0), below(1, 0)) << "no class anywhere";
}

TEST_F(Sampling, EveryImageNeedsALabel) {
  EXPECT_CONTAINS(error_of([&] {
                    sample({.count = 3, .labels = {0, 1}});
                  }),
                  "as many labels; got 2");
}

TEST(SpreadLabels, TakesTurnsOrRows) {
  using L = std::vector<int64_t>;
  EXPECT_EQ(spread_labels(5, {4, 7}, false), (L{4, 7, 4, 7, 4}));
  EXPECT_EQ(spread_labels(6, {4, 7, 1}, true), (L{4, 4, 7, 7, 1, 1}));
  EXPECT_EQ(spread_labels(5, {4, 7}, true), (L{4, 4, 4, 7, 7}));
  EXPECT_EQ(spread_labels(0, {4, 7}, true), L{});
}

}  // namespace
}  // namespace noisette
