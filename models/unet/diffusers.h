// The UNet in diffusers' folder layout: config.json and diffusion_pytorch_model.safetensors (or
// shards behind an index). The only place where this model meets NCHW and OIHW.
#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "framework/io/safetensors.h"
#include "framework/nn/arena.h"
#include "models/unet/config.h"

namespace noisette {

/// Reads the config.json of a UNet2DModel. Keys that are missing take diffusers' defaults; a key or
/// value that asks for a network this one is not is an Error that names it.
UNetConfig read_unet_config(const std::filesystem::path& file);
/// The config.json that diffusers would write.
std::string unet_config_json(const UNetConfig& config);

/// Copies a model's tensors into the master weights, transposing convolutions from [out, in, kh,
/// kw]. f32, f16, bf16 and f64 files are read. Names and shapes must match one to one, or an Error
/// lists the first differences.
void read_weights(const SafetensorsModel& model, ParameterArena& arena);

/// Writes a folder that diffusers opens: f32 weights, the average where `which` says so.
/// `scheduler`, when given, is the text of scheduler_config.json beside config.json
/// (diffusion::scheduler_json). `folder` must not exist, or be empty; nothing is left behind on
/// failure.
void write_unet_folder(const std::filesystem::path& folder, const UNetConfig& config,
                       const ParameterArena& arena, ParameterArena::Weights which,
                       const std::string& scheduler = "");

/// One tensor of a file as f32 values, in the file's own order.
std::vector<float> as_f32(const SafetensorsEntry& entry);

/// [N, C, H, W] to [N, H, W, C] and back, over plain f32 values.
std::vector<float> to_nhwc(const std::vector<float>& values, const Shape& nchw);
std::vector<float> to_nchw(const std::vector<float>& values, const Shape& nhwc);

}  // namespace noisette
