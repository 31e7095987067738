#include "train/model_source.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "models/diffusion/scheduler_file.h"
#include "models/unet/diffusers.h"
#include "train/checkpoint.h"
#include "train/file_kind.h"
#include "train/precision.h"
#include "train/providers.h"

namespace noisette {
namespace {

namespace fs = std::filesystem;
constexpr const char* kScheduler = "scheduler_config.json";
constexpr const char* kWanted = "a run folder, a checkpoint or a model folder";

/// The scheduler's file: beside the network, or in the scheduler/ of a pipeline; empty without one.
fs::path scheduler_of(const fs::path& source) {
  const fs::path network = network_folder(source), whole = fs::canonical(network);
  std::vector<fs::path> places = {network / kScheduler, source / "scheduler" / kScheduler,
                                  source / kScheduler};
  if (whole.filename() == "unet") places.push_back(whole.parent_path() / "scheduler" / kScheduler);
  const auto found = std::find_if(places.begin(), places.end(),
                                  [](const fs::path& place) { return fs::exists(place); });
  return found == places.end() ? fs::path() : *found;
}

/// Takes schedule, target and sampler from the scheduler's file, or says what is assumed without
/// one.
void add_scheduler(const fs::path& source, const ModelOptions& options, TrainConfig& config) {
  if (const fs::path file = scheduler_of(source); !file.empty()) {
    const diffusion::SchedulerFile scheduler = diffusion::read_scheduler(file);
    config.schedule = scheduler.schedule;
    config.objective.target = scheduler.target;
    config.sampler = scheduler.sampler;
    return;
  }
  const bool told = std::any_of(options.overrides.begin(), options.overrides.end(), [](auto& o) {
    return o.starts_with("schedule.") || o.starts_with("objective.");
  });
  if (!told)
    spdlog::warn(
        "{} has no {}: taken for a network that predicts eps on the linear schedule of {} steps; "
        "if it is another, say so with --set objective.target=..., --set schedule.betas=...",
        source.string(), kScheduler, config.schedule.steps);
}

LoadedModel build(TrainConfig config, const ModelOptions& options, bool ema) {
  LoadedModel model;
  model.config = std::move(config);
  model.config.run.device_name = options.device;
  check_device(model.config.run.device());
  if (options.precision)
    model.config.run.precision = *options.precision;
  else if (!options.keep_precision)
    use_supported_precision(model.config);
  use_tf32(model.config);
  use_providers(model.config);
  model.unet = std::make_unique<UNet>(model.config.model);
  model.arena = std::make_unique<ParameterArena>(
      *model.unet, ArenaOptions{.device = model.config.run.device(),
                                .dtype = element_type(model.config.run.precision),
                                .trainable = false,
                                .ema = ema});
  return model;
}

/// A file that is no checkpoint is called what it is.
void check_checkpoint(const fs::path& file) {
  const FileKind kind = kind_of(file, "model", kWanted);
  check_user(kind != FileKind::safetensors,
             "[model] {} holds weights alone; the model is the folder with its config.json beside "
             "them, as diffusers writes it",
             file.string());
  check_user(kind == FileKind::checkpoint, "[model] {} is a {}; wanted {}", file.string(),
             kind == FileKind::data_set ? "data set" : "picture", kWanted);
}

/// A network of such weights draws noise, or black and white, without a word.
void check_weights(const LoadedModel& model) {
  const std::string bad = first_not_finite(*model.arena);
  check_user(bad.empty(),
             "[model] {} has values that are not finite, first in the {}: it is damaged, or its "
             "training failed; `noisette info --verify` counts them",
             model.origin, bad);
}

}  // namespace

bool is_model_folder(const fs::path& source) {
  return fs::exists(source / "config.json") || fs::exists(source / "unet" / "config.json");
}

fs::path network_folder(const fs::path& source) {
  const bool pipeline =
      fs::exists(source / "model_index.json") && fs::exists(source / "unet" / "config.json");
  return !pipeline && fs::exists(source / "config.json") ? source : source / "unet";
}

fs::path weights_of(const fs::path& folder) {
  const std::string name = "diffusion_pytorch_model";
  for (const char* ending : {".safetensors.index.json", ".safetensors", ".fp16.safetensors"})
    if (fs::exists(folder / (name + ending))) return folder / (name + ending);
  const bool pickle = fs::exists(folder / (name + ".bin"));
  throw Error(fmt::format(
      "[model] {} has no {}.safetensors{}", folder.string(), name,
      pickle ? ", only a .bin file, which is pickled code and never read; save the model again "
               "with diffusers: UNet2DModel.from_pretrained(folder).save_pretrained(new_folder)"
             : ""));
}

fs::path resolve_model(const fs::path& source) {
  check_user(fs::exists(source), "[model] {} does not exist; wanted {}", source.string(), kWanted);
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

void check_overrides(const std::string& command, std::span<const std::string> overrides,
                     std::span<const std::string_view> keys) {
  for (const std::string& text : overrides) {
    const std::string_view name = std::string_view(text).substr(0, text.find_first_of("= "));
    const bool known = std::any_of(keys.begin(), keys.end(), [&](std::string_view key) {
      return key.ends_with('.') ? name.starts_with(key) : name == key;
    });
    if (known) continue;
    std::vector<std::string> shown;
    for (const std::string_view key : keys)
      shown.push_back(fmt::format("{}{}", key, key.ends_with('.') ? "*" : ""));
    throw UsageError(fmt::format("[{}] of a trained model, --set changes {}; got --set {}", command,
                                 fmt::join(shown, ", "), text));
  }
}

LoadedModel open_model(const fs::path& source, const ModelOptions& options) {
  const fs::path path = resolve_model(source);
  if (fs::is_directory(path)) {
    const fs::path folder = network_folder(path), weights = weights_of(folder);
    TrainConfig config;
    config.data.path = "none";
    config.model = read_unet_config(folder / "config.json");
    if (config.model.num_class_embeds == 1) config.data.label_dropout = 0;  // is not trained here
    if (options.scheduler) add_scheduler(path, options, config);
    LoadedModel model =
        build(parse_train_config(config::to_toml(config), path.string(), options.overrides),
              options, false);
    read_weights(SafetensorsModel::open(weights), *model.arena);
    model.origin = weights.string();
    check_weights(model);
    return model;
  }
  check_checkpoint(path);
  const CheckpointInfo info = read_checkpoint_info(path);
  TrainConfig config = parse_train_config(info.config, path.string(), options.overrides);
  const bool ema = options.ema && config.optimizer.ema_decay > 0;
  LoadedModel model = build(std::move(config), options, ema);
  load_checkpoint(path, *model.arena);
  if (ema) model.arena->use(ParameterArena::Weights::ema);
  model.origin = path.string();
  model.update = info.update;
  model.data_fingerprint = info.data_fingerprint;
  check_weights(model);
  return model;
}

}  // namespace noisette
