// The loss of a task against the objective written out.
#include "train/task.h"

#include <cmath>

#include "framework/nn/arena.h"
#include "framework/ops/random.h"
#include "tests/train/training.h"

namespace noisette {
namespace {

using namespace test;
using diffusion::Betas;
using diffusion::Target;
using diffusion::Weighting;

constexpr int64_t kImages = 16, kPixels = 64, kWhole = 40;

/// What training tells a network apart by.
struct Objective {
  Betas betas;
  Target target;
  Weighting weighting;
};

/// weight * mean(target^2), what a network that always answers zero is charged for an image.
double charge(const Objective& o, double alpha_bar, const double* x0, const float* eps) {
  const double snr = alpha_bar / (1 - alpha_bar), gamma = 5;
  const double signal = std::sqrt(alpha_bar), noise = std::sqrt(1 - alpha_bar);
  double sum = 0, weight = 1;
  for (int64_t i = 0; i < kPixels; ++i) {
    const double target = o.target == Target::eps  ? eps[i]
                          : o.target == Target::x0 ? x0[i]
                                                   : signal * eps[i] - noise * x0[i];
    sum += target * target;
  }
  if (o.weighting == Weighting::min_snr)
    weight = std::min(snr, gamma) / (o.target == Target::eps  ? snr
                                     : o.target == Target::x0 ? 1
                                                              : snr + 1);
  return weight * sum / double(kPixels);
}

void check_loss(const Objective& o) {
  TrainConfig c = small_config("nowhere.h5");
  c.schedule.betas = o.betas;
  c.objective.target = o.target;
  c.objective.weighting = o.weighting;
  const auto task = make_task(c);
  const ParameterArena arena(task->module(), {.dtype = DType::f32});
  for (float& w : arena.master().span<float>()) w = 0;

  Batch batch{empty({kImages, 8, 8, 1}, DType::u8), full({kImages}, 1, DType::i64),
              empty({kImages}, DType::i64)};
  std::vector<double> x0;
  for (int64_t i = 0; i < kImages * kPixels; ++i) {
    batch.images.data<uint8_t>()[i] = uint8_t(37 * i % 256);
    x0.push_back(double(37 * i % 256) / 127.5 - 1);
  }
  for (int64_t i = 0; i < kImages; ++i) batch.sample_index.data<int64_t>()[i] = 100 + i;
  const StepLoss loss = task->loss(batch, kWhole, true);

  const auto eps = to_vector<float>(
      normal({kImages, 8, 8, 1}, DType::f32, {c.run.seed(), Purpose::kNoise}, batch.sample_index));
  const auto t = to_vector<int64_t>(loss.timesteps);
  const auto charged = to_vector<float>(loss.per_sample);
  const diffusion::Schedule schedule(c.schedule);
  double total = 0;
  for (int64_t n = 0; n < kImages; ++n) {
    const auto i = std::size_t(n);
    const double want =
        charge(o, schedule.alpha_bar(t[i]), x0.data() + n * kPixels, eps.data() + n * kPixels);
    EXPECT_NEAR(double(charged[i]) / want, 1, 1e-5) << "t = " << t[i];  // f32 sums of 64 terms
    total += want;
  }
  EXPECT_NEAR(loss.total.item(), total / double(kWhole), 1e-5 * total);
}

TEST(DdpmTask, LossIsThatOfTheObjective) {
  for (const Betas betas : {Betas::linear, Betas::cosine})
    for (const Target target : {Target::eps, Target::x0, Target::v})
      for (const Weighting weighting : {Weighting::uniform, Weighting::min_snr}) {
        SCOPED_TRACE(fmt::format("{}, {}, {}", config::name_of(betas), config::name_of(target),
                                 config::name_of(weighting)));
        check_loss({betas, target, weighting});
      }
}

}  // namespace
}  // namespace noisette
