#include "models/diffusion/scheduler_file.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "framework/io/diffusers_json.h"

namespace noisette::diffusion {
namespace {

using namespace diffusers;

/// diffusers' word for a value of ours; the first one of a value is written.
template <class E>
struct Word {
  const char* word;
  E value;
};
const std::vector<Word<Betas>> kBetas = {{"linear", Betas::linear},
                                         {"scaled_linear", Betas::scaled_linear},
                                         {"squaredcos_cap_v2", Betas::cosine}};
const std::vector<Word<Target>> kTargets = {
    {"epsilon", Target::eps}, {"sample", Target::x0}, {"v_prediction", Target::v}};
const std::vector<Word<Sampler>> kClasses = {{"DDPMScheduler", Sampler::ddpm},
                                             {"DDIMScheduler", Sampler::ddim}};
const std::vector<Word<Variance>> kVariances = {{"fixed_small", Variance::fixed_small},
                                                {"fixed_large", Variance::fixed_large},
                                                {"fixed_small_log", Variance::fixed_small}};
const std::vector<Word<Spacing>> kSpacings = {{"leading", Spacing::leading},
                                              {"trailing", Spacing::trailing},
                                              {"linspace", Spacing::linspace}};

template <class E>
std::string word_of(const std::vector<Word<E>>& words, E value) {
  return std::find_if(words.begin(), words.end(), [&](auto& w) { return w.value == value; })->word;
}

const std::vector<Fixed>& fixed_keys() {
  static const std::vector<Fixed> keys = {
      {"trained_betas", {nullptr}}, {"thresholding", {false}}, {"predict_epsilon", {true}}};
  return keys;
}
const std::set<std::string> kRead = {
    "num_train_timesteps", "beta_start",   "beta_end",          "beta_schedule",
    "prediction_type",     "clip_sample",  "clip_sample_range", "rescale_betas_zero_snr",
    "timestep_spacing",    "steps_offset", "variance_type",     "set_alpha_to_one"};
const std::set<std::string> kIgnored = {"dynamic_thresholding_ratio", "sample_max_value",
                                        "skip_prk_steps", "timestep_values", "tensor_format"};
const std::set<std::string> kOwn = {"steps", "eta", "guidance", "use_clipped_model_output",
                                    "variance_type"};

/// One object of the file.
struct Reader {
  const Json& json;
  const std::string& file;  // begins every message

  template <class T>
  T value(const char* key, T missing) const {
    return get<T>(json, key, missing, file);
  }

  /// Above 0 and below `limit`.
  double positive(const char* key, double missing, double limit) const {
    const double v = value<double>(key, missing);
    const std::string rule =
        std::isinf(limit) ? "above 0" : fmt::format("above 0 and below {}", limit);
    check_user(v > 0 && v < limit, "{}: {} must be {}; got {}", file, key, rule, v);
    return v;
  }

  template <class T>
  T between(const char* key, T missing, T low, T high) const {
    const T v = value<T>(key, missing);
    check_user(v >= low && v <= high, "{}: {} must be from {} to {}; got {}", file, key, low, high,
               v);
    return v;
  }

