// noisette sample: images from a trained model, as a grid, as single files or as a data set.
#include <spdlog/spdlog.h>

#include <charconv>
#include <cmath>
#include <deque>
#include <filesystem>

#include "framework/data/dataset.h"
#include "framework/report/console.h"
#include "framework/report/progress.h"
#include "train/checkpoint.h"
#include "train/commands/commands.h"
#include "train/commands/options.h"
#include "train/commands/sample_output.h"
#include "train/conv_forms.h"
#include "train/model_source.h"
#include "train/precision.h"
#include "train/sampling.h"

namespace noisette::commands {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSettable[] = {"schedule.", "sampler.", "objective.target",
                                          "run.providers"};

struct Options {
  std::string device = "cpu";
  std::string model, weaker, classes = "all", sampler, dtype;
  std::vector<std::string> outputs, set;
  int64_t n = 0, steps = 0, batch = 64, first = 0, columns = 0, seed = 0, threads = 0;
  std::optional<double> guidance, autoguidance, eta;
  bool raw = false;
};

/// "all" or a list of class numbers or names.
std::vector<int64_t> parse_classes(const std::string& text, int64_t classes,
                                   const std::vector<std::string>& names) {
  std::vector<int64_t> chosen;
  if (text == "all") {
    for (int64_t c = 0; c < classes; ++c) chosen.push_back(c);
    return chosen;
  }
  for (const std::string& part : CLI::detail::split(text, ',')) {
    int64_t c = std::find(names.begin(), names.end(), part) - names.begin();
    if (c < classes && c < int64_t(names.size())) {
      chosen.push_back(c);
      continue;
    }
    c = -1;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), c);
    if (error != std::errc() || end != part.data() + part.size() || c < 0 || c >= classes)
      throw UsageError(fmt::format(
          "[sample] --class takes `all` or numbers from 0 to {}, as in 0,3{}; got '{}'",
          classes - 1, names.empty() ? "" : fmt::format(", or names: {}", fmt::join(names, ", ")),
          part));
    chosen.push_back(c);
  }
  return chosen;
}

/// The names of the classes, while the training set is where it was and as it was; else none.
std::vector<std::string> class_names(const LoadedModel& m) {
  constexpr int64_t kNotInMemory = 0;
  const std::string& spec = m.config.data.path;
  const std::string file = fs::exists(spec) ? spec : spec.substr(0, spec.rfind('#'));
  if (!fs::exists(file)) return {};
  try {
    const DatasetInfo info = Dataset::open(file, kNotInMemory)->info();
    if (info.fingerprint == m.data_fingerprint) return info.class_names;
  } catch (const Error&) {  // the names are a convenience
  }
  return {};
}

diffusion::SamplerConfig sampler_of(const TrainConfig& c, const Options& o) {
  diffusion::SamplerConfig s = c.sampler;
  if (o.sampler == "ddpm") {
    s.sampler = diffusion::Sampler::ddpm;
    s.eta = 0;  // what the file says of ddim alone
    s.use_clipped_model_output = true;
    s.last_to_clean = true;
  }
  if (o.sampler == "ddim") s.sampler = diffusion::Sampler::ddim;
  if (o.steps > 0) s.steps = o.steps;
  if (o.guidance) s.guidance = *o.guidance;
  if (o.autoguidance) s.autoguidance = *o.autoguidance;
  if (o.eta) s.eta = *o.eta;
  return s;
}

/// Guidance leads away from the empty label, which must be there and trained.
void check_guidance(const LoadedModel& m, const diffusion::SamplerConfig& s) {
  if (s.guidance == 1) return;
  if (m.config.model.num_class_embeds == 0)
    throw UsageError(fmt::format(
        "[sample] guidance {} needs a model with classes, and {} has none; take --guidance 1",
        s.guidance, m.origin));
  if (m.config.data.label_dropout == 0)
    spdlog::warn(
        "guidance {} uses the empty label, which {} was not trained on (data.label_dropout = 0)",
        s.guidance, m.origin);
}

/// The run's checkpoint nearest to where sampler.autoguidance_share says, and not after it: the run
/// may have been made longer since. Throws UsageError when there is none.
fs::path earlier_checkpoint(const LoadedModel& m, const diffusion::SamplerConfig& s) {
  const auto none = [&](const std::string& why) {
    return UsageError(fmt::format(
        "[sample] autoguidance {} needs a weaker network, and {}; name one with --weaker, as an "
        "earlier checkpoint, or take --autoguidance 1",
        s.autoguidance, why));
  };
  if (s.autoguidance_share == 0) throw none("sampler.autoguidance_share is 0");
  if (m.update == 0) throw none(fmt::format("{} is no checkpoint of a run", m.origin));
  TrainConfig c = m.config;
  c.sampler = s;
  const int64_t until = std::min(weaker_update(c), m.update - 1);
  const fs::path folder = fs::path(m.origin).parent_path();
  const std::optional<fs::path> found = newest_checkpoint_until(folder, until);
  if (!found)
    throw none(fmt::format("no checkpoint until update {} is in {}", until, folder.string()));
  return *found;
}

