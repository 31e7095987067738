// How well a network fits held-out images: the variational bound with its parts, and the loss by
// timestep. Both from noise that is keyed by (seed, image number, timestep), so that neither the
// batch size nor what else is measured changes a figure.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "framework/data/dataset.h"
#include "models/diffusion/sample.h"
#include "models/diffusion/vlb.h"

namespace noisette {

/// A network and the process it denoises.
struct EvalModel {
  diffusion::LabelledDenoiser network;  // labels are undefined when num_classes = 0
  diffusion::ScheduleConfig schedule;
  diffusion::Target target = diffusion::Target::eps;
  diffusion::Variance variance = diffusion::Variance::fixed_large;  // of the reverse step
  std::optional<double> clip = 1.0;  // the predicted clean image is clamped, as in sampling
  int64_t num_class_embeds = 0;      // 0: no classes; the last one is the empty label
  DType dtype = DType::f32;          // what the network computes in
  Device device = kCpu;              // where its weights are
  bool graph = true;                 // on a device: replay batches of one shape (Replay)
};

struct EvalOptions {
  bool bound = true, bands = true;
  int64_t images = 256;    // spread evenly over the split; 0: all
  int64_t timesteps = 50;  // per image and metric; 0: all of them
  int64_t batch = 64;      // network evaluations at once
  uint64_t seed = 0;
  std::function<void(double, int64_t)> progress = {};  // images done, and of how many
};

/// The bound in bits per dimension, and its parts: bits = prior + kl + decoder. Ho et al. 2020, eq.
/// 5 and 13.
struct BoundResult {
  double bits = 0, standard_error = 0;  // of the mean over images
  double prior = 0;                     // L_T
  double kl = 0;                        // L_1 + .. + L_{T-1}
  double decoder = 0;                   // L_0
  bool exact = false;                   // every timestep of every image
};

/// Mean squared error of the target, without weights (Ho et al. 2020, eq. 14), by ten equal bands
/// of the timestep.
struct BandsResult {
  double loss = 0;
  std::vector<double> bands;  // noise-free end first
  bool exact = false;
};

struct EvalResult {
  int64_t images = 0;
  int64_t evaluations = 0;  // of the network
  std::optional<BoundResult> bound;
  std::optional<BandsResult> bands;
};

/// With fewer timesteps than all, each image draws one timestep, keyed by its number, in each of as
/// many stretches, and each draw stands for its stretch: an unbiased estimate. The stretches of the
/// bound are shorter near t = 1, where its terms are largest; L_0 and L_T are always computed.
EvalResult evaluate(const EvalModel& model, const DataSplit& data, const EvalOptions& options);

/// One timestep to ask the network at, and how many it stands for.
struct TimestepDraw {
  int64_t t = 0;
  double weight = 0;
};
/// The draws of one image: one in each stretch between neighbouring `edges` (ascending).
std::vector<TimestepDraw> draw_timesteps(const std::vector<int64_t>& edges, uint64_t seed,
                                         int64_t image);
/// Edges of `count` stretches of [begin, end), none empty: equal ones, or growing with the square
/// of their number.
std::vector<int64_t> equal_stretches(int64_t begin, int64_t end, int64_t count);
std::vector<int64_t> growing_stretches(int64_t begin, int64_t end, int64_t count);

}  // namespace noisette
