#include "train/sampling.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "framework/autograd/autograd.h"
#include "framework/core/replay.h"
#include "framework/data/loader.h"
#include "framework/io/resample.h"
#include "framework/ops/diffusion.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/random.h"
#include "kernels/accumulate.h"
#include "models/diffusion/sample.h"
#include "train/micro_batch.h"
#include "train/precision.h"
#include "train/recorded.h"

namespace noisette {
namespace {

Tensor numbers_from(int64_t first, int64_t n, Device device) {
  std::vector<int64_t> numbers(static_cast<std::size_t>(n));
  std::iota(numbers.begin(), numbers.end(), first);
  return from_vector(numbers, {n}, device);
}

constexpr double kConditional = 1;

/// Steps of a plan for some labels. On a device steps of one kind and shape are replayed, and what
/// they give is valid until the next.
class Steps {
 public:
  Steps(const UNet& unet, const std::vector<diffusion::Step>& plan,
        const diffusion::SamplerConfig& sampler, const SampleRequest& request)
      : unet_(unet),
        sampler_(sampler),
        weaker_(request.weaker),
        dtype_(request.dtype),
        noisy_(std::any_of(plan.begin(), plan.end(), [](const auto& s) { return s.sigma > 0; })),
        guided_(work(true), request.graph),
        unguided_(work(false), request.graph) {}

  Tensor operator()(const diffusion::Step& step, const diffusion::StepInputs& in,
                    const Tensor& labels) {
    // The last step of a noisy plan adds none: one of a kind would have to be recorded for itself.
    const Tensor z =
        noisy_ && !in.z.defined() ? zeros(in.x.shape(), in.x.dtype(), in.x.device()) : in.z;
    return (step.guided ? guided_ : unguided_)({in.x, in.t, in.numbers, z, labels})[0];
  }

  /// Says so, once, where steps could not be recorded. After each batch: with another shape a
  /// replay knows no more of the last one.
  void tell() {
    told_ = told_ || warn_if_not_recorded(guided_.state(), "a sampling step") ||
            warn_if_not_recorded(unguided_.state(), "a sampling step without guidance");
  }

 private:
  Replay::Work work(bool guided) const {
    return [this, guided](const std::vector<Tensor>& in) -> std::vector<Tensor> {
      return {next(guided, {.x = in[0], .t = in[1], .numbers = in[2], .z = in[3]}, in[4])};
    };
  }

  diffusion::Denoiser denoiser(const UNet& unet, const Tensor& labels, double guidance) const {
    if (!labels.defined()) return [&unet](const Tensor& x, const Tensor& t) { return unet(x, t); };
    return diffusion::guide(
        [&unet](const Tensor& x, const Tensor& t, const Tensor& l) { return unet(x, t, l); },
        labels, unet.config().num_class_embeds - 1, guidance);
  }

  Tensor next(bool guided, const diffusion::StepInputs& in, const Tensor& labels) const {
    // Outside the interval nothing goes beyond the class; less of it than 1 holds there too.
    diffusion::Denoiser denoise = denoiser(
        unet_, labels, guided ? sampler_.guidance : std::min(sampler_.guidance, kConditional));
    if (guided && sampler_.autoguidance != 1)
      denoise = diffusion::autoguide(std::move(denoise), denoiser(*weaker_, labels, kConditional),
                                     sampler_.autoguidance);
    return sampler_step(in.x, denoise(cast(in.x, dtype_), in.t), in.z, in.numbers);
  }