/// The weaker network of autoguidance: as --weaker says, or an earlier checkpoint of the same run.
/// Throws UsageError when there is none, or when it does not predict the same thing of the same
/// images.
LoadedModel open_weaker(const LoadedModel& m, const Options& o, const diffusion::SamplerConfig& s,
                        const ModelOptions& options) {
  LoadedModel weaker =
      open_model(o.weaker.empty() ? earlier_checkpoint(m, s) : fs::path(o.weaker), options);
  const auto same = [&](std::string_view what, const auto& strong, const auto& weak) {
    if (strong != weak)
      throw UsageError(fmt::format(
          "[sample] the weaker network must predict the same as {}: {} is {} there, and {} in {}",
          m.origin, what, strong, weak, weaker.origin));
  };
  const TrainConfig &a = m.config, &b = weaker.config;
  same("model.sample_size", a.model.sample_size, b.model.sample_size);
  same("model.in_channels", a.model.in_channels, b.model.in_channels);
  same("model.out_channels", a.model.out_channels, b.model.out_channels);
  same("model.num_class_embeds", a.model.num_class_embeds, b.model.num_class_embeds);
  same("objective.target", config::name_of(a.objective.target),
       config::name_of(b.objective.target));
  same("schedule", config::to_toml(a.schedule), config::to_toml(b.schedule));
  return weaker;
}

/// Where guidance acts, as shares of the timesteps; "" when it does everywhere.
std::string interval_of(const diffusion::SamplerConfig& s) {
  if (s.guidance_above == 0 && s.guidance_below == 1) return "";
  return fmt::format("{} to {}", s.guidance_above, s.guidance_below);
}

std::map<std::string, std::string> provenance(const LoadedModel& m,
                                              const std::optional<LoadedModel>& weaker,
                                              const Options& o, const diffusion::SamplerConfig& s) {
  std::map<std::string, std::string> text = {
      {"Software", "noisette"},
      {"model", m.origin},
      {"update", std::to_string(m.update)},
      {"weights", m.arena->in_use() == ParameterArena::Weights::ema ? "averaged" : "raw"},
      {"sampler", std::string(config::name_of(s.sampler))},
      {"steps", std::to_string(s.steps)},
      {"eta", fmt::format("{}", s.eta)},
      {"guidance", fmt::format("{}", s.guidance)},
      {"seed", std::to_string(o.seed)},
      {"first", std::to_string(o.first)}};
  if (const std::string interval = interval_of(s); !interval.empty()) text["guided"] = interval;
  if (weaker) {
    text["autoguidance"] = fmt::format("{}", s.autoguidance);
    text["weaker"] = weaker->origin;
  }
  return text;
}

std::vector<uint8_t> draw(const LoadedModel& m, const diffusion::SamplerConfig& s,
                          SampleRequest r) {
  CountProgress progress(console(), "sampling, step");
  r.progress = [&](int64_t done, int64_t total) { progress.update(double(done), double(total)); };
  return sample_pixels(*m.unet, m.config.schedule, m.config.objective.target, s, r);
}

/// The classes asked for; none for a network without classes.
std::vector<int64_t> classes_of(const LoadedModel& m, const Options& o) {
  const int64_t labels = m.config.model.num_class_embeds;
  if (labels > 0)
    return parse_classes(o.classes, labels - 1,
                         o.classes == "all" ? std::vector<std::string>() : class_names(m));
  if (o.classes != "all")
    throw UsageError(
        fmt::format("[sample] --class {} was given, but {} has no classes", o.classes, m.origin));
  return {};
}

