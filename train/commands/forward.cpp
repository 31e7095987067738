// noisette forward: one forward pass on given tensors, for people who check a port.
#include <algorithm>
#include <cmath>

#include "framework/autograd/autograd.h"
#include "framework/core/check.h"
#include "framework/ops/elementwise.h"
#include "models/unet/diffusers.h"
#include "train/commands/commands.h"
#include "train/commands/options.h"
#include "train/conv_forms.h"
#include "train/model_source.h"
#include "train/precision.h"

namespace noisette::commands {
namespace {

struct Options {
  std::string model, input, output, dtype = "f32", device = "cpu";
  int64_t threads = 0;
  bool raw = false;
};

/// The values of an I64 or I32 tensor.
std::vector<int64_t> integers(const SafetensorsEntry& entry) {
  const auto count = std::size_t(entry.shape.numel());
  std::vector<int64_t> values(count);
  if (entry.element_type() == DType::i64) {
    std::memcpy(values.data(), entry.bytes.data(), entry.bytes.size());
  } else {
    std::vector<int32_t> narrow(count);
    std::memcpy(narrow.data(), entry.bytes.data(), entry.bytes.size());
    std::copy(narrow.begin(), narrow.end(), values.begin());
  }
  return values;
}

/// Whether a tensor of timesteps or labels holds numbers with a fraction part.
bool is_fractional(const SafetensorsEntry& entry) {
  const auto type = entry.element_type();
  const bool floating = type && is_floating(*type);
  check_user(floating || type == DType::i64 || type == DType::i32,
             "[forward] '{}' is {}; wanted I64, I32, F64, F32, F16 or BF16", entry.name,
             entry.dtype);
  return floating;
}

/// A 0- or 1-axis tensor as [n]; one value serves all images.
template <class T>
Tensor per_image(const SafetensorsEntry& entry, std::vector<T> values, int64_t n) {
  if (values.size() == 1) values.assign(std::size_t(n), values[0]);
  check_user(int64_t(values.size()) == n, "[forward] '{}' has {} values for {} images", entry.name,
             values.size(), n);
  return from_vector<T>(values, {n});
}

/// Timesteps, i64 or f32 as they are written: the embedding of time takes any number.
Tensor timesteps(const SafetensorsEntry& entry, int64_t n) {
  if (!is_fractional(entry)) return per_image(entry, integers(entry), n);
  return per_image(entry, as_f32(entry), n);
}

/// Class labels from 0 to classes - 1.
Tensor labels_of(const SafetensorsEntry& entry, int64_t n, int64_t classes) {
  const auto refuse_unless = [&](bool ok, auto value) {
    check_user(ok, "[forward] '{}' must be whole numbers from 0 to {}; got {}", entry.name,
               classes - 1, value);
  };
  std::vector<int64_t> values;
  if (is_fractional(entry)) {
    for (const float v : as_f32(entry)) {
      refuse_unless(v >= 0 && v < float(classes) && v == std::floor(v), v);
      values.push_back(int64_t(v));
    }
  } else {
    values = integers(entry);
    for (const int64_t v : values) refuse_unless(v >= 0 && v < classes, v);
  }
  return per_image(entry, std::move(values), n);
}

/// out [N, ...]: an image that is not finite is no answer.
void check_finite(const std::vector<float>& out, int64_t n, const std::string& dtype) {
  const auto bad = std::find_if(out.begin(), out.end(), [](float v) { return !std::isfinite(v); });
  check_user(bad == out.end(),
             "[forward] the output of image {} has values that are not finite: its inputs are not, "
             "or the network overflows with these weights in {}",
             (bad - out.begin()) * n / std::max(int64_t(out.size()), int64_t(1)), dtype);
}

/// Images that the network can halve as often as it has levels to.
void check_sample(const SafetensorsEntry& sample, const UNetConfig& c, const std::string& file) {
  const Shape& s = sample.shape;
  const int64_t multiple = int64_t(1) << (c.block_out_channels.size() - 1);
  check_user(s.ndim() == 4 && s[1] == c.in_channels && s[2] % multiple == 0 && s[3] % multiple == 0,
             "[forward] {}: 'sample' must be [N, {}, H, W] with H and W multiples of {}; got {}",
             file, c.in_channels, multiple, s);
}

void run(const Options& o) {
  use_threads(o.threads);
  check_writable(o.output);
  const Precision precision = precision_of(o.dtype);
  const LoadedModel model = open_model(o.model, {.ema = !o.raw,
                                                 .precision = precision,
                                                 .device = o.device,
                                                 .overrides = {},
                                                 .scheduler = false});
  const Device device = model.config.run.device();
  use_conv_forms(model.config);
  const SafetensorsFile input = SafetensorsFile::open(o.input);
  const SafetensorsEntry& sample = input.at("sample");
  const UNetConfig& c = model.config.model;
  check_sample(sample, c, o.input);
  check_user(c.num_class_embeds > 0 || input.find("class_labels") == nullptr,
             "[forward] {} holds 'class_labels', and {} has no classes; leave them out", o.input,
             model.origin);
  const int64_t n = sample.shape[0], h = sample.shape[2], w = sample.shape[3];
  const NoGrad no_grad;
  const Tensor x =
      from_vector<float>(to_nhwc(as_f32(sample), sample.shape), {n, h, w, c.in_channels}, device);
  const Tensor t = to_device(timesteps(input.at("timestep"), n), device);
  Tensor labels;
  if (c.num_class_embeds > 0)
    labels = to_device(labels_of(input.at("class_labels"), n, c.num_class_embeds), device);
  const DType dtype = element_type(precision);
  const Tensor y = cast((*model.unet)(cast(x, dtype), t, labels), DType::f32);
  const std::vector<float> out = to_nchw(to_vector<float>(y), y.shape());
  check_finite(out, n, o.dtype);
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
  cmd->add_option(
         "--input", o->input,
         "safetensors with `sample` [N, C, H, W], `timestep` [N] or one value, whole or not, "
         "and for a class-conditional model `class_labels` [N] or one value")
      ->required();
  cmd->add_option("--output", o->output, "safetensors to write: `sample` [N, C, H, W]")->required();
  cmd->add_option("--dtype", o->dtype, "precision of activations")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->capture_default_str();
  add_device(cmd, o->device, "cpu");
  add_threads(cmd, o->threads);
  cmd->add_flag("--raw", o->raw, "the weights as trained instead of their running average");
  cmd->callback([o] { run(*o); });
}

}  // namespace noisette::commands