  const UNet& unet_;
  const diffusion::SamplerConfig& sampler_;
  const UNet* weaker_;
  DType dtype_;
  bool noisy_, told_ = false;
  Replay guided_, unguided_;
};

/// images [n, H, W, C], the first of number `first`.
void check_finite(const Tensor& images, int64_t first) {
  const int64_t item = images.numel() / images.dim(0);
  for (int64_t i = 0; i < images.dim(0); ++i)
    check_user(cpu::all_finite(images.data<float>() + i * item, item),
               "[sample] image {} has values that are not finite: the network overflows with these "
               "weights, this precision or this sampler",
               first + i);
}

/// Carries out `plan`, whose numbers_of() are `numbers`, batch by batch; take(images [n, H, W, C],
/// how many came before) has them.
template <class Take>
void draw_batches(const UNet& unet, const std::vector<diffusion::Step>& plan, const Tensor& numbers,
                  const diffusion::SamplerConfig& sampler, const SampleRequest& r,
                  const Take& take) {
  const UNetConfig& c = unet.config();
  check(c.num_class_embeds == 0 ? r.labels.empty() : int64_t(r.labels.size()) == r.count,
        "[sample] {} images of a network with {} classes need as many labels; got {}", r.count,
        c.num_class_embeds, r.labels.size());
  check(sampler.autoguidance == 1 || r.weaker != nullptr,
        "[sample] autoguidance {} needs a weaker network; got none", sampler.autoguidance);
  const NoGrad no_grad;
  const int64_t batches = (r.count + r.batch - 1) / r.batch;
  Steps steps(unet, plan, sampler, r);
  for (int64_t b = 0; b < batches; ++b) {
    const int64_t begin = b * r.batch, n = std::min(r.batch, r.count - begin);
    const Shape shape{n, c.sample_size, c.sample_size, c.in_channels};
    const Tensor index = numbers_from(r.first + begin, n, r.device);
    Tensor labels;
    if (!r.labels.empty())
      labels = from_span<int64_t>(std::span(r.labels).subspan(std::size_t(begin), std::size_t(n)),
                                  {n}, r.device);
    const auto noise = [&](int64_t step) {
      return normal(shape, DType::f32, {r.seed, Purpose::kSampleStep, uint32_t(step)}, index);
    };
    const Tensor start = normal(shape, DType::f32, {r.seed, Purpose::kSample}, index);
    const auto progress = [&](int64_t done) {
      if (r.progress) r.progress(b * int64_t(plan.size()) + done, batches * int64_t(plan.size()));
    };
    const auto step = [&](const diffusion::Step& which, const diffusion::StepInputs& in) {
      return steps(which, in, labels);
    };
    take(diffusion::sample(step, plan, numbers, start, noise, progress), begin);
    steps.tell();
  }
}

}  // namespace

std::vector<uint8_t> sample_pixels(const UNet& unet, const diffusion::ScheduleConfig& schedule,
                                   diffusion::Target target,
                                   const diffusion::SamplerConfig& sampler,
                                   const SampleRequest& r) {
  const UNetConfig& c = unet.config();
  const int64_t item = c.sample_size * c.sample_size * c.in_channels;
  std::vector<uint8_t> pixels(std::size_t(r.count * item));
  const auto plan = diffusion::make_plan(diffusion::Schedule(schedule), target, sampler);
  const Tensor numbers = diffusion::numbers_of(plan, r.device);
  draw_batches(unet, plan, numbers, sampler, r, [&](const Tensor& drawn, int64_t begin) {
    const Tensor images = to_device(drawn, kCpu);
    if (r.only_finite) check_finite(images, r.first + begin);
    pixels_from_float(images.span<float>(), pixels.data() + begin * item);
  });
  return pixels;
}

void rehearse_sampling(const UNet& unet, const diffusion::ScheduleConfig& schedule,
                       diffusion::Target target, const diffusion::SamplerConfig& sampler,
                       SampleRequest r) {
  constexpr int kNew = 3;  // twice as it comes, then recorded (Replay)
  std::map<std::pair<bool, bool>, int> seen;
  const auto whole = diffusion::make_plan(diffusion::Schedule(schedule), target, sampler);
  std::vector<diffusion::Step> plan;
  for (const diffusion::Step& step : whole)
    if (seen[{step.guided, step.sigma > 0}]++ < kNew) plan.push_back(step);
  constexpr int64_t kBatches = 2;  // later ones find the memory of earlier ones
  r.count = std::min(r.count, kBatches * r.batch + r.count % r.batch);
  if (!r.labels.empty()) r.labels.resize(std::size_t(r.count));
  r.device = kMeta;
  draw_batches(unet, plan, diffusion::numbers_of(whole, r.device), sampler, r,
               [](const Tensor&, int64_t) {});
}

SampleRequest preview_request(const TrainConfig& c) {
  SampleRequest request{.count = c.preview.images,
                        .labels = {},
                        .first = 0,
                        .batch = preview_batch_of(c),
                        .seed = c.run.seed(),
                        .dtype = element_type(c.run.precision),
                        .device = c.run.device(),
                        .graph = c.run.graph};
  std::vector<int64_t> classes;
  for (int64_t label = 0; label + 1 < c.model.num_class_embeds; ++label) classes.push_back(label);
  if (!classes.empty()) request.labels = spread_labels(request.count, classes, false);
  return request;
}

Image grid_of(const std::vector<uint8_t>& pixels, int64_t height, int64_t width, int64_t channels,
              int64_t columns) {
  const auto item = std::size_t(height * width * channels);
  std::vector<Image> images;
  for (std::size_t i = 0; i + item <= pixels.size(); i += item) {
    Image image(width, height, channels);
    std::copy_n(pixels.data() + i, item, image.pixels.data());
    images.push_back(std::move(image));
  }
  return make_grid(images, columns, 2);
}

std::vector<int64_t> spread_labels(int64_t count, const std::vector<int64_t>& classes,
                                   bool by_row) {
  std::vector<int64_t> labels;
  const auto n = int64_t(classes.size());
  for (int64_t i = 0; i < count; ++i) {
    const int64_t which = by_row ? std::min(i * n / std::max<int64_t>(count, 1), n - 1) : i % n;
    labels.push_back(classes[std::size_t(which)]);
  }
  return labels;
}

}  // namespace noisette
