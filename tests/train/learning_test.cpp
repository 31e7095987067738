// Training learns what can be learnt, and no more: data whose best loss is known in closed form.
#include <cmath>

#include "framework/autograd/autograd.h"
#include "kernels/philox.h"
#include "models/diffusion/schedule.h"
#include "tests/train/training.h"
#include "train/feed.h"
#include "train/model_source.h"
#include "train/sampling.h"
#include "train/task.h"

namespace noisette {
namespace {

using namespace test;

constexpr double
    kMean = 0.1,
    kStd = 0.25;  // of the pixels in [-1, 1]; no pixel beyond 3.6 standard deviations counts

double normal(uint64_t seed, int64_t index, int64_t element) {
  const PhiloxBlock b = philox_block({seed, Purpose::kTest}, uint64_t(index), uint32_t(element));
  return std::sqrt(-2 * std::log(double(uniform_open(b[0])))) *
         std::cos(2 * M_PI * double(uniform(b[1])));
}

/// Images of independent pixels, N(kMean, kStd^2). Splits train and test.
void make_gaussian_data(const std::filesystem::path& path, int64_t train, int64_t test) {
  DatasetWriter writer(path, train + test, 8, 8, 1);
  for (int64_t i = 0; i < train + test; ++i) {
    std::vector<uint8_t> image(64);
    for (int64_t e = 0; e < 64; ++e) {
      const double value = 127.5 * (1 + kMean + kStd * normal(7, i, e));
      image[std::size_t(e)] = uint8_t(std::clamp(value + 0.5, 0.0, 255.0));
    }
    writer.add(image);
  }
  writer.finish("made for a test", {}, {{"train", train}, {"test", test}});
}

TrainConfig tiny(const std::filesystem::path& data, const std::filesystem::path& runs) {
  TrainConfig c = small_config(data);
  c.run.folder = runs.string();
  c.run.log_every = c.checkpoint.every = 1000;
  c.model.num_class_embeds = 0;
  c.model.block_out_channels = {16};
  c.model.attention_levels = {};
  c.model.add_attention = false;
  c.schedule = {.steps = 20, .beta_start = 1e-3, .beta_end = 0.6};
  c.optimizer.ema_decay = 0.98;
  return c;
}

/// Loss of a network and of the best possible one on the same noisy images, and the standard error
/// of the difference.
struct Comparison {
  double loss = 0, best = 0, error = 0;
};
Comparison compare(const TrainConfig& trained, const std::filesystem::path& checkpoint) {
  const LoadedModel m = open_model(checkpoint);
  const diffusion::Schedule schedule(trained.schedule);
  const DataSplit data = DataSplit::open(trained.data.path, "test");
  const NoGrad no_grad;
  std::vector<double> differences;
  Comparison c;
  for (int64_t t = 0; t < schedule.steps(); ++t) {
    const int64_t n = data.size(), item = 64;
    const double a = schedule.signal(t), b = schedule.noise(t),
                 gain = b / (a * a * kStd * kStd + b * b);
    const Tensor x = empty({n, 8, 8, 1}, DType::f32), at = empty({n}, DType::i64);
    std::vector<double> noise(std::size_t(n * item));
    for (int64_t i = 0; i < n; ++i) {
      const Image image = data.image(i);
      at.data<int64_t>()[i] = t;
      for (int64_t e = 0; e < item; ++e) {
        const double z = noise[std::size_t(i * item + e)] = normal(8, t * n + i, e);
        x.data<float>()[i * item + e] =
            float(a * (image.pixels[std::size_t(e)] / 127.5 - 1) + b * z);
      }
    }
    const Tensor out = (*m.unet)(x, at);
    for (int64_t i = 0; i < n; ++i) {
      double loss = 0, best = 0;
      for (int64_t k = i * item; k < (i + 1) * item; ++k) {
        const double z = noise[std::size_t(k)];
        loss += std::pow(double(out.data<float>()[k]) - z, 2) / double(item);
        best += std::pow(gain * (double(x.data<float>()[k]) - a * kMean) - z, 2) / double(item);
      }
      c.loss += loss;
      c.best += best;
      differences.push_back(loss - best);
    }
  }
  const auto n = double(differences.size());
  c.loss /= n;
  c.best /= n;
  double squares = 0;
  for (const double d : differences) squares += std::pow(d - (c.loss - c.best), 2);
  c.error = std::sqrt(squares / n / n);
  return c;
}

TEST(Learning, ApproachesTheBestLossOfGaussianDataAndDoesNotBeatIt) {
  const Training t;
  const Folder& folder = t.folder;
  make_gaussian_data(folder / "set.h5", 4096, 128);
  TrainConfig c = tiny(folder / "set.h5", folder.path());
  c.run.updates = 600;
  c.run.batch = 32;
  c.optimizer.learning_rate = 4e-3;
  c.optimizer.decay = Decay::cosine;
  c.optimizer.warmup = 20;
  const TrainResult r = run(c);
  const Comparison got = compare(c, r.checkpoint);
  const diffusion::Schedule schedule(c.schedule);
  double closed = 0;  // E|eps - E[eps | x_t]|^2 = a^2 s^2 / (a^2 s^2 + b^2)
  for (int64_t t = 0; t < schedule.steps(); ++t)
    closed += 1 / (1 + 1 / (schedule.snr(t) * kStd * kStd)) / double(schedule.steps());
  RecordProperty("loss", fmt::format("{:.4f}", got.loss));
  RecordProperty("best", fmt::format("{:.4f}", got.best));
  EXPECT_NEAR(got.best, closed, 0.02 * closed);  // 164k pixels per estimate
  EXPECT_GT(got.loss - got.best, -3 * got.error) << "better than possible: " << got.loss;
  EXPECT_LT(got.loss, 1.02 * got.best) << "best possible: " << got.best;
}

TEST(Learning, MemorisesOneImageAndDrawsIt) {
  const Training t;
  const Folder& folder = t.folder;
  std::vector<uint8_t> picture(64);
  for (std::size_t e = 0; e < 64; ++e) picture[e] = (e / 8 + e % 8) % 3 ? 40 : 220;  // stripes
  DatasetWriter writer(folder / "set.h5", 1, 8, 8, 1);
  writer.add(picture);
  writer.finish("made for a test", {}, {{"train", 1}});
  TrainConfig c = tiny(folder / "set.h5", folder.path());
  c.schedule = {};  // a thousand steps, which end in noise as sampling begins
  c.objective.target =
      diffusion::Target::v;  // says the image at every timestep: errors are not amplified
  c.run.updates = 1000;
  c.run.batch = 16;
  c.run.log_every = 50;
  c.optimizer.learning_rate = 4e-3;
  c.optimizer.decay = Decay::cosine;
  const TrainResult r = run(c);
  const auto losses = losses_of(c);
  EXPECT_GT(losses.front(), 0.2);
  EXPECT_LT(losses.back(), 0.01);  // the floor is 0: with one image the noise can be read off
  const LoadedModel m = open_model(r.checkpoint);
  // With fresh noise in each step the network's small errors do not add up.
  const auto drawn = sample_pixels(*m.unet, c.schedule, c.objective.target, {.steps = 50, .eta = 1},
                                   {.count = 4, .seed = 3});
  double error = 0;
  for (std::size_t i = 0; i < drawn.size(); ++i)
    error += std::abs(drawn[i] - picture[i % 64]) / double(drawn.size());
  RecordProperty("loss", fmt::format("{:.5f}", losses.back()));
  RecordProperty("error", fmt::format("{:.2f}", error));
  EXPECT_LT(error, 5) << "mean distance of a pixel, of 255";
}

}  // namespace
}  // namespace noisette
