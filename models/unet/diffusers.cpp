#include "models/unet/diffusers.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "framework/io/diffusers_json.h"

namespace noisette {
namespace {

using namespace diffusers;
namespace fs = std::filesystem;

/// Keys of config.json that this network has no choice about.
const std::vector<Fixed>& fixed_keys() {
  static const std::vector<Fixed> keys = {{"act_fn", {"silu", "swish"}},
                                          {"attn_norm_num_groups", {nullptr}},
                                          {"center_input_sample", {false}},
                                          {"class_embed_type", {nullptr}},
                                          {"downsample_type", {"conv"}},
                                          {"mid_block_type", {"UNetMidBlock2D"}},
                                          {"resnet_time_scale_shift", {"default"}},
                                          {"time_embedding_dim", {nullptr}},
                                          {"time_embedding_type", {"positional"}},
                                          {"upsample_type", {"conv"}}};
  return keys;
}
/// Keys that change no number of a forward pass.
const std::set<std::string> kIgnored = {"num_train_timesteps", "_name_or_path"};

std::vector<std::string> block_types(const UNetConfig& c, bool down) {
  std::vector<std::string> types;
  const auto levels = int64_t(c.block_out_channels.size());
  for (int64_t i = 0; i < levels; ++i) {
    const bool attention = c.has_attention(down ? i : levels - 1 - i);
    types.push_back(std::string(attention ? "Attn" : "") + (down ? "DownBlock2D" : "UpBlock2D"));
  }
  return types;
}

void check_known(const Json& json, const std::string& file) {
  const std::set<std::string> read = {
      "sample_size",        "in_channels",      "out_channels",      "block_out_channels",
      "layers_per_block",   "down_block_types", "up_block_types",    "add_attention",
      "attention_head_dim", "norm_num_groups",  "norm_eps",          "dropout",
      "downsample_padding", "flip_sin_to_cos",  "freq_shift",        "mid_block_scale_factor",
      "num_class_embeds",   "_class_name",      "_diffusers_version"};
  for (const auto& [key, value] : json.items()) {
    if (const Fixed* fixed = find_fixed(fixed_keys(), key)) {
      check_user(fixed->fits(value),
                 "{}: {} = {} is a network that noisette does not have; only {}", file, key,
                 value.dump(), fixed->allowed.front().dump());
    } else {
      check_user(read.contains(key) || kIgnored.contains(key),
                 "{}: unknown key '{}' = {}, which may change the network", file, key,
                 value.dump());
    }
  }
}

int64_t read_sample_size(const Json& json, const std::string& file) {
  if (!json.contains("sample_size") || json["sample_size"].is_null()) return 1;
  if (json["sample_size"].is_array()) {
    const auto size = get<std::vector<int64_t>>(json, "sample_size", {}, file);
    check_user(size.size() == 2, "{}: sample_size must be one number or two; got {}", file,
               json["sample_size"].dump());
    return std::max(size[0], size[1]);  // a hint only: the network takes any size
  }
  return get<int64_t>(json, "sample_size", 1, file);
}

float half_to_float(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000u) << 16, exponent = (h >> 10) & 31u,
                 fraction = h & 1023u;
  if (exponent == 0)
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(float(fraction) * 0x1p-24f));
  const uint32_t e = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | (e << 23) | (fraction << 13));
}

/// [out, in, kh, kw] <-> [out, kh, kw, in]; other ranks stay as they are.
template <bool kToFile, class From, class To>
void transpose_weight(const From* from, To* to, const Shape& ours) {
  if (ours.ndim() != 4) return void(std::copy_n(from, ours.numel(), to));
  const int64_t out = ours[0], area = ours[1] * ours[2], in = ours[3];
  for (int64_t o = 0; o < out; ++o)
    for (int64_t k = 0; k < area; ++k)
      for (int64_t i = 0; i < in; ++i) {
        const int64_t a = (o * area + k) * in + i, b = (o * in + i) * area + k;
        to[kToFile ? b : a] = To(from[kToFile ? a : b]);
      }
}

Shape file_shape(const Shape& ours) {
  return ours.ndim() == 4 ? Shape{ours[0], ours[3], ours[1], ours[2]} : ours;
}

}  // namespace