  template <class E>
  E word(const char* key, const std::vector<Word<E>>& words, const char* missing) const {
    const auto text = value<std::string>(key, missing);
    std::vector<std::string> known;
    for (const Word<E>& w : words) {
      if (text == w.word) return w.value;
      known.emplace_back(w.word);
    }
    throw Error(fmt::format("{}: {} = \"{}\" is something that noisette does not have; known: {}",
                            file, key, text, fmt::join(known, ", ")));
  }
};

void check_known(const Json& json, const std::string& file) {
  for (const auto& [key, value] : json.items()) {
    const Fixed* fixed = find_fixed(fixed_keys(), key);
    check_user(!fixed || fixed->fits(value),
               "{}: {} = {} is something that noisette does not have; only {}", file, key,
               value.dump(), fixed ? fixed->allowed.front().dump() : "");
    check_user(fixed || kRead.contains(key) || kIgnored.contains(key) || key.starts_with("_"),
               "{}: unknown key '{}' = {}, which may change the samples", file, key, value.dump());
  }
}

ScheduleConfig read_schedule(const Reader& r) {
  ScheduleConfig c;
  c.steps = r.between<int64_t>("num_train_timesteps", 1000, 2, 100'000);
  c.betas = r.word("beta_schedule", kBetas, "linear");
  c.beta_start = r.positive("beta_start", 1e-4, 1);
  c.beta_end = r.positive("beta_end", 0.02, 1);
  c.zero_terminal_snr = r.value<bool>("rescale_betas_zero_snr", false);
  check_user(c.problem().empty(), "{}: {}", r.file, c.problem());
  return c;
}

SamplerConfig read_sampler(const Reader& r, int64_t schedule_steps) {
  SamplerConfig c;
  c.sampler = r.word("_class_name", kClasses, "no class name");
  const bool ddim = c.sampler == Sampler::ddim;
  c.steps = ddim ? std::min<int64_t>(50, schedule_steps) : schedule_steps;
  c.variance = r.word("variance_type", kVariances, "fixed_small");
  c.spacing = r.word("timestep_spacing", kSpacings, "leading");
  if (c.spacing == Spacing::leading)
    c.offset = r.between<int64_t>("steps_offset", 0, 0, schedule_steps);
  c.clip.reset();
  if (r.value<bool>("clip_sample", true)) c.clip = r.positive("clip_sample_range", 1, HUGE_VAL);
  if (ddim) {
    c.last_to_clean = r.value<bool>("set_alpha_to_one", true);
    c.use_clipped_model_output = false;  // diffusers' default
  }
  return c;
}

/// What only noisette's own files say.
void read_own(const Json& json, const std::string& file, SamplerConfig& c) {
  check_user(json.is_object(), "{} is not a JSON object", file);
  for (const auto& [key, value] : json.items())
    check_user(kOwn.contains(key), "{}: unknown key '{}' = {}, which may change the samples", file,
               key, value.dump());
  const Reader r{json, file};
  c.steps = r.between<int64_t>("steps", c.steps, 1, 100'000);
  c.eta = r.between<double>("eta", c.eta, 0, 1);
  c.guidance = r.between<double>("guidance", c.guidance, 0, 100);
  c.use_clipped_model_output =
      r.value<bool>("use_clipped_model_output", c.use_clipped_model_output);
  if (json.contains("variance_type"))
    c.variance = r.word("variance_type", kVariances, "fixed_small");
}

}  // namespace

SchedulerFile read_scheduler(const std::filesystem::path& path) {
  const std::string file = "[scheduler] " + path.string();
  const Json json = read_object(path, file);
  const Reader r{json, file};
  SchedulerFile s;
  s.sampler.sampler = r.word("_class_name", kClasses, "no class name");  // before its keys
  check_known(json, file);
  s.schedule = read_schedule(r);
  s.target = r.word("prediction_type", kTargets, "epsilon");
  s.sampler = read_sampler(r, s.schedule.steps);
  if (json.contains("_noisette")) read_own(json["_noisette"], file + ": _noisette", s.sampler);
  check_user(s.sampler.problem().empty(), "{}: {}", file, s.sampler.problem());
  return s;
}

std::string scheduler_json(const SchedulerFile& s) {
  const SamplerConfig& c = s.sampler;
  const bool ddim = c.sampler == Sampler::ddim;
  Json json = {{"_class_name", word_of(kClasses, c.sampler)}, {"_diffusers_version", kVersion}};
  json["num_train_timesteps"] = s.schedule.steps;
  json["beta_start"] = s.schedule.beta_start;
  json["beta_end"] = s.schedule.beta_end;
  json["beta_schedule"] = word_of(kBetas, s.schedule.betas);
  json["trained_betas"] = nullptr;
  json["prediction_type"] = word_of(kTargets, s.target);
  if (ddim)
    json["set_alpha_to_one"] = c.last_to_clean;
  else
    json["variance_type"] = word_of(kVariances, c.variance);
  json["clip_sample"] = c.clip.has_value();
  json["clip_sample_range"] = c.clip.value_or(1);
  json["thresholding"] = false;
  json["timestep_spacing"] = word_of(kSpacings, c.spacing);
  json["steps_offset"] = c.offset;
  json["rescale_betas_zero_snr"] = s.schedule.zero_terminal_snr;
  Json own = {{"steps", c.steps}, {"guidance", c.guidance}};
  if (ddim) {
    own["eta"] = c.eta;
    own["use_clipped_model_output"] = c.use_clipped_model_output;
    own["variance_type"] = word_of(kVariances, c.variance);  // for `sample --sampler ddpm`
  }
  json["_noisette"] = std::move(own);
  return json.dump(2) + "\n";
}

}  // namespace noisette::diffusion
