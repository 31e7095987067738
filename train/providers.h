// Libraries that may stand in for our CUDA kernels in this process (kernels/cuda/providers).
#pragma once
#include "train/config.h"

namespace noisette {

/// Lets them, as run.providers and run.deterministic say, with what was measured of them before;
/// says once which there are. Nothing on the CPU.
void use_providers(const TrainConfig& config);

}  // namespace noisette
