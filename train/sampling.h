// Images from a trained network: noise by image number, guidance, batches, pictures.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "framework/io/image.h"
#include "models/unet/unet.h"
#include "train/config.h"

namespace noisette {

struct SampleRequest {
  int64_t count = 1;
  std::vector<int64_t> labels = {};  // one per image for a class-conditional network, else empty
  int64_t first = 0;   // number of the first image: its noise depends on (seed, number) alone
  int64_t batch = 64;  // images computed at once; changes no image but for rounding
  uint64_t seed = 0;
  DType dtype = DType::f32;                             // what the network computes in
  std::function<void(int64_t, int64_t)> progress = {};  // network calls done and expected
  Device device = kCpu;                                 // where the network's weights are
  const UNet* weaker = nullptr;  // wanted when sampler.autoguidance is not 1; of the same labels
  bool graph = true;             // on a device: replay steps of one shape (Replay)
  bool only_finite = false;      // an Error for values that are not finite, which no pixel shows
};

/// Images that `noisette sample` makes unless it is told: 64, or the next multiple of the classes,
/// so that each has as many.
inline int64_t default_count(int64_t classes) {
  constexpr int64_t kDefault = 64;
  return classes > 0 ? (kDefault + classes - 1) / classes * classes : kDefault;
}

/// u8 pixels [count, H, W, C] of new images.
std::vector<uint8_t> sample_pixels(const UNet& unet, const diffusion::ScheduleConfig& schedule,
                                   diffusion::Target target,
                                   const diffusion::SamplerConfig& sampler,
                                   const SampleRequest& request);

/// Takes the memory that sample_pixels() takes of a device, for networks on meta. Of steps that do
/// the same, and of batches of one size, as many are gone through as there can be anything new in.
void rehearse_sampling(const UNet& unet, const diffusion::ScheduleConfig& schedule,
                       diffusion::Target target, const diffusion::SamplerConfig& sampler,
                       SampleRequest request);

/// The images of a preview; their sampler is preview_sampler().
SampleRequest preview_request(const TrainConfig& config);

/// The images in one picture, `columns` a row.
Image grid_of(const std::vector<uint8_t>& pixels, int64_t height, int64_t width, int64_t channels,
              int64_t columns);

/// Labels for `count` images, `classes` taking turns; with `by_row`, equal numbers of each, one
/// class after the other.
std::vector<int64_t> spread_labels(int64_t count, const std::vector<int64_t>& classes, bool by_row);

}  // namespace noisette
