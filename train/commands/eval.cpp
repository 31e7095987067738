// noisette eval: how well a model fits held-out images, or how good a set of its samples is.
#include "train/eval.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "framework/report/console.h"
#include "framework/report/progress.h"
#include "framework/report/table.h"
#include "train/commands/commands.h"
#include "train/commands/options.h"
#include "train/conv_forms.h"
#include "train/eval_record.h"
#include "train/feed.h"
#include "train/file_kind.h"
#include "train/model_source.h"
#include "train/precision.h"
#include "train/sample_metrics.h"

namespace noisette::commands {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kForModels = "For a model";
constexpr const char* kForSamples = "For a set of samples";

constexpr std::string_view kSettable[] = {"schedule.", "sampler.variance", "sampler.clip",
                                          "objective.target", "run.providers"};

struct Options {
  std::string for_models, for_samples;  // an option of either group that was given; "" without
  std::string target, data, dtype, device = "cpu";
  std::vector<std::string> metrics, set;
  int64_t images = 256, timesteps = 50, batch = 64, threads = 0;
  int64_t reference = 20000, neighbours = 5;
  uint64_t seed = 0;
  bool raw = false, json = false;

  bool wants(const char* metric) const {
    return std::find(metrics.begin(), metrics.end(), metric) != metrics.end();
  }
};

/// What a command found: figures by metric, and the same as tables.
struct Findings {
  Json metrics = Json::object();
  std::string text;
};

/// Fills in the default metrics, and refuses those that say nothing about this kind of target.
void choose_metrics(Options& o, const std::vector<std::string>& known, const char* what) {
  if (o.metrics.empty()) o.metrics = known;
  for (const std::string& m : o.metrics)
    if (std::find(known.begin(), known.end(), m) == known.end())
      throw UsageError(fmt::format("[eval] {} is {}, whose metrics are {}; got --metrics {}",
                                   o.target, what, fmt::join(known, " and "), m));
}

/// The split named behind '#', else `preferred`, else the only one there is.
DataSplit open_split(const std::string& spec, const std::string& preferred) {
  if (spec.find('#') != std::string::npos && !fs::exists(spec))
    return DataSplit::open(spec, preferred);
  const auto data = Dataset::open(spec);
  const auto& splits = data->info().splits;
  return {data, splits.size() == 1 ? splits[0].name : preferred};
}

DataSplit held_out_of(const TrainConfig& c, const Options& o) {
  if (!o.data.empty()) return open_split(o.data, "test");
  if (!c.data.held_out.empty()) return open_split(c.data.held_out, "test");
  const std::string file = c.data.path.substr(0, c.data.path.rfind('#'));
  if (!fs::exists(file))
    throw UsageError(fmt::format(
        "[eval] the training set {} of the model is not here; name held-out images with --data",
        file));
  // Never the split that was trained on: without a split `test` this is an error.
  return {Dataset::open(file), "test"};
}

/// Whether `data` is the split the model was trained on; false where its training set is not known.
bool trained_on(const LoadedModel& m, const DataSplit& data) {
  const std::string& spec = m.config.data.path;
  const std::size_t at = fs::exists(spec) ? spec.npos : spec.rfind('#');
  const std::string split = at == spec.npos ? "train" : spec.substr(at + 1);
  return data.info().fingerprint == m.data_fingerprint && data.name() == split;
}

EvalModel eval_model(const LoadedModel& m) {
  const UNet& unet = *m.unet;
  return {.network = [&unet](const Tensor& x, const Tensor& t,
                             const Tensor& labels) { return unet(x, t, labels); },
          .schedule = m.config.schedule,
          .target = m.config.objective.target,
          .variance = m.config.sampler.variance,
          .clip = m.config.sampler.clip,
          .num_class_embeds = m.config.model.num_class_embeds,
          .dtype = element_type(m.config.run.precision),
          .device = m.config.run.device(),
          .graph = m.config.run.graph};
}

EvalResult measure(const LoadedModel& model, const DataSplit& data, const Options& o) {
  TrainConfig image_rules = model.config;  // labels have their own: a class may be missing here
  image_rules.model.num_class_embeds = 0;
  check_data(image_rules, data);
  EvalOptions options{.bound = o.wants("nll"),
                      .bands = o.wants("bands"),
                      .images = o.images,
                      .timesteps = o.timesteps,
                      .batch = o.batch,
                      .seed = o.seed};
  CountProgress progress(console(), "evaluating image");
  options.progress = [&](double done, int64_t total) { progress.update(done, double(total)); };
  const EvalResult r = evaluate(eval_model(model), data, options);
  const double figure = (r.bound ? r.bound->bits : 0) + (r.bands ? r.bands->loss : 0);
  check_user(std::isfinite(figure),
             "[eval] the figures of {} on {} are not finite: the network overflows with these "
             "weights in {}",
             model.origin, data.dataset().origin(), config::name_of(model.config.run.precision));
  return r;
}

/// What a figure was measured on, so that eval.json explains itself.
Json context_of(const LoadedModel& m, const DataSplit& data, const EvalResult& r,
                const Options& o) {
  Json j;
  j["images"] = r.images;
  j["timesteps"] =
      o.timesteps == 0 ? m.config.schedule.steps : std::min(o.timesteps, m.config.schedule.steps);
  j["seed"] = o.seed;
  j["model"] = m.origin;
  j["update"] = m.update;
  j["weights"] = m.arena->in_use() == ParameterArena::Weights::ema ? "averaged" : "raw";
  j["precision"] = std::string(config::name_of(m.config.run.precision));
  j["data"] = data.dataset().origin();
  j["split"] = data.name();
  j["fingerprint"] = data.info().fingerprint;
  j["trained_on"] = trained_on(m, data);
  return j;
}

Json json_of(const BoundResult& b, const TrainConfig& c) {
  return {{"bits_per_dim", b.bits},
          {"standard_error", b.standard_error},
          {"prior", b.prior},
          {"kl", b.kl},
          {"decoder", b.decoder},
          {"exact", b.exact},
          {"variance", std::string(config::name_of(c.sampler.variance))}};
}

std::string text_of(const BoundResult& b, int64_t steps) {
  const auto value = [](double v) { return fmt::format("{:.4f}", v); };
  Table t({"variational bound", "bits per dimension"});
  t.row({"L_T, prior", value(b.prior)});
  t.row({fmt::format("L_1 .. L_{}, reverse steps", steps - 1), value(b.kl)});
  t.row({"L_0, discretised decoder", value(b.decoder)});
  t.rule().row({"sum", value(b.bits)});
  t.row({"standard error over images", value(b.standard_error)});
  return t.str();
}

std::string text_of(const BandsResult& b, int64_t steps) {
  Table t({"timesteps", "mean squared error"});
  const auto n = int64_t(b.bands.size());
  for (int64_t i = 0; i < n; ++i)
    t.row({fmt::format("{} to {}", (i * steps + n - 1) / n, ((i + 1) * steps + n - 1) / n - 1),
           fmt::format("{:.5f}", b.bands[std::size_t(i)])});
  t.rule().row({"all", fmt::format("{:.5f}", b.loss)});
  return t.str();
}

std::string header_of(const Json& context, const DataSplit& data, bool exact) {
  Table t;
  t.row({"model", fmt::format("{}, {} weights, {}", context["model"].get<std::string>(),
                              context["weights"].get<std::string>(),
                              context["precision"].get<std::string>())});
  t.row({"data",
         fmt::format("{}, split {}: {} of {} {}", data.dataset().origin(), data.name(),
                     format_count(context["images"].get<int64_t>()), format_count(data.size()),
                     context["trained_on"] == true ? "training images" : "images")});
  const auto steps = context["timesteps"].get<int64_t>();
  t.row({"timesteps", exact ? fmt::format("all {}, one noise each", steps)
                            : fmt::format("{} an image and metric: an unbiased estimate", steps)});
  t.row({"labels", data.info().class_names.empty() ? "none" : "as the data set has them"});
  return t.str();
}

Findings evaluate_model(Options& o) {
  choose_metrics(o, {"nll", "bands"}, "a model");
  check_overrides("eval", o.set, kSettable);
  std::optional<Precision> precision;
  if (!o.dtype.empty()) precision = precision_of(o.dtype);
  const LoadedModel model = open_model(
      o.target, {.ema = !o.raw, .precision = precision, .device = o.device, .overrides = o.set});
  use_conv_forms(model.config);
  const DataSplit data = held_out_of(model.config, o);
  const EvalResult r = measure(model, data, o);
  const Json context = context_of(model, data, r, o);
  const bool exact = r.bound ? r.bound->exact : r.bands->exact;
  Findings f;
  f.text = header_of(context, data, exact);
  if (r.bound) {
    f.metrics["nll"] = json_of(*r.bound, model.config);
    f.text += "\n\n" + text_of(*r.bound, model.config.schedule.steps);
  }
  if (r.bands) {
    f.metrics["bands"] = {
        {"loss", r.bands->loss}, {"bands", r.bands->bands}, {"exact", r.bands->exact}};
    f.text += "\n\n" + text_of(*r.bands, model.config.schedule.steps);
  }
  for (auto& [name, figures] : f.metrics.items()) figures.update(context);
  return f;
}

// ---- sample sets

void add_vote(const DataSplit& samples, const DataSplit& real, const Options& o, Findings& f) {
  const VoteResult v = nearest_neighbour_vote(samples, real, o.reference, o.neighbours);
  Table t({"class asked for", "images", "named so", "share"});
  Json& j = f.metrics["knn"];
  j = {{"share", v.share()}, {"correct", v.correct}, {"images", v.images}};
  for (std::size_t c = 0; c < v.asked.size(); ++c) {
    const std::string& name = real.info().class_names[c];
    if (v.asked[c] == 0) continue;
    j["per_class"][name] = {{"asked", v.asked[c]}, {"right", v.right[c]}};
    t.row({name, std::to_string(v.asked[c]), std::to_string(v.right[c]),
           fmt::format("{:.1f} %", 100 * double(v.right[c]) / double(v.asked[c]))});
  }
  t.rule().row({"all", std::to_string(v.images), std::to_string(v.correct),
                fmt::format("{:.1f} %", 100 * v.share())});
  j["neighbours"] = o.neighbours;
  j["reference"] = o.reference > 0 ? std::min(o.reference, real.size()) : real.size();
  f.text += fmt::format("\n\nvote of the {} nearest of {} real images\n{}", o.neighbours,
                        format_count(j["reference"].get<int64_t>()), t.str());
}

/// The classes whose variety cannot be told, with why; not those of which no sample was asked for.
std::vector<std::string> without_variety(const VarietyResult& v,
                                         const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (std::size_t c = 0; c < v.ratio.size(); ++c) {
    if (std::isfinite(v.ratio[c]) || v.samples[c] == 0) continue;
    if (v.samples[c] < 2)
      out.push_back(fmt::format("{} (1 sample)", names[c]));
    else if (v.originals[c] < 2)
      out.push_back(fmt::format("{} ({} real)", names[c], v.originals[c]));
    else
      out.push_back(fmt::format("{} (the real ones are all alike)", names[c]));
  }
  return out;
}

void add_variety(const DataSplit& samples, const DataSplit& real, Findings& f) {
  constexpr int64_t kLimit = 200;  // images of a class that are compared with each other
  const VarietyResult v = variety(samples, real, kLimit);
  const auto left_out = without_variety(v, real.info().class_names);
  const std::string note = left_out.empty()
                               ? ""
                               : fmt::format(
                                     "variety needs two images of a class, sampled and "
                                     "real; left out: {}",
                                     fmt::join(left_out, ", "));
  if (!std::isfinite(v.mean_ratio)) {
    const std::string problem =
        "no class has a variety: " + (note.empty() ? "no sample has a class" : note);
    check_user(!f.metrics.empty(), "[eval] {}", problem);
    console().line("[eval] " + problem);
    return;
  }
  Table t({"class", "samples", "real", "ratio"});
  Json& j = f.metrics["variety"];
  j = {{"mean_ratio", v.mean_ratio}, {"images", samples.size()}};
  for (std::size_t c = 0; c < v.ratio.size(); ++c) {
    if (!std::isfinite(v.ratio[c])) continue;
    j["per_class"][real.info().class_names[c]] = v.ratio[c];
    t.row({real.info().class_names[c], fmt::format("{:.2f}", v.generated[c]),
           fmt::format("{:.2f}", v.real[c]), fmt::format("{:.3f}", v.ratio[c])});
  }
  t.rule().row({"mean", "", "", fmt::format("{:.3f}", v.mean_ratio)});
  if (!left_out.empty()) j["left_out"] = left_out;
  f.text += "\n\nmean distance between two images of a class\n" + t.str();
  if (!note.empty()) f.text += "\n" + note;
}

Findings evaluate_samples(Options& o) {
  choose_metrics(o, {"knn", "variety"}, "a set of images");
  if (o.data.empty())
    throw UsageError(fmt::format(
        "[eval] {} is a set of images; name the real ones to judge it by with --data", o.target));
  if (!o.wants("knn") && !o.for_samples.empty())
    throw UsageError(
        fmt::format("[eval] {} is for --metrics knn; got --metrics variety", o.for_samples));
  const DataSplit samples = open_split(o.target, "samples"), real = open_split(o.data, "train");
  Findings f;
  Table header;
  header.row({"samples", fmt::format("{}: {} images", samples.dataset().origin(),
                                     format_count(samples.size()))});
  header.row({"real", fmt::format("{}, split {}: {} images", real.dataset().origin(), real.name(),
                                  format_count(real.size()))});
  f.text = header.str();
  if (o.wants("knn")) add_vote(samples, real, o, f);
  if (o.wants("variety")) add_variety(samples, real, f);
  for (auto& [name, figures] : f.metrics.items()) {
    figures["samples"] = samples.dataset().origin();
    figures["samples_from"] = samples.info().source;
    figures["data"] = real.dataset().origin();
    figures["split"] = real.name();
    figures["fingerprint"] = real.info().fingerprint;
  }
  return f;
}

/// Options of the other kind of target would have no effect.
void refuse_foreign_options(const Options& o, bool samples) {
  const std::string& foreign = samples ? o.for_models : o.for_samples;
  if (!foreign.empty())
    throw UsageError(fmt::format("[eval] {} is for {}; {} is {}", foreign,
                                 samples ? "a model" : "a set of samples", o.target,
                                 samples ? "a set of images" : "a model"));
}

std::string given_in(const CLI::App& cmd, const char* group) {
  for (const CLI::Option* option : cmd.get_options())
    if (option->get_group() == group && option->count() > 0) return option->get_name();
  return "";
}

/// The run that a target belongs to: the folder itself, or the one a sample set lies in.
std::optional<fs::path> run_of(const fs::path& target, FileKind kind) {
  if (kind == FileKind::run_folder && is_run_folder(target)) return target;
  const fs::path folder = fs::absolute(target).parent_path();
  if (kind == FileKind::data_set && is_run_folder(folder)) return folder;
  return {};
}

/// Keeps the figures for the report, unless they are not of the run as it was trained.
void record(const fs::path& folder, const Findings& f, const Options& o) {
  const std::string reason = o.set.empty()
                                 ? conflict_with_record(read_eval_record(folder), f.metrics)
                                 : "--set makes them those of another configuration";
  if (reason.empty()) return write_eval_record(folder, f.metrics);
  console().line(fmt::format("[eval] these figures are not recorded in {}: {}",
                             (folder / "eval.json").string(), reason));
}

std::string json_of(const Findings& f, const Options& o) {
  Json j;
  j["target"] = o.target;
  j.update(f.metrics);
  return j.dump(2);
}

void run(Options o) {
  use_threads(o.threads);
  const std::string file =
      fs::exists(o.target) ? o.target : o.target.substr(0, o.target.rfind('#'));
  const FileKind kind = kind_of(file, "eval");
  if (kind == FileKind::png || kind == FileKind::safetensors)
    throw UsageError(
        fmt::format("[eval] {} is neither a model nor a sample set; a model in "
                    "diffusers' layout is its folder, and samples are written as a "
                    "set by 'noisette sample -o set.h5'",
                    o.target));
  refuse_foreign_options(o, kind == FileKind::data_set);
  const auto folder = run_of(file, kind);
  if (folder) read_eval_record(*folder);  // a damaged one is known before the work, not after
  if (folder && o.set.empty()) check_writable(*folder / "eval.json");
  const Findings f = kind == FileKind::data_set ? evaluate_samples(o) : evaluate_model(o);
  print(o.json ? json_of(f, o) : f.text);  // before what can fail: the work is done
  if (folder) record(*folder, f, o);
}

void add_model_options(CLI::App* cmd, Options& o) {
  const char* group = kForModels;
  cmd->add_option("--images", o.images, "held-out images, spread evenly over the split; 0: all")
      ->check(at_least(0))
      ->capture_default_str()
      ->group(group);
  cmd->add_option("--timesteps", o.timesteps,
                  "asked for per image, drawn for an unbiased estimate; 0: all, the exact sum")
      ->check(at_least(0))
      ->capture_default_str()
      ->group(group);
  cmd->add_option("--seed", o.seed, "of the noise and the drawn timesteps")
      ->check(at_least(0))
      ->capture_default_str()
      ->group(group);
  cmd->add_option("--batch", o.batch, "images computed at once; changes no figure but by rounding")
      ->check(at_least(1))
      ->capture_default_str()
      ->group(group);
  cmd->add_option("--dtype", o.dtype, "f32 or bf16; default: as trained")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->group(group);
  add_device(cmd, o.device, "cpu")->group(group);
  cmd->add_flag("--raw", o.raw, "the weights as trained instead of their running average")
      ->group(group);
  cmd->add_option(
         "--set", o.set,
         "key=value of schedule, sampler.variance, sampler.clip or objective.target, as in "
         "sampler.variance=fixed_small")
      ->allow_extra_args(false)
      ->group(group);
}

void add_sample_options(CLI::App* cmd, Options& o) {
  const char* group = kForSamples;
  cmd->add_option("--reference", o.reference, "real images that may vote; 0: all")
      ->check(at_least(0))
      ->capture_default_str()
      ->group(group);
  cmd->add_option("--neighbours", o.neighbours, "nearest real images that vote")
      ->check(at_least(1))
      ->capture_default_str()
      ->group(group);
}

}  // namespace

