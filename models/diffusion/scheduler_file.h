// The schedule and the sampler of a model as diffusers keeps them: the scheduler_config.json of a
// DDPMScheduler or a DDIMScheduler.
#pragma once
#include <filesystem>
#include <string>

#include "models/diffusion/objective.h"
#include "models/diffusion/plan.h"
#include "models/diffusion/schedule.h"

namespace noisette::diffusion {

/// What turns a network into a sampler.
struct SchedulerFile {
  ScheduleConfig schedule = {};
  Target target = Target::eps;
  SamplerConfig sampler = {};
};

/// Reads a scheduler_config.json. Keys that are missing take diffusers' defaults, and so do the
/// steps: all of them with ddpm, 50 with ddim. What could give other samples (trained_betas,
/// thresholding, other classes and schedules, unknown keys) is an Error that names key and value.
///
/// Ignored, because they change nothing: dynamic_thresholding_ratio and sample_max_value (without
/// thresholding), set_alpha_to_one of a DDPMScheduler, steps_offset without "leading" spacing,
/// skip_prk_steps, timestep_values, tensor_format, and keys that begin with "_".
SchedulerFile read_scheduler(const std::filesystem::path& file);

/// The scheduler_config.json that diffusers' class of the same sampler would write. What diffusers
/// passes to a call instead of keeping it (steps, eta, guidance) is in "_noisette", which diffusers
/// ignores.
std::string scheduler_json(const SchedulerFile& scheduler);

}  // namespace noisette::diffusion
