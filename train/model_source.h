// A trained model from wherever the user has it: a run folder, a checkpoint, or a folder in diffusers' layout.
#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "framework/nn/arena.h"
#include "models/unet/unet.h"
#include "train/config.h"

namespace noisette {

struct LoadedModel {
  TrainConfig config;
  std::unique_ptr<UNet> unet;
  std::unique_ptr<ParameterArena> arena;
  std::string origin;                 // the file that was read, for messages
  int64_t update = 0;                 // 0 for a model folder
  std::string data_fingerprint = {};  // of the training set; "" where it is not known
};

struct ModelOptions {
  bool ema = true;                         // the running average where there is one
  std::optional<Precision> precision;      // default: the run's; f32 for a model folder
  std::span<const std::string> overrides;  // --set assignments, on top of what the model says
  bool draws = true;  // whether schedule and prediction matter: warns when a folder has none
};

/// Opens `source` for inference. A run folder stands for its newest checkpoint that verifies.
LoadedModel open_model(const std::filesystem::path& source, const ModelOptions& options = {});

/// Throws UsageError, naming `command`, for a --set of a key that a trained model is bound to or that has no effect on
/// what is asked of it. keys: those that have one; "sampler." stands for its whole table.
void check_overrides(const std::string& command, std::span<const std::string> overrides,
                     std::span<const std::string_view> keys);

/// What open_model() would read: the checkpoint file, or the model folder. Warns of damaged newer checkpoints.
std::filesystem::path resolve_model(const std::filesystem::path& source);
bool is_model_folder(const std::filesystem::path& source);

}  // namespace noisette