void add_eval(CLI::App& app) {
  CLI::App* cmd = app.add_subcommand(
      "eval", "bits per dimension and loss of a model, or class vote and variety of its samples");
  auto o = std::make_shared<Options>();
  cmd->add_option("TARGET", o->target,
                  "run folder, checkpoint, model folder, or a set of samples (.h5)")
      ->required();
  cmd->add_option("--metrics", o->metrics,
                  "of a model: nll, bands; of samples: knn, variety; default: both")
      ->delimiter(',')
      ->check(CLI::IsMember({"nll", "bands", "knn", "variety"}));
  cmd->add_option("--data", o->data,
                  "FILE or FILE#SPLIT: held-out images for a model, default data.held_out, else "
                  "the split `test` of its training set; real images for samples");
  cmd->add_flag("--json", o->json, "one JSON object instead of tables");
  add_threads(cmd, o->threads);
  add_model_options(cmd, *o);
  add_sample_options(cmd, *o);
  cmd->footer(
      "nll      variational bound in bits per dimension with its parts (Ho et al. 2020, eq. 5, "
      "13)\n"
      "bands    mean squared error of the prediction by ten bands of the timestep\n"
      "knn      how often the nearest real images name the class a sample was asked for\n"
      "variety  distance between samples of a class over that between real images\n\n"
      "Figures of a run, or of a set of samples inside its folder, are kept in its eval.json, "
      "which\n`noisette report` shows; not those of --set, nor those of --raw in place of the "
      "averaged weights'.");
  cmd->callback([o, cmd] {
    o->for_models = given_in(*cmd, kForModels);
    o->for_samples = given_in(*cmd, kForSamples);
    run(*o);
  });
}

}  // namespace noisette::commands
