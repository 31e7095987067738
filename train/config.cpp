#include "train/config.h"

#include <algorithm>
#include <cmath>

#include "framework/core/check.h"
#include "train/conv_forms.h"

namespace noisette {

void DataConfig::fields(config::Fields& f) {
  f.add(
      "path", path,
      {.min_length = 1,
       .required = true,
       .doc = "training set, made by `noisette data`; FILE#SPLIT takes another split than train"});
  f.add("held_out", held_out,
        {.doc = "set that is never trained on, for evaluation; FILE#SPLIT takes another split than "
                "test; empty: none"});
  f.add("flip", flip, {.doc = "mirror half of the images, drawn anew every epoch"});
  f.add("label_dropout", label_dropout,
        {.min = 0,
         .max = 1,
         .doc = "share of labels replaced by the empty label, which guidance needs"});
}

void RunConfig::fields(config::Fields& f) {
  f.add("task", task, {.doc = "what is trained: ddpm"});
  f.add("name", name, {.min_length = 1, .doc = "name of the run's folder"});
  f.add("folder", folder, {.min_length = 1, .doc = "where run folders are made"});
  f.add("seed", seed_value, {.min = 0, .doc = "every random number follows from it"});
  f.add("updates", updates,
        {.unit = "updates", .min = 1, .doc = "length of the run in optimiser updates"});
  f.add("batch", batch,
        {.unit = "images",
         .min = 1,
         .max = (1 << 24) - 1,
         .doc = "images per update, however many pieces they are computed in"});
  f.add("micro_batch", micro_batch,
        {.unit = "images",
         .min = 0,
         .doc = "images computed at once, to save memory; 0: the whole batch"});
  f.add("device", device_name,
        {.doc = "where it is computed: cpu, cuda or, of several cards, cuda:1"});
  f.add(
      "graph", graph,
      {.doc = "on CUDA: record the kernels of a step once and replay them, with the same result"});
  f.add("tf32", tf32,
        {.doc = "on CUDA, in f32: round the factors of products and convolutions to 10 bits, for "
                "tensor cores"});
  f.add(
      "providers", providers,
      {.doc = "on CUDA: auto takes cuBLASLt or cuDNN for a product, convolution or attention where "
              "it measures faster than noisette's kernel; none: never"});
  f.add("deterministic", deterministic,
        {.doc = "nothing is left to a clock: providers as none, conv_forms by rule"});
  f.add("precision", precision,
        {.doc = "of activations and products: f32 or bf16; weights, sums and statistics stay f32"});
  f.add("recompute", recompute,
        {.doc = "what is computed twice to save memory, with the same result: none, norms (a few "
                "percent more time) or "
                "blocks (a third more)"});
  f.add("conv", conv,
        {.doc = "how 3x3 convolutions are computed on the CPU: auto takes what measures faster, "
                "shape by shape; winograd or direct wherever there is a choice"});
  f.add("conv_forms", conv_forms,
        {.doc = "what auto chose, \"rule\" and the exceptions to it; empty: a run measures when it "
                "starts, and writes here what it found"});
  f.add("log_every", log_every,
        {.unit = "updates", .min = 1, .doc = "updates between records in metrics.jsonl"});
}

std::string RunConfig::problem() const {
  if (task != "ddpm") return fmt::format("task '{}' is unknown; known: ddpm", task);
  if (!parse_device(device_name))
    return fmt::format("device '{}' is unknown; known: cpu, cuda, cuda:0, cuda:1 and so on",
                       device_name);
  if (name.find('/') != std::string::npos || name == "." || name == "..")
    return fmt::format("name '{}' must be a plain folder name; use folder for the place", name);
  for (const std::string& text : conv_forms)
    if (text != kByRule && !read_conv_form(text))
      return fmt::format(
          "conv_forms holds '{}', which is neither {} nor as in '{}'", text, kByRule,
          write_conv_form({{ConvPass::backward_data, {16, 8, 8, 512, 256, 3, 3, 1, 1, 1, 1, 1}},
                           cpu::ConvForm::direct}));
  if (!conv_forms.empty() && conv_forms[0] != kByRule)
    return fmt::format("conv_forms begins with '{}'; got '{}'", kByRule, conv_forms[0]);
  return "";
}

void CheckpointConfig::fields(config::Fields& f) {
  f.add("every", every,
        {.unit = "updates",
         .min = 1,
         .doc = "updates between checkpoints; the last update always has one"});
  f.add("keep", keep, {.min = 1, .doc = "so many of the newest checkpoints stay"});
  f.add("keep_every", keep_every,
        {.unit = "updates",
         .min = 0,
         .doc = "checkpoints at multiples of this stay for good; 0: none"});
}

void PreviewConfig::fields(config::Fields& f) {
  f.add("every", every,
        {.unit = "updates",
         .min = 0,
         .doc = "updates between sample grids, from the same noise each time; 0: none"});
  f.add("images", images,
        {.min = 1, .max = 4096, .doc = "images in a preview; classes take turns"});
  f.add("steps", steps, {.min = 1, .doc = "sampling steps of a preview"});
  f.add("guidance", guidance,
        {.min = 0, .max = 100, .doc = "guidance scale of a preview; 1: none"});
}

void TrainConfig::fields(config::Fields& f) {
  f.table("run", run, "length, batch, precision and place of the run");
  f.table("model", model, "the denoising UNet; names as in diffusers' UNet2DModel");
  f.table("schedule", schedule, "the noise schedule");
  f.table("objective", objective, "what the network predicts and how its errors count");
  f.table("data", data, "training data");
  f.table("optimizer", optimizer, "AdamW, clipping and the running average");
  f.table("sampler", sampler,
          "how images are made from the model, unless the command line says otherwise");
  f.table("checkpoint", checkpoint, "saved states");
  f.table("preview", preview, "sample grids while training");
}

std::string TrainConfig::problem() const {
  if (data.label_dropout > 0 && model.num_class_embeds == 1)
    return "model.num_class_embeds = 1 is the empty label alone; a class-conditional model needs "
           "at least 2";
  return "";
}

namespace {

void check_plan(const TrainConfig& c, const char* table, const diffusion::SamplerConfig& sampler) {
  try {
    diffusion::make_plan(diffusion::Schedule(c.schedule), c.objective.target, sampler);
  } catch (const UsageError& e) {
    throw UsageError(fmt::format("[config] [{}] cannot draw an image: {}", table, e.what()));
  }
}

void check_weaker(const TrainConfig& c) {
  if (c.sampler.autoguidance != 1 && c.sampler.autoguidance_share > 0 && c.run.updates < 2)
    throw UsageError(
        "[config] sampler.autoguidance leads away from an earlier update of the run, and a run of "
        "1 update has none; take sampler.autoguidance = 1");
}

TrainConfig from_parsed(const config::Table& table, const std::string& origin) {
  TrainConfig c;
  if (const auto model = table.find("model"); model != table.end())
    if (const auto* keys = model->second.as<config::Table>())
      if (const auto preset = keys->find("preset"); preset != keys->end())
        if (const auto* name = preset->second.as<std::string>()) c.model = unet_preset(*name);
  config::TableSlot root = config::Fields::table_of(c);
  config::assign(root, table, origin);
  return c;
}

}  // namespace

TrainConfig load_train_config(const std::filesystem::path& path,
                              std::span<const std::string> overrides) {
  config::Table table = config::load_file(path);
  for (const std::string& o : overrides) config::apply_override(table, o);
  return from_parsed(table, path.string());
}

TrainConfig parse_train_config(const std::string& text, const std::string& origin,
                               std::span<const std::string> overrides) {
  config::Table table = config::parse_text(text, origin);
  for (const std::string& o : overrides) config::apply_override(table, o);
  return from_parsed(table, origin);
}

void check_run(const TrainConfig& c) {
  const std::size_t halvings = c.model.block_out_channels.size() - 1;
  const int64_t multiple = int64_t(1) << halvings;
  if (c.model.sample_size % multiple != 0)
    throw UsageError(fmt::format(
        "[config] {} levels of model.block_out_channels halve the image {} times, which needs a "
        "model.sample_size divisible by {}; got {}",
        halvings + 1, halvings, multiple, c.model.sample_size));
  check_plan(c, "sampler", c.sampler);
  check_weaker(c);
  if (c.preview.every > 0) check_plan(c, "preview", preview_sampler(c));
}

int64_t weaker_update(const TrainConfig& c) {
  if (c.sampler.autoguidance == 1 || c.sampler.autoguidance_share == 0) return 0;
  const int64_t last = std::max<int64_t>(c.run.updates - 1, 0);
  return std::clamp<int64_t>(std::llround(c.sampler.autoguidance_share * double(c.run.updates)),
                             std::min<int64_t>(1, last), last);
}

diffusion::SamplerConfig preview_sampler(const TrainConfig& c) {
  diffusion::SamplerConfig sampler = c.sampler;
  sampler.steps = c.preview.steps;
  sampler.guidance = c.preview.guidance;
  sampler.autoguidance = 1;  // early previews have no weaker network yet
  return sampler;
}

}  // namespace noisette