void run(const Options& o) {
  use_threads(o.threads);
  check_overrides("sample", o.set, kSettable);
  const std::vector<Output> outputs = outputs_of(o.outputs);
  std::deque<ParentFolders> folders;  // made and tried before the long part, not after it
  for (const Output& output : outputs) {
    folders.emplace_back(output.path, "sample");
    check_writable(output.kind == OutputKind::folder ? output.path / "00000.png" : output.path);
  }
  std::optional<Precision> precision;
  if (!o.dtype.empty()) precision = precision_of(o.dtype);
  const ModelOptions options{
      .ema = !o.raw, .precision = precision, .device = o.device, .overrides = o.set};
  const LoadedModel m = open_model(o.model, options);
  use_conv_forms(m.config);
  const diffusion::SamplerConfig s = sampler_of(m.config, o);
  check_guidance(m, s);
  const std::vector<int64_t> classes = classes_of(m, o);
  std::optional<LoadedModel> weaker;
  if (s.autoguidance != 1) weaker = open_weaker(m, o, s, options);
  if (!weaker && !o.weaker.empty())
    throw UsageError("[sample] --weaker is for autoguidance, which is 1; add --autoguidance 2");
  const int64_t n = o.n > 0 ? o.n : default_count(int64_t(classes.size()));
  SampleRequest r{.count = n,
                  .labels = {},
                  .first = o.first,
                  .batch = o.batch,
                  .seed = uint64_t(o.seed),
                  .dtype = element_type(m.config.run.precision),
                  .device = m.config.run.device(),
                  .weaker = weaker ? weaker->unet.get() : nullptr,
                  .graph = m.config.run.graph,
                  .only_finite = true};
  if (!classes.empty()) r.labels = spread_labels(n, classes, true);
  const std::vector<uint8_t> pixels = draw(m, s, r);
  const auto text = provenance(m, weaker, o, s);
  const Samples samples = {pixels, r, m.config.model, int64_t(classes.size()), text};
  for (const Output& output : outputs) write_output(output, samples, o.columns);
  const std::string away =
      weaker ? fmt::format("autoguidance {} from {}, ", s.autoguidance, weaker->origin) : "";
  const std::string interval = interval_of(s);
  const std::string where =
      interval.empty() ? "" : fmt::format("guided at {} of the timesteps, ", interval);
  print(fmt::format("{} images, {} {} steps, guidance {}, {}{}seed {}, {} weights of {} -> {}", n,
                    config::name_of(s.sampler), s.steps, s.guidance, away, where, o.seed,
                    text.at("weights"), m.origin, fmt::join(o.outputs, ", ")));
}

}  // namespace

void add_sample(CLI::App& app) {
  CLI::App* cmd = app.add_subcommand("sample", "make images with a trained model");
  auto o = std::make_shared<Options>();
  cmd->add_option("MODEL", o->model,
                  "run folder, checkpoint, or folder with config.json and safetensors")
      ->required();
  cmd->add_option(
         "-o,--output", o->outputs,
         "grid.png: one picture; set.h5: a data set; folder/: PNG files in a new or empty folder; "
         "again for another of the same images")
      ->required()
      ->allow_extra_args(false);
  cmd->add_option("--n", o->n, "number of images; default: 64, or the next multiple of the classes")
      ->check(between(1, 10'000'000));
  cmd->add_option(
         "--class", o->classes,
         "all, or class numbers as in 0,3, or names while the training set is there; equal "
         "shares of the --n images, one class after the other")
      ->capture_default_str();
  cmd->add_option("--guidance", o->guidance,
                  "classifier-free guidance: 1 none, 0 no class; default: the model's")
      ->check(between(0.0, 100.0));
  cmd->add_option("--autoguidance", o->autoguidance,
                  "how far from a weaker network, 1: none; default: the model's")
      ->check(between(1.0, 100.0));
  cmd->add_option("--weaker", o->weaker,
                  "the weaker network: checkpoint, run folder or model folder; default: the run's "
                  "checkpoint that sampler.autoguidance_share says");
  cmd->add_option("--steps", o->steps, "sampling steps; default: the model's")->check(at_least(1));
  cmd->add_option("--sampler", o->sampler, "ddim or ddpm (ancestral); default: the model's")
      ->check(CLI::IsMember({"ddim", "ddpm"}));
  cmd->add_option("--eta", o->eta, "noise of ddim: 0 none, 1 as ddpm; default: the model's")
      ->check(between(0.0, 1.0));
  cmd->add_option("--seed", o->seed, "seed; image i depends on (seed, i) and its class alone")
      ->check(at_least(0))
      ->capture_default_str();
  cmd->add_option(
         "--first", o->first,
         "number of the first image, which says nothing of its class: image 5 of a grid alone is "
         "--first 5 --n 1 --class with the class of its row")
      ->check(at_least(0))
      ->capture_default_str();
  cmd->add_option("--columns", o->columns,
                  "images a row of a grid; of several classes it shows one row each; default: all")
      ->check(at_least(1));
  cmd->add_option("--batch", o->batch, "images computed at once")
      ->check(at_least(1))
      ->capture_default_str();
  cmd->add_option("--dtype", o->dtype, "f32 or bf16; default: as trained")
      ->check(CLI::IsMember({"f32", "bf16"}));
  cmd->add_option(
         "--set", o->set,
         "key=value of schedule, sampler or objective.target, as in sampler.spacing=leading")
      ->allow_extra_args(false);
  cmd->add_flag("--raw", o->raw, "the weights as trained instead of their running average");
  add_device(cmd, o->device, "cpu");
  add_threads(cmd, o->threads);
  cmd->callback([o] { run(*o); });
}

}  // namespace noisette::commands
