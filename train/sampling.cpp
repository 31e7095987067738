#include "train/sampling.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include "framework/autograd/autograd.h"
#include "framework/core/replay.h"
#include "framework/data/loader.h"
#include "framework/io/resample.h"
#include "framework/ops/random.h"
#include "kernels/accumulate.h"
#include "models/diffusion/sample.h"
#include "train/micro_batch.h"
#include "train/precision.h"

namespace noisette {
namespace {

Tensor numbers_from(int64_t first, int64_t n, Device device) {
  std::vector<int64_t> numbers(static_cast<std::size_t>(n));
  std::iota(numbers.begin(), numbers.end(), first);
  return from_vector(numbers, {n}, device);
}

constexpr double kConditional = 1;

/// A network as samplers call it: x, t and labels to its output, which is valid until the next
/// call. Calls of one shape are replayed on a device.
class Network {
 public:
  Network(const UNet& unet, bool replayed)
      : unet_(unet),
        replay_(
            [&unet](const std::vector<Tensor>& in) -> std::vector<Tensor> {
              return {in[2].defined() ? unet(in[0], in[1], in[2]) : unet(in[0], in[1])};
            },
            replayed) {}

  diffusion::Denoiser denoiser(const Tensor& labels, double guidance) {
    if (!labels.defined())
      return [this](const Tensor& x, const Tensor& t) { return replay_({x, t, Tensor()})[0]; };
    return diffusion::guide(
        [this](const Tensor& x, const Tensor& t, const Tensor& l) {
          return replay_({x, t, l})[0];
        },
        labels, unet_.config().num_class_embeds - 1, guidance);
  }

 private:
  const UNet& unet_;
  Replay replay_;
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

/// Carries out `plan` batch by batch; take(images [n, H, W, C], how many came before) has them.
template <class Take>
void draw_batches(const UNet& unet, const std::vector<diffusion::Step>& plan,
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
  // Batches that guidance doubles and those it does not are networks of their own: two shapes.
  Network network(unet, r.graph), unguided(unet, r.graph);
  std::optional<Network> weaker;
  if (sampler.autoguidance != 1) weaker.emplace(*r.weaker, r.graph);
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
    diffusion::Denoiser denoise = network.denoiser(labels, sampler.guidance);
    if (weaker)
      denoise = diffusion::autoguide(std::move(denoise), weaker->denoiser(labels, kConditional),
                                     sampler.autoguidance);
    // Outside the interval nothing goes beyond the class; less of it than 1 holds there too.
    const double outside = std::min(sampler.guidance, kConditional);
    take(diffusion::sample(denoise, plan, start, r.dtype, noise, progress,
                           unguided.denoiser(labels, outside)),
         begin);
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
  draw_batches(unet, plan, sampler, r, [&](const Tensor& drawn, int64_t begin) {
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
  std::vector<diffusion::Step> plan;
  for (const diffusion::Step& step :
       diffusion::make_plan(diffusion::Schedule(schedule), target, sampler))
    if (seen[{step.guided, step.sigma > 0}]++ < kNew) plan.push_back(step);
  constexpr int64_t kBatches = 2;  // later ones find the memory of earlier ones
  r.count = std::min(r.count, kBatches * r.batch + r.count % r.batch);
  if (!r.labels.empty()) r.labels.resize(std::size_t(r.count));
  r.device = kMeta;
  draw_batches(unet, plan, sampler, r, [](const Tensor&, int64_t) {});
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
