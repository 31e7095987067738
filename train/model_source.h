// A trained model from wherever the user has it: a run folder, a checkpoint, or a folder in
// diffusers' layout.
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
  bool ema = true;                              // the running average where there is one
  std::optional<Precision> precision = {};      // default: the run's; f32 for a model folder
  bool keep_precision = false;                  // even where the CPU cannot compute in it
  std::string device = "cpu";                   // where the weights go
  std::span<const std::string> overrides = {};  // --set assignments, on top of what the model says
  bool scheduler = true;  // read a model folder's scheduler; a single forward pass needs none
};

/// Opens `source` for inference. A run folder stands for its newest checkpoint that verifies. A
/// model folder is diffusers' folder of a network or of a whole pipeline; schedule, target and
/// sampler come from its scheduler_config.json (models/diffusion/scheduler_file.h), with a warning
/// where there is none. An Error names the first tensor whose values are not finite.
LoadedModel open_model(const std::filesystem::path& source, const ModelOptions& options = {});

/// Throws UsageError, naming `command`, for a --set of a key that a trained model is bound to or
/// that has no effect on what is asked of it. keys: those that have one; "sampler." stands for its
/// whole table.
void check_overrides(const std::string& command, std::span<const std::string> overrides,
                     std::span<const std::string_view> keys);

/// What open_model() would read: the checkpoint file, or the model folder. Warns of damaged newer
/// checkpoints.
std::filesystem::path resolve_model(const std::filesystem::path& source);
bool is_model_folder(const std::filesystem::path& source);

/// The folder of a model folder that holds the network itself: a pipeline keeps it in unet/.
std::filesystem::path network_folder(const std::filesystem::path& source);
/// The safetensors file, or the index of its shards, of a network's folder; of half precision where
/// there is no other.
std::filesystem::path weights_of(const std::filesystem::path& network_folder);

}  // namespace noisette
