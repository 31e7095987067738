// scheduler_config.json: what diffusers wrote is read, what is written reads back, the rest is
// refused with the reason.
#include "models/diffusion/scheduler_file.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "framework/config/config.h"
#include "framework/io/atomic_file.h"
#include "tests/io/files.h"
#include "tests/support/fixture.h"

namespace noisette::diffusion {
namespace {

using Json = nlohmann::ordered_json;
using test::error_of;
using test::Folder;
using testing_support::fixture_path;

SchedulerFile fixture(const std::string& name) {
  return read_scheduler(fixture_path("schedulers") / name / "scheduler_config.json");
}

TEST(SchedulerFile, DiffusersFilesGiveDiffusersTables) {
  const Json all = Json::parse(read_text(fixture_path("schedulers") / "schedulers.json"));
  ASSERT_EQ(all["files"].size(), 4u);
  for (const Json& f : all["files"]) {
    const Schedule schedule(fixture(f["name"]).schedule);
    for (size_t i = 0; i < f["t"].size(); ++i) {
      const double theirs = f["alphas_cumprod"][i];  // a product of 1000 factors in f32
      EXPECT_NEAR(schedule.alpha_bar(f["t"][i]), theirs, 1e-5 * theirs + 1e-7) << f["name"];
    }
  }
}

TEST(SchedulerFile, TakesPredictionAndSamplerFromDiffusersFiles) {
  const SchedulerFile ddpm = fixture("ddpm_default"), large = fixture("ddpm_large"),
                      v = fixture("ddim_cosine_v_zero_snr"), scaled = fixture("ddim_scaled_linear");
  EXPECT_EQ(ddpm.target, Target::eps);
  EXPECT_EQ(ddpm.sampler.sampler, Sampler::ddpm);
  EXPECT_EQ(ddpm.sampler.steps, 1000);
  EXPECT_EQ(ddpm.sampler.variance, Variance::fixed_small);
  EXPECT_EQ(ddpm.sampler.spacing, Spacing::leading);
  EXPECT_EQ(ddpm.sampler.clip, 1.0);
  EXPECT_EQ(large.sampler.variance, Variance::fixed_large);
  EXPECT_EQ(large.sampler.clip, std::nullopt);
  EXPECT_EQ(v.target, Target::v);
  EXPECT_EQ(v.schedule.betas, Betas::cosine);
  EXPECT_TRUE(v.schedule.zero_terminal_snr);
  EXPECT_EQ(v.sampler.sampler, Sampler::ddim);
  EXPECT_EQ(v.sampler.steps, 50);
  EXPECT_EQ(v.sampler.spacing, Spacing::trailing);
  EXPECT_EQ(v.sampler.clip, 2.0);
  EXPECT_TRUE(v.sampler.last_to_clean);
  EXPECT_FALSE(v.sampler.use_clipped_model_output) << "diffusers' default";
  EXPECT_TRUE(ddpm.sampler.use_clipped_model_output);
  EXPECT_FALSE(scaled.sampler.last_to_clean);
  EXPECT_EQ(scaled.sampler.offset, 1);
}

TEST(SchedulerFile, WhatIsWrittenReadsBackWhole) {
  const Folder folder;
  const std::vector<SchedulerFile> all = {
      {},
      {.schedule = {.betas = Betas::cosine, .steps = 77, .zero_terminal_snr = true},
       .target = Target::v,
       .sampler = {.sampler = Sampler::ddim,
                   .steps = 11,
                   .eta = 0.3,
                   .variance = Variance::fixed_small,
                   .spacing = Spacing::leading,
                   .offset = 1,
                   .clip = {},
                   .use_clipped_model_output = false,
                   .last_to_clean = false,
                   .guidance = 2.5}},
      {.schedule = {.betas = Betas::scaled_linear, .beta_start = 0.00085, .beta_end = 0.012},
       .target = Target::x0,
       .sampler = {.sampler = Sampler::ddpm,
                   .variance = Variance::fixed_small,
                   .spacing = Spacing::linspace,
                   .clip = 1.7}}};
  for (const SchedulerFile& s : all) {
    test::put(folder / "s.json", scheduler_json(s));
    const SchedulerFile back = read_scheduler(folder / "s.json");
    EXPECT_EQ(config::to_toml(back.schedule), config::to_toml(s.schedule));
    EXPECT_EQ(back.target, s.target);
    EXPECT_EQ(config::to_toml(back.sampler), config::to_toml(s.sampler));
  }
}

TEST(SchedulerFile, WhatWouldGiveOtherSamplesIsRefusedWithTheReason) {
  const Folder folder;
  const auto error = [&](const char* key, const Json& value) {
    Json json = Json::parse(scheduler_json({}));
    json[key] = value;
    test::put(folder / "s.json", json.dump());
    return error_of([&] { read_scheduler(folder / "s.json"); });
  };
  EXPECT_CONTAINS(error("_class_name", "PNDMScheduler"),
                  "s.json: _class_name = \"PNDMScheduler\" is something that noisette does not "
                  "have; known: DDPMScheduler, DDIMScheduler");
  EXPECT_CONTAINS(error("beta_schedule", "sigmoid"), "beta_schedule = \"sigmoid\"");
  EXPECT_CONTAINS(error("prediction_type", "flow"), "known: epsilon, sample, v_prediction");
  EXPECT_CONTAINS(error("variance_type", "learned_range"), "variance_type = \"learned_range\"");
  EXPECT_CONTAINS(error("timestep_spacing", "karras"), "known: leading, trailing, linspace");
  EXPECT_CONTAINS(error("trained_betas", {0.1, 0.2}), "trained_betas = [0.1,0.2]");
  EXPECT_CONTAINS(error("thresholding", true), "thresholding = true");
  EXPECT_CONTAINS(error("predict_epsilon", false), "predict_epsilon = false");
  EXPECT_CONTAINS(error("use_karras_sigmas", true), "unknown key 'use_karras_sigmas' = true");
  EXPECT_CONTAINS(error("num_train_timesteps", 1), "must be from 2 to 100000; got 1");
  EXPECT_CONTAINS(error("num_train_timesteps", "many"), "is \"many\"");
  EXPECT_CONTAINS(error("beta_start", 0.5), "beta_start must not exceed beta_end");
  EXPECT_CONTAINS(error("beta_end", 1), "beta_end must be above 0 and below 1; got 1");
  EXPECT_CONTAINS(error("clip_sample_range", 0), "clip_sample_range must be above 0; got 0");
  EXPECT_CONTAINS(error("_noisette", 3), "_noisette is not a JSON object");
  EXPECT_CONTAINS(error("_noisette", {{"stesp", 3}}), "_noisette: unknown key 'stesp' = 3");
  EXPECT_CONTAINS(error("_noisette", {{"steps", 0}}), "_noisette: steps must be from 1");
  // What cannot change a sample is passed over.
  for (const char* key : {"sample_max_value", "dynamic_thresholding_ratio", "skip_prk_steps",
                          "timestep_values", "tensor_format", "_other"}) {
    Json json = Json::parse(scheduler_json({}));
    json[key] = 2;
    test::put(folder / "s.json", json.dump());
    EXPECT_EQ(scheduler_json(read_scheduler(folder / "s.json")), scheduler_json({})) << key;
  }
  test::put(folder / "s.json", "[1]");
  EXPECT_CONTAINS(error_of([&] { read_scheduler(folder / "s.json"); }), "is not a JSON object");
}

}  // namespace
}  // namespace noisette::diffusion
