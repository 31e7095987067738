// noisette forward: one forward pass on given tensors, for people who check a port.
#include <cmath>
#include <cstring>

#include "framework/autograd/autograd.h"
#include "framework/core/check.h"
#include "framework/ops/elementwise.h"
#include "models/unet/diffusers.h"
#include "train/commands/commands.h"
#include "train/model_source.h"

namespace noisette::commands {
namespace {

struct Options {
  std::string model, input, output, dtype = "f32";
  bool raw = false;
};

/// A 0- or 1-axis tensor of timesteps or labels as n numbers; one value serves all images.
std::vector<double> numbers_of(const SafetensorsEntry& entry, int64_t n) {
  const auto type = entry.element_type();
  std::vector<double> values;
  const auto copy = [&]<class T>(T) {
    std::vector<T> all(std::size_t(entry.shape.numel()));
    std::memcpy(all.data(), entry.bytes.data(), entry.bytes.size());
    values.assign(all.begin(), all.end());
  };
  if (type == DType::i64) {
    copy(int64_t());
  } else if (type == DType::i32) {
    copy(int32_t());
  } else {
    const std::vector<float> floats = as_f32(entry);
    values.assign(floats.begin(), floats.end());
  }
  if (values.size() == 1) values.assign(std::size_t(n), values[0]);
  check_user(int64_t(values.size()) == n, "[forward] '{}' has {} values for {} images", entry.name,
             values.size(), n);
  return values;
}

/// [n] f64: a timestep need not be whole.
Tensor timesteps_of(const SafetensorsEntry& entry, int64_t n) {
  return from_vector<double>(numbers_of(entry, n), {n});
}

/// [n] i64: numbers of rows of the class embedding.
Tensor labels_of(const SafetensorsEntry& entry, int64_t n, int64_t classes) {
  std::vector<int64_t> labels;
  for (const double value : numbers_of(entry, n)) {
    check_user(value == std::floor(value) && value >= 0 && value < double(classes),
               "[forward] '{}' must hold whole numbers from 0 to {}; got {}", entry.name,
               classes - 1, value);
    labels.push_back(int64_t(value));
  }
  return from_vector<int64_t>(labels, {n});
}

void run(const Options& o) {
  const Precision precision = o.dtype == "bf16" ? Precision::bf16 : Precision::f32;
  const LoadedModel model =
      open_model(o.model, {.ema = !o.raw, .precision = precision, .overrides = {}, .draws = false});
  const SafetensorsFile input = SafetensorsFile::open(o.input);
  const SafetensorsEntry& sample = input.at("sample");
  const UNetConfig& c = model.config.model;
  check_user(sample.shape.ndim() == 4 && sample.shape[1] == c.in_channels,
             "[forward] {}: 'sample' must be [N, {}, H, W]; got {}", o.input, c.in_channels,
             sample.shape);
  const int64_t n = sample.shape[0], h = sample.shape[2], w = sample.shape[3];
  const NoGrad no_grad;
  const Tensor x =
      from_vector<float>(to_nhwc(as_f32(sample), sample.shape), {n, h, w, c.in_channels});
  const Tensor t = timesteps_of(input.at("timestep"), n);
  const Tensor labels = c.num_class_embeds > 0
                            ? labels_of(input.at("class_labels"), n, c.num_class_embeds)
                            : Tensor();
  const DType dtype = precision == Precision::bf16 ? DType::bf16 : DType::f32;
  const Tensor y = cast((*model.unet)(cast(x, dtype), t, labels), DType::f32);
  const std::vector<float> out = to_nchw(to_vector<float>(y), y.shape());
  write_safetensors(o.output,
                    {{"sample", "F32", {n, c.out_channels, h, w}, std::as_bytes(std::span(out))}});
  print(fmt::format("{} {} -> {} {}", o.input, sample.shape, o.output,
                    Shape{n, c.out_channels, h, w}));
}

}  // namespace

void add_forward(CLI::App& app) {
  CLI::App* cmd = app.add_subcommand(
      "forward", "one forward pass on given tensors, to compare implementations");
  auto o = std::make_shared<Options>();
  cmd->add_option("MODEL", o->model,
                  "run folder, checkpoint, or folder with config.json and safetensors")
      ->required();
  cmd->add_option("--input", o->input,
                  "safetensors with `sample` [N, C, H, W], `timestep` [N] or one value, and "
                  "`class_labels` [N] for a "
                  "class-conditional model")
      ->required();
  cmd->add_option("--output", o->output, "safetensors to write: `sample` [N, C, H, W]")->required();
  cmd->add_option("--dtype", o->dtype, "precision of activations")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->capture_default_str();
  cmd->add_flag("--raw", o->raw, "the weights as trained instead of their running average");
  cmd->callback([o] { run(*o); });
}

}  // namespace noisette::commands
