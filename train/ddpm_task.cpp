// Denoising diffusion on images: Ho et al. 2020, algorithm 1, with the objectives of
// models/diffusion/objective.h.
#include "framework/autograd/autograd.h"
#include "framework/ops/diffusion.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/loss.h"
#include "framework/ops/random.h"
#include "models/unet/unet.h"
#include "train/precision.h"
#include "train/sampling.h"
#include "train/task.h"

namespace noisette {
namespace {

class DdpmTask final : public Task {
 public:
  explicit DdpmTask(const TrainConfig& config)
      : config_(config),
        unet_(config.model),
        tables_(
            diffusion::training_tables(diffusion::Schedule(config.schedule), config.objective)) {}

  std::string name() const override { return "ddpm"; }
  Module& module() override { return unet_; }

  StepLoss loss(const Batch& batch, int64_t global_batch, bool training) override {
    const uint64_t seed = config_.run.seed();
    if (!schedule_.signal.defined()) upload(batch.images.device());
    const Tensor& index = batch.sample_index;
    const Tensor t =
        random_integers(config_.schedule.steps, {seed, Purpose::kTimestep}, index);  // [n]
    const Tensor x0 = image_to_signed(batch.images, DType::f32);                     // [n, H, W, C]
    const Tensor eps = normal(x0.shape(), DType::f32, {seed, Purpose::kNoise}, index);
    const NoisyBatch noisy = add_noise(x0, eps, t, schedule_, element_type(config_.run.precision));
    const ForwardContext context{.training = training,
                                 .seed = seed,
                                 .sample_index = index,
                                 .recompute = config_.run.recompute};
    const Tensor out = unet_(noisy.x_t, t, batch.labels, context);  // [n, H, W, C]
    const Tensor per_sample = weighted_mse(out, noisy.target, gather_table(weight_, t));  // [n]
    const Tensor total = mul(sum(per_sample), 1.0 / double(global_batch));
    return {total, per_sample.detach(), t};
  }

  Image preview() override {
    const UNetConfig& m = config_.model;
    const auto pixels = sample_pixels(unet_, config_.schedule, config_.objective.target,
                                      preview_sampler(config_), preview_request(config_));
    const int64_t classes = m.num_class_embeds - 1,
                  columns = classes > 0 ? std::min<int64_t>(classes, 16) : 8;
    return grid_of(pixels, m.sample_size, m.sample_size, m.out_channels, columns);
  }

 private:
  /// The tables by timestep, to where the batches are.
  void upload(Device device) {
    const auto put = [&](const std::vector<double>& v) {
      return from_vector<double>(v, {int64_t(v.size())}, device);
    };
    schedule_ = {put(tables_.signal), put(tables_.noise), put(tables_.target_x0),
                 put(tables_.target_eps)};
    weight_ = put(tables_.weight);
  }

  TrainConfig config_;
  UNet unet_;
  diffusion::TrainingTables tables_;
  NoiseSchedule schedule_;
  Tensor weight_;  // [T] of the loss
};

}  // namespace

std::unique_ptr<Task> make_task(const TrainConfig& config) {
  return std::make_unique<DdpmTask>(config);
}

}  // namespace noisette
