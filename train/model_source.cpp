#include "train/model_source.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <ranges>

#include "models/unet/diffusers.h"
#include "train/checkpoint.h"
#include "train/scheduler_file.h"

namespace noisette {
namespace {

namespace fs = std::filesystem;
constexpr const char* kWeights = "diffusion_pytorch_model.safetensors";

fs::path weights_of(const fs::path& folder) {
  const fs::path index = folder / (std::string(kWeights) + ".index.json");
  return fs::exists(index) ? index : folder / kWeights;
}

/// The folder that holds config.json itself: a pipeline keeps its network in unet/.
fs::path network_folder(const fs::path& source) {
  return fs::exists(source / "config.json") ? source : source / "unet";
}

LoadedModel build(TrainConfig config, const ModelOptions& options, bool ema) {
  LoadedModel model;
  model.config = std::move(config);
  if (options.precision) model.config.run.precision = *options.precision;
  const DType dtype = model.config.run.precision == Precision::bf16 ? DType::bf16 : DType::f32;
  model.unet = std::make_unique<UNet>(model.config.model);
  model.arena = std::make_unique<ParameterArena>(
      *model.unet, ArenaOptions{.dtype = dtype, .trainable = false, .ema = ema});
  return model;
}

}  // namespace

bool is_model_folder(const fs::path& source) {
  return fs::exists(source / "config.json") || fs::exists(source / "unet" / "config.json");
}

void check_overrides(const std::string& command, std::span<const std::string> overrides,
                     std::span<const std::string_view> keys) {
  for (const std::string& text : overrides) {
    const std::string_view name = std::string_view(text).substr(0, text.find_first_of("= "));
    const bool known = std::any_of(keys.begin(), keys.end(), [&](std::string_view key) {
      return key.ends_with('.') ? name.starts_with(key) : name == key;
    });
    if (!known)
      throw UsageError(
          fmt::format("[{}] of a trained model, --set changes {}; got --set {}", command,
                      fmt::join(keys | std::views::transform([](std::string_view key) {
                                  return fmt::format("{}{}", key, key.ends_with('.') ? "*" : "");
                                }),
                                ", "),
                      text));
  }
}

fs::path resolve_model(const fs::path& source) {
  check_user(fs::exists(source),
             "[model] {} does not exist; wanted a run folder, a checkpoint or a model folder",
             source.string());
  if (!fs::is_directory(source) || is_model_folder(source)) return source;
  const fs::path folder = fs::exists(source / "checkpoints") ? source / "checkpoints" : source;
  std::vector<std::string> skipped;
  const auto newest = newest_valid_checkpoint(folder, skipped);
  check_user(newest.has_value(), "[model] {} holds no checkpoint that can be read{}{}",
             source.string(), skipped.empty() ? "" : ": ", fmt::join(skipped, "; "));
  for (const std::string& reason : skipped)
    spdlog::warn("passed over a damaged checkpoint: {}", reason);
  return *newest;
}

LoadedModel open_model(const fs::path& source, const ModelOptions& options) {
  const fs::path path = resolve_model(source);
  if (fs::is_directory(path)) {
    const fs::path folder = network_folder(path);
    std::vector<std::string> overrides(options.overrides.begin(), options.overrides.end());
    std::string text = "[data]\npath = \"none\"\n";
    if (const auto scheduler = find_scheduler_file(folder))
      text += read_scheduler(*scheduler);
    else if (options.draws)
      spdlog::warn(
          "{} has no scheduler_config.json: the target eps and the linear schedule of 1000 steps "
          "are "
          "assumed; --set objective.target=..., schedule.betas=... say otherwise",
          path.string());
    TrainConfig config = parse_train_config(text, path.string(), overrides);
    config.model = read_unet_config(folder / "config.json");
    LoadedModel model = build(std::move(config), options, false);
    read_weights(SafetensorsModel::open(weights_of(folder)), *model.arena);
    model.origin = weights_of(folder).string();
    return model;
  }
  const CheckpointInfo info = read_checkpoint_info(path);
  TrainConfig config = parse_train_config(info.config, path.string(), options.overrides);
  const bool ema = options.ema && config.optimizer.ema_decay > 0;
  LoadedModel model = build(std::move(config), options, ema);
  load_checkpoint(path, *model.arena);
  if (ema) model.arena->use(ParameterArena::Weights::ema);
  model.origin = path.string();
  model.update = info.update;
  model.data_fingerprint = info.data_fingerprint;
  return model;
}

}  // namespace noisette
