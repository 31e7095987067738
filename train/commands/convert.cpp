// noisette convert: to and from diffusers' folder of a pixel UNet.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "framework/core/check.h"
#include "framework/report/table.h"
#include "models/diffusion/scheduler_file.h"
#include "models/unet/diffusers.h"
#include "train/checkpoint.h"
#include "train/commands/commands.h"
#include "train/commands/options.h"
#include "train/model_source.h"

namespace noisette::commands {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string in, out, to = "diffusers";
  std::vector<std::string> set;
  bool raw = false;
};

/// A name that says it is something else than what --to makes of it.
void check_name(const Options& o) {
  const std::string ending = fs::path(o.out).extension();
  const auto is = [&](std::initializer_list<const char*> endings) {
    return std::find(endings.begin(), endings.end(), ending) != endings.end();
  };
  if (o.to == "diffusers" &&
      is({".safetensors", ".h5", ".hdf5", ".bin", ".pt", ".pth", ".ckpt", ".json"}))
    throw UsageError(fmt::format(
        "[convert] --to diffusers makes a folder; got the name of a file, {}; for one HDF5 file "
        "use --to checkpoint",
        o.out));
  if (o.to == "checkpoint" && is({".safetensors", ".bin", ".pt", ".pth", ".json"}))
    throw UsageError(
        fmt::format("[convert] --to checkpoint writes an HDF5 file; got {}, where a name in .h5 "
                    "would be right; for a folder with safetensors use --to diffusers",
                    o.out));
}

/// How the model's own samples are drawn is no part of diffusers' files: guidance is asked for with
/// each call there, and autoguidance would take a second network.
void warn_of_guidance(const diffusion::SamplerConfig& s) {
  if (s.guidance == 1 && s.autoguidance == 1) return;
  const std::string away =
      s.autoguidance == 1 ? "" : fmt::format(" and autoguidance {}", s.autoguidance);
  spdlog::warn(
      "the model draws with guidance {}{}, which a folder of diffusers cannot hold: ask for that "
      "again when drawing from it",
      s.guidance, away);
}

void run(const Options& o) {
  check_name(o);
  LoadedModel model = open_model(
      o.in, {.ema = !o.raw, .precision = {}, .keep_precision = true, .overrides = o.set});
  const ParameterArena& arena = *model.arena;
  const auto which = arena.in_use();
  if (o.to == "diffusers") {
    const TrainConfig& c = model.config;
    warn_of_guidance(c.sampler);
    write_unet_folder(o.out, c.model, arena, which,
                      diffusion::scheduler_json({c.schedule, c.objective.target, c.sampler}));
  } else {
    check_user(!fs::exists(o.out), "[convert] {} exists already; choose another name", o.out);
    if (!arena.ema().defined()) model.config.optimizer.ema_decay = 0;  // as the file will be
    save_checkpoint(o.out, arena,
                    {.task = model.config.run.task,
                     .update = model.update,
                     .config = config::to_toml(model.config),
                     .data_fingerprint = "",
                     .numbers = {}});
  }
  print(fmt::format("{}: {} tensors, {} parameters, {} weights -> {}", model.origin,
                    arena.entries().size(), format_count(model.unet->parameter_count()),
                    which == ParameterArena::Weights::ema ? "averaged" : "raw", o.out));
}

}  // namespace

void add_convert(CLI::App& app) {
  CLI::App* cmd =
      app.add_subcommand("convert", "convert a model to or from diffusers' folder layout");
  auto o = std::make_shared<Options>();
  cmd->add_option("IN", o->in,
                  "run folder, checkpoint, or diffusers' folder of a UNet2DModel or its pipeline")
      ->required();
  cmd->add_option("OUT", o->out,
                  "folder (diffusers) or .h5 file (checkpoint) to write; must not exist")
      ->required();
  cmd->add_option("--to", o->to,
                  "diffusers: config.json, scheduler_config.json and safetensors; checkpoint: one "
                  "HDF5 file, of weights alone: "
                  "it cannot be resumed")
      ->check(CLI::IsMember({"diffusers", "checkpoint"}))
      ->capture_default_str();
  cmd->add_option("--set", o->set,
                  "key=value of the model's configuration, as in objective.target=v, for a folder "
                  "without scheduler_config.json")
      ->allow_extra_args(false);
  cmd->add_flag("--raw", o->raw, "the weights as trained instead of their running average");
  cmd->callback([o] { run(*o); });
}

}  // namespace noisette::commands
