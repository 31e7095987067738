// noisette convert: to and from diffusers' folder of a pixel UNet.
#include "framework/core/check.h"
#include "models/unet/diffusers.h"
#include "train/checkpoint.h"
#include "train/commands/commands.h"
#include "train/model_source.h"
#include "train/scheduler_file.h"

namespace noisette::commands {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string in, out, to = "diffusers";
  bool raw = false;
};

/// Of the run a checkpoint belongs to; the weights are read in full precision whatever it is.
std::optional<Precision> precision_of(const std::string& source) {
  const fs::path path = resolve_model(source);
  if (fs::is_directory(path)) return {};
  return parse_train_config(read_checkpoint_info(path).config, path.string(), {}).run.precision;
}

void run(const Options& o) {
  const LoadedModel model =
      open_model(o.in, {.ema = !o.raw, .precision = Precision::f32, .overrides = {}});
  const ParameterArena& arena = *model.arena;
  const auto which = arena.in_use();
  if (o.to == "diffusers") {
    write_unet_folder(o.out, model.config.model, arena, which,
                      {{"scheduler_config.json", scheduler_json(model.config)}});
  } else {
    check_user(!fs::exists(o.out), "[convert] {} exists already; choose another name", o.out);
    TrainConfig config = model.config;
    if (const auto own = precision_of(o.in)) config.run.precision = *own;
    if (!arena.ema().defined()) config.optimizer.ema_decay = 0;  // the file holds no average
    save_checkpoint(o.out, arena,
                    {.task = config.run.task,
                     .update = model.update,
                     .config = config::to_toml(config),
                     .data_fingerprint = "",
                     .numbers = {}});
  }
  print(fmt::format("{}: {} tensors, {} parameters, {} weights -> {}", model.origin,
                    arena.entries().size(), model.unet->parameter_count(),
                    which == ParameterArena::Weights::ema ? "averaged" : "raw", o.out));
}

}  // namespace

void add_convert(CLI::App& app) {
  CLI::App* cmd =
      app.add_subcommand("convert", "convert a model to or from diffusers' folder layout");
  auto o = std::make_shared<Options>();
  cmd->add_option("IN", o->in, "run folder, checkpoint, or folder with config.json and safetensors")
      ->required();
  cmd->add_option("OUT", o->out, "folder (diffusers) or file (checkpoint) to write; must not exist")
      ->required();
  cmd->add_option("--to", o->to, "diffusers: config.json + safetensors; checkpoint: one HDF5 file")
      ->check(CLI::IsMember({"diffusers", "checkpoint"}))
      ->capture_default_str();
  cmd->add_flag("--raw", o->raw, "the weights as trained instead of their running average");
  cmd->callback([o] { run(*o); });
}

}  // namespace noisette::commands
