// scheduler_config.json: what diffusers keeps of the noise schedule, the prediction and the sampler beside a network.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "train/config.h"

namespace noisette {

/// The file that belongs to the network in `folder`: in the folder itself, or a pipeline's ../scheduler/.
std::optional<std::filesystem::path> find_scheduler_file(const std::filesystem::path& folder);

/// The tables [schedule], [objective] and [sampler] as TOML. Keys that are missing take diffusers' defaults. Which sampler
/// draws (_class_name) is left to the configuration. What cannot be done here (trained betas, thresholding, a schedule or
/// prediction of another kind) is an Error that names it.
std::string read_scheduler(const std::filesystem::path& file);

/// What diffusers' DDIMScheduler or DDPMScheduler reads. Number of steps, eta and guidance are not part of it.
std::string scheduler_json(const TrainConfig& config);

}  // namespace noisette
