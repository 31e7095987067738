#include "train/scheduler_file.h"

#include <array>
#include <nlohmann/json.hpp>

#include "framework/core/check.h"
#include "framework/io/atomic_file.h"

namespace noisette {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Name {
  const char *ours, *theirs;
};
constexpr std::array<Name, 3> kBetas = {
    {{"linear", "linear"}, {"scaled_linear", "scaled_linear"}, {"cosine", "squaredcos_cap_v2"}}};
constexpr std::array<Name, 3> kTargets = {
    {{"eps", "epsilon"}, {"x0", "sample"}, {"v", "v_prediction"}}};
constexpr std::array<Name, 3> kSpacings = {
    {{"leading", "leading"}, {"trailing", "trailing"}, {"linspace", "linspace"}}};
constexpr std::array<Name, 2> kVariances = {
    {{"fixed_small", "fixed_small"}, {"fixed_large", "fixed_large"}}};

template <std::size_t N>
std::string theirs(const std::array<Name, N>& names, std::string_view ours) {
  for (const Name& n : names)
    if (n.ours == ours) return n.theirs;
  check(false, "[scheduler] diffusers has no name for '{}'", ours);
  return "";
}

class Reader {
 public:
  explicit Reader(const fs::path& file) : file_(file.string()) {
    json_ = Json::parse(read_text(file), nullptr, /*allow_exceptions=*/false);
    check_user(json_.is_object(), "[scheduler] {} is not a JSON object", file_);
  }

  template <class T>
  T get(const char* key, T missing) const {
    const auto found = json_.find(key);
    if (found == json_.end() || found->is_null()) return missing;
    bool fits = found->is_string();
    if constexpr (std::is_same_v<T, bool>)
      fits = found->is_boolean();
    else if constexpr (std::is_same_v<T, int64_t>)
      fits = found->is_number_integer();
    else if constexpr (std::is_same_v<T, double>)
      fits = found->is_number();
    check_user(fits, "[scheduler] {}: '{}' is {}, which is not of the right type", file_, key,
               found->dump());
    return found->get<T>();
  }

  template <std::size_t N>
  std::string name(const char* key, const std::array<Name, N>& names, const char* missing) const {
    const auto value = get<std::string>(key, missing);
    std::string known;
    for (const Name& n : names) {
      if (n.theirs == value) return n.ours;
      known += (known.empty() ? "" : ", ") + std::string(n.theirs);
    }
    check_user(false, "[scheduler] {}: {} = \"{}\" is not known; only {}", file_, key, value,
               known);
    return "";
  }

  void refuse(const char* key, bool asked) const {
    check_user(!asked, "[scheduler] {}: '{}' is set, which noisette does not have", file_, key);
  }
  bool has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }

 private:
  std::string file_;
  Json json_;
};

}  // namespace

std::optional<fs::path> find_scheduler_file(const fs::path& folder) {
  const fs::path beside = fs::absolute(folder).lexically_normal() / "..";
  for (const fs::path& file :
       {folder / "scheduler_config.json", beside / "scheduler" / "scheduler_config.json"})
    if (fs::exists(file)) return file.lexically_normal();
  return {};
}

std::string read_scheduler(const fs::path& file) {
  const Reader r(file);
  r.refuse("trained_betas", r.has("trained_betas"));
  r.refuse("thresholding", r.get<bool>("thresholding", false));
  const std::string spacing = r.name("timestep_spacing", kSpacings, "leading");
  std::string toml = fmt::format(
      "[schedule]\nsteps = {}\nbeta_start = {:e}\nbeta_end = {:e}\nbetas = \"{}\"\n"
      "zero_terminal_snr = {}\n[objective]\ntarget = \"{}\"\n[sampler]\nspacing = \"{}\"\n"
      "last_to_clean = {}\n",
      r.get<int64_t>("num_train_timesteps", 1000), r.get<double>("beta_start", 1e-4),
      r.get<double>("beta_end", 0.02), r.name("beta_schedule", kBetas, "linear"),
      r.get<bool>("rescale_betas_zero_snr", false), r.name("prediction_type", kTargets, "epsilon"),
      spacing, r.get<bool>("set_alpha_to_one", true));
  if (r.get<bool>("clip_sample", true))
    toml += fmt::format("clip = {:e}\n", r.get<double>("clip_sample_range", 1.0));
  else
    toml += "clip = \"none\"\n";
  if (r.has("variance_type"))
    toml += fmt::format("variance = \"{}\"\n", r.name("variance_type", kVariances, "fixed_small"));
  if (spacing == "leading") toml += fmt::format("offset = {}\n", r.get<int64_t>("steps_offset", 0));
  return toml;
}

std::string scheduler_json(const TrainConfig& c) {
  const bool ddim = c.sampler.sampler == diffusion::Sampler::ddim;
  Json j;
  j["_class_name"] = ddim ? "DDIMScheduler" : "DDPMScheduler";
  j["num_train_timesteps"] = c.schedule.steps;
  j["beta_start"] = c.schedule.beta_start;
  j["beta_end"] = c.schedule.beta_end;
  j["beta_schedule"] = theirs(kBetas, config::name_of(c.schedule.betas));
  j["prediction_type"] = theirs(kTargets, config::name_of(c.objective.target));
  j["rescale_betas_zero_snr"] = c.schedule.zero_terminal_snr;
  j["timestep_spacing"] = theirs(kSpacings, config::name_of(c.sampler.spacing));
  j["steps_offset"] = c.sampler.offset;
  j["clip_sample"] = c.sampler.clip.has_value();
  j["clip_sample_range"] = c.sampler.clip.value_or(1.0);
  j["thresholding"] = false;
  if (ddim)
    j["set_alpha_to_one"] = c.sampler.last_to_clean;
  else
    j["variance_type"] = theirs(kVariances, config::name_of(c.sampler.variance));
  return j.dump(2) + "\n";
}

}  // namespace noisette
