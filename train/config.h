// The configuration of a training run: one TOML file, one struct. `noisette config --describe`
// prints every key.
#pragma once
#include <array>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "framework/config/config.h"
#include "framework/core/device.h"
#include "framework/nn/module.h"
#include "framework/optim/config.h"
#include "models/diffusion/plan.h"
#include "models/unet/config.h"

namespace noisette {

enum class Precision { f32, bf16 };
inline constexpr std::array<std::string_view, 2> kPrecisionNames = {"f32", "bf16"};
constexpr std::span<const std::string_view> enum_names(Precision) { return kPrecisionNames; }

/// How 3x3 convolutions of stride 1 are computed on the CPU (docs/winograd.md).
enum class Conv { automatic, winograd, direct };
inline constexpr std::array<std::string_view, 3> kConvNames = {"auto", "winograd", "direct"};
constexpr std::span<const std::string_view> enum_names(Conv) { return kConvNames; }

/// Whether libraries may stand in for our CUDA kernels (kernels/cuda/providers).
enum class Providers { automatic, none };
inline constexpr std::array<std::string_view, 2> kProvidersNames = {"auto", "none"};
constexpr std::span<const std::string_view> enum_names(Providers) { return kProvidersNames; }

struct DataConfig {
  std::string path;
  std::string held_out;
  bool flip = false;
  double label_dropout = 0.1;

  void fields(config::Fields& f);
};

struct RunConfig {
  std::string task = "ddpm";
  std::string name = "run";
  std::string folder = "runs";
  uint64_t seed() const { return uint64_t(seed_value); }
  int64_t seed_value = 0;
  int64_t updates = 1000;
  int64_t batch = 128;
  int64_t micro_batch = 0;
  std::string device_name = "cpu";
  Device device() const { return parse_device(device_name).value_or(Device{}); }
  bool graph = true;
  bool tf32 = false;
  Providers providers = Providers::automatic;
  bool deterministic = false;
  Precision precision = Precision::f32;
  Recompute recompute = Recompute::norms;
  Conv conv = Conv::automatic;
  std::vector<std::string> conv_forms;
  int64_t log_every = 10;

  void fields(config::Fields& f);
  std::string problem() const;
};

struct CheckpointConfig {
  int64_t every = 1000;
  int64_t keep = 2;
  int64_t keep_every = 0;

  void fields(config::Fields& f);
};

struct PreviewConfig {
  int64_t every = 0;
  int64_t images = 16;
  int64_t steps = 50;
  double guidance = 1;

  void fields(config::Fields& f);
};

struct TrainConfig {
  RunConfig run;
  UNetConfig model;
  diffusion::ScheduleConfig schedule;
  diffusion::ObjectiveConfig objective;
  diffusion::SamplerConfig sampler;
  DataConfig data;
  OptimizerConfig optimizer;
  CheckpointConfig checkpoint;
  PreviewConfig preview;

  void fields(config::Fields& f);
  std::string problem() const;
  std::filesystem::path run_folder() const { return std::filesystem::path(run.folder) / run.name; }
};

/// Reads a file, applies --set assignments, and starts from the model's preset where one is named.
TrainConfig load_train_config(const std::filesystem::path& path,
                              std::span<const std::string> overrides = {});
/// The same from the resolved text that a checkpoint carries.
TrainConfig parse_train_config(const std::string& text, const std::string& origin,
                               std::span<const std::string> overrides = {});

/// What only a run needs, for files of older runs stay readable: images that the network's levels
/// can halve, and a sampler and previews that the schedule can serve. Throws UsageError.
void check_run(const TrainConfig& config);

/// After which update the run's own network is the weaker one of autoguidance; 0: never.
int64_t weaker_update(const TrainConfig& config);

/// How previews are drawn: as [sampler] says, but for what [preview] has of its own.
diffusion::SamplerConfig preview_sampler(const TrainConfig& config);

}  // namespace noisette
