// The arithmetic of a run and what this machine has of it.
#pragma once
#include <string>

#include "framework/core/dtype.h"
#include "train/config.h"

namespace noisette {

/// What --dtype says: "bf16", or "f32".
Precision precision_of(const std::string& name);

/// Element type of activations and of the weights that compute.
DType element_type(Precision p);

/// Whether the CPU multiplies bf16 (AVX512-BF16 or AMX). Elsewhere bf16 is computed in f32, and
/// conversions come on top.
bool cpu_has_bf16();

/// Makes f32 of bf16 on a CPU that has none, and warns once that it did.
void use_supported_precision(TrainConfig& config);

/// An Error where the program or the machine has no such device.
void check_device(Device device);

/// Lets CUDA kernels of f32 round to tf32, or not, as the configuration says.
void use_tf32(const TrainConfig& config);

/// For tests: whether bf16 stays bf16 on a CPU that has none, slowly.
void keep_bf16(bool keep);

}  // namespace noisette