UNetConfig read_unet_config(const fs::path& path) {
  const std::string file = "[unet] " + path.string();
  const Json json = read_object(path, file);
  const auto name = get<std::string>(json, "_class_name", "UNet2DModel", file);
  check_user(name == "UNet2DModel", "{} describes a {}; only UNet2DModel can be read", file, name);
  check_known(json, file);
  UNetConfig c;
  c.sample_size = read_sample_size(json, file);
  c.in_channels = get<int64_t>(json, "in_channels", 3, file);
  c.out_channels = get<int64_t>(json, "out_channels", 3, file);
  c.block_out_channels =
      get<std::vector<int64_t>>(json, "block_out_channels", {224, 448, 672, 896}, file);
  c.layers_per_block = get<int64_t>(json, "layers_per_block", 2, file);
  c.add_attention = get<bool>(json, "add_attention", true, file);
  c.attention_head_dim.reset();
  const bool one_head = json.contains("attention_head_dim") && json["attention_head_dim"].is_null();
  if (!one_head) c.attention_head_dim = get<int64_t>(json, "attention_head_dim", 8, file);
  c.norm_num_groups = get<int64_t>(json, "norm_num_groups", 32, file);
  c.norm_eps = get<double>(json, "norm_eps", 1e-5, file);
  c.dropout = get<double>(json, "dropout", 0.0, file);
  c.downsample_padding = get<int64_t>(json, "downsample_padding", 1, file);
  c.flip_sin_to_cos = get<bool>(json, "flip_sin_to_cos", true, file);
  c.freq_shift = get<int64_t>(json, "freq_shift", 0, file);
  c.mid_block_scale_factor = get<double>(json, "mid_block_scale_factor", 1.0, file);
  c.num_class_embeds = get<int64_t>(json, "num_class_embeds", 0, file);
  const auto down = get<std::vector<std::string>>(
      json, "down_block_types",
      {"DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"}, file);
  const auto up = get<std::vector<std::string>>(
      json, "up_block_types", {"AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"},
      file);
  c.attention_levels.clear();
  for (std::size_t i = 0; i < down.size(); ++i)
    if (down[i] == "AttnDownBlock2D") c.attention_levels.push_back(int64_t(i));
  check_user(down == block_types(c, true) && up == block_types(c, false),
             "{}: blocks {} and {} must be DownBlock2D or AttnDownBlock2D, one for each of "
             "{} levels, "
             "mirrored on the way up: {}",
             file, fmt::join(down, " "), fmt::join(up, " "), c.block_out_channels.size(),
             fmt::join(block_types(c, false), " "));
  check_user(c.problem().empty(), "{}: {}", file, c.problem());
  return c;
}

std::string unet_config_json(const UNetConfig& c) {
  Json json = {{"_class_name", "UNet2DModel"}, {"_diffusers_version", kVersion}};
  json["sample_size"] = c.sample_size;
  json["in_channels"] = c.in_channels;
  json["out_channels"] = c.out_channels;
  json["block_out_channels"] = c.block_out_channels;
  json["layers_per_block"] = c.layers_per_block;
  json["down_block_types"] = block_types(c, true);
  json["up_block_types"] = block_types(c, false);
  json["add_attention"] = c.add_attention;
  json["attention_head_dim"] = c.attention_head_dim ? Json(*c.attention_head_dim) : Json();
  json["norm_num_groups"] = c.norm_num_groups;
  json["norm_eps"] = c.norm_eps;
  json["dropout"] = c.dropout;
  json["downsample_padding"] = c.downsample_padding;
  json["flip_sin_to_cos"] = c.flip_sin_to_cos;
  json["freq_shift"] = c.freq_shift;
  json["mid_block_scale_factor"] = c.mid_block_scale_factor;
  json["num_class_embeds"] = c.num_class_embeds > 0 ? Json(c.num_class_embeds) : Json();
  for (const Fixed& fixed : fixed_keys()) json[fixed.key] = fixed.allowed.front();
  return json.dump(2) + "\n";
}

std::vector<float> as_f32(const SafetensorsEntry& entry) {
  const auto type = entry.element_type();
  check_user(type && is_floating(*type),
             "[safetensors] tensor '{}' is {}; wanted F32, F16, BF16 or F64", entry.name,
             entry.dtype);
  const auto n = std::size_t(entry.shape.numel());
  std::vector<float> values(n);
  const std::byte* from = entry.bytes.data();
  for (std::size_t i = 0; i < n; ++i) {
    if (*type == DType::f64) {
      double d;
      std::memcpy(&d, from + i * 8, 8);
      values[i] = float(d);
    } else if (*type == DType::f32) {
      std::memcpy(&values[i], from + i * 4, 4);
    } else {
      uint16_t h;
      std::memcpy(&h, from + i * 2, 2);
      values[i] = *type == DType::bf16 ? std::bit_cast<float>(uint32_t(h) << 16) : half_to_float(h);
    }
  }
  return values;
}

