// Libraries that may stand in for our CUDA kernels in this process (kernels/cuda/providers).
#pragma once
#include <string>

#include "train/config.h"

namespace noisette {

/// Lets them, as run.providers and run.deterministic say, with what was measured of them before.
/// Returns which there are, with their versions: "cuBLASLt 13.1.0, cuDNN 9.19.0" or "none"; empty
/// where none was asked for, as on the CPU.
std::string use_providers(const TrainConfig& config);

}  // namespace noisette