void read_weights(const SafetensorsModel& model, ParameterArena& arena) {
  std::vector<std::string> problems;
  for (const ParameterArena::Entry& e : arena.entries()) {
    const SafetensorsEntry* found = model.find(e.name);
    if (!found)
      problems.push_back(fmt::format("missing from the file: {}", e.name));
    else if (found->shape != file_shape(e.shape))
      problems.push_back(fmt::format("{} is {} in the file and {} in the model", e.name,
                                     found->shape, file_shape(e.shape)));
  }
  for (const SafetensorsEntry* entry : model.entries())
    if (!arena.find(entry->name))
      problems.push_back(fmt::format("not in the model: {}", entry->name));
  constexpr std::size_t kShown = 8;
  if (problems.size() > kShown) {
    const std::size_t more = problems.size() - kShown;
    problems.resize(kShown);
    problems.push_back(fmt::format("and {} more", more));
  }
  check_user(problems.empty(), "[safetensors] {} does not fit the model; {}",
             model.files().front().origin(), fmt::join(problems, "; "));
  const Tensor host = to_device(arena.master(), kCpu);
  for (const ParameterArena::Entry& e : arena.entries()) {
    const std::vector<float> values = as_f32(*model.find(e.name));
    if (host.dtype() == DType::f64)
      transpose_weight<false>(values.data(), host.data<double>() + e.offset, e.shape);
    else
      transpose_weight<false>(values.data(), host.data<float>() + e.offset, e.shape);
  }
  if (!host.same_data(arena.master())) copy_in(host.raw(), arena.master());
  if (arena.ema().defined()) copy(arena.master(), arena.ema());
  arena.use(ParameterArena::Weights::master);
}

void write_unet_folder(const fs::path& folder, const UNetConfig& config,
                       const ParameterArena& arena, ParameterArena::Weights which,
                       const std::string& scheduler) {
  check_user(!fs::exists(folder) || (fs::is_directory(folder) && fs::is_empty(folder)),
             "[convert] {} exists and is not an empty folder; choose another or remove it",
             folder.string());
  const Tensor& wanted = which == ParameterArena::Weights::ema ? arena.ema() : arena.master();
  check(wanted.defined(),
        "[convert] the averaged weights were asked for, but this model keeps none");
  const Tensor flat = to_device(wanted, kCpu);
  std::vector<std::vector<float>> values;
  std::vector<SafetensorsEntry> entries;
  for (const ParameterArena::Entry& e : arena.entries()) {
    values.emplace_back(std::size_t(e.shape.numel()));
    transpose_weight<true>(flat.data<float>() + e.offset, values.back().data(), e.shape);
    entries.push_back({e.name, "F32", file_shape(e.shape), {}});
  }
  for (std::size_t i = 0; i < entries.size(); ++i)
    entries[i].bytes = std::as_bytes(std::span(values[i]));
  std::vector<fs::path> made;  // folders that are new, innermost first
  for (fs::path p = folder; !p.empty() && !fs::exists(p); p = p.parent_path()) made.push_back(p);
  std::error_code error;
  try {
    fs::create_directories(folder, error);
    check_user(!error, "[convert] cannot make the folder {}: {}", folder.string(), error.message());
    write_file(folder / "config.json", unet_config_json(config));
    if (!scheduler.empty()) write_file(folder / "scheduler_config.json", scheduler);
    write_safetensors(folder / "diffusion_pytorch_model.safetensors", std::move(entries),
                      {{"format", "pt"}});
  } catch (...) {
    for (const char* file : {"config.json", "scheduler_config.json"})
      fs::remove(folder / file, error);
    for (const fs::path& p : made) fs::remove(p, error);
    throw;
  }
}

std::vector<float> to_nhwc(const std::vector<float>& values, const Shape& s) {
  std::vector<float> out(values.size());
  for (int64_t n = 0; n < s[0]; ++n)
    for (int64_t c = 0; c < s[1]; ++c)
      for (int64_t p = 0; p < s[2] * s[3]; ++p)
        out[std::size_t((n * s[2] * s[3] + p) * s[1] + c)] =
            values[std::size_t((n * s[1] + c) * s[2] * s[3] + p)];
  return out;
}

std::vector<float> to_nchw(const std::vector<float>& values, const Shape& s) {
  std::vector<float> out(values.size());
  for (int64_t n = 0; n < s[0]; ++n)
    for (int64_t p = 0; p < s[1] * s[2]; ++p)
      for (int64_t c = 0; c < s[3]; ++c)
        out[std::size_t((n * s[3] + c) * s[1] * s[2] + p)] =
            values[std::size_t((n * s[1] * s[2] + p) * s[3] + c)];
  return out;
}

}  // namespace noisette
