// noisette plan: what a run will cost, before any data is touched.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "framework/core/dispatch.h"
#include "framework/report/progress.h"
#include "framework/report/table.h"
#include "train/card_plan.h"
#include "train/commands/commands.h"
#include "train/commands/options.h"
#include "train/conv_forms.h"
#include "train/measure.h"
#include "train/precision.h"
#include "train/sample_plan.h"

namespace noisette::commands {
namespace {

struct Options {
  std::string file, device;
  std::vector<std::string> set;
  bool json = false, measure = true;
  int64_t sample_batch = 64, threads = 0;
};

/// What the run needs of a CUDA card, and what fits on which.
struct Cards {
  CardPlan plan;
  std::vector<CardFit> fits;
  std::string recompute;  // without blocks

  explicit Cards(const TrainConfig& c)
      : plan(plan_card(c)),
        fits(fit_cards(c)),
        recompute(config::name_of(c.run.recompute == Recompute::blocks ? Recompute::norms
                                                                       : c.run.recompute)) {}
};

/// The same of drawing with the run's model.
struct SamplingCards {
  CardPlan plan;
  std::vector<SamplingFit> fits;

  SamplingCards(const TrainConfig& c, int64_t batch)
      : plan(plan_card_sampling(c, batch)), fits(fit_cards_sampling(c)) {}
};

std::string bytes_text(int64_t n) { return format_bytes(double(n)); }
std::string images_text(int64_t n) { return n == 0 ? "none" : format_count(n); }

/// What all that runs on a card takes, below the rows of its own.
std::string finish(Table& need, const CardPlan& p) {
  need.row({"segments: rounding, gaps, what warm-up leaves", bytes_text(p.segments)});
  need.row({"scratch of kernels", bytes_text(p.scratch)});
  if (p.libraries > 0)
    need.row({"scratch of cuBLASLt and cuDNN, where installed: at most", bytes_text(p.libraries)});
  need.row({"an allowance for context, program and driver", bytes_text(CardPlan::kAllowance)});
  return need.rule().row({"all", bytes_text(p.total())}).str();
}

std::string text_of(const Cards& cards) {
  const CardPlan& p = cards.plan;
  Table need({"on a CUDA card: counted, not measured on one", "memory"});
  need.row({"tensors at the peak of the step", bytes_text(p.tensors)});
  need.row({"batches: two sets, and the recorded step's", bytes_text(p.batches)});
  need.row({"previews, recorded beside the step", bytes_text(p.previews)});
  const std::string all = finish(need, p);
  Table fit({"card", "largest run.micro_batch, recompute " + cards.recompute, "recompute blocks"});
  for (const CardFit& f : cards.fits)
    fit.row({fmt::format("{} GiB", f.gib), images_text(f.micro_batch), images_text(f.of_blocks)});
  return all + "\n\n" + fit.str();
}

std::string text_of(const SamplePlan& p, const SamplingCards& cards) {
  Table cost({fmt::format("noisette sample: {} images, {} at once", format_count(p.images),
                          format_count(std::min(p.images, p.batch))),
              ""});
  cost.row({"memory: weights, their average, a weaker network's", bytes_text(p.weights_bytes)});
  cost.row({"memory: peak", bytes_text(p.peak_bytes)});
  Table need({"noisette sample on a CUDA card: counted, not measured on one", "memory"});
  need.row({"tensors at the peak, of recorded steps too", bytes_text(cards.plan.tensors)});
  const std::string all = finish(need, cards.plan);
  Table fit({"card", fmt::format("largest --batch of noisette sample, up to {}",
                                 format_count(SamplingFit::kMost))});
  for (const SamplingFit& f : cards.fits)
    fit.row({fmt::format("{} GiB", f.gib), images_text(f.batch)});
  return cost.str() + "\n\n" + all + "\n\n" + fit.str();
}

nlohmann::ordered_json json_of(const CardPlan& p) {
  return {{"measured_on_a_card", false},
          {"tensor_bytes", p.tensors},
          {"batch_bytes", p.batches},
          {"scratch_bytes", p.scratch},
          {"library_bytes", p.libraries},
          {"segment_bytes", p.segments},
          {"preview_bytes", p.previews},
          {"allowance_bytes", CardPlan::kAllowance},
          {"bytes", p.total()}};
}

nlohmann::ordered_json json_of(const Cards& cards) {
  nlohmann::ordered_json j = json_of(cards.plan);
  for (const CardFit& f : cards.fits)
    j["cards"].push_back({{"gib", f.gib},
                          {"micro_batch", f.micro_batch},
                          {"recompute", cards.recompute},
                          {"micro_batch_recompute_blocks", f.of_blocks}});
  return j;
}

nlohmann::ordered_json json_of(const SamplePlan& p, const SamplingCards& cards) {
  nlohmann::ordered_json j{{"images", p.images},
                           {"batch", p.batch},
                           {"weights_bytes", p.weights_bytes},
                           {"peak_bytes", p.peak_bytes}};
  for (const auto& [name, bytes] : p.peak_by_tag) j["peak_by_op"][name] = bytes;
  j["cuda"] = json_of(cards.plan);
  for (const char* of_training : {"batch_bytes", "preview_bytes"}) j["cuda"].erase(of_training);
  for (const SamplingFit& f : cards.fits)
    j["cuda"]["cards"].push_back({{"gib", f.gib}, {"batch", f.batch}});
  return j;
}

std::string text_of(const TrainConfig& c, const StepPlan& p, double seconds_per_image) {
  Table blocks({"block", "parameters"});
  for (const auto& [name, count] : p.parameters_by_block) blocks.row({name, format_count(count)});
  blocks.rule().row({"all", format_count(p.parameters)});
  Table cost({"cost", ""});
  cost.row({"arithmetic, one image forward", fmt::format("{:.3f} GFLOP", p.flops_forward / 1e9)});
  cost.row(
      {"arithmetic, one image, training step", fmt::format("{:.3f} GFLOP", p.flops_step / 1e9)});
  cost.row({"arithmetic, one update",
            fmt::format("{:.1f} GFLOP", p.flops_step * double(c.run.batch) / 1e9)});
  cost.row(
      {"memory: weights, gradients, moments, average", format_bytes(double(p.persistent_bytes))});
  cost.row({fmt::format("memory: after forward of {} images", p.micro_batch),
            format_bytes(double(p.forward_bytes))});
  cost.row({"memory: peak of the step", format_bytes(double(p.peak_bytes))});
  if (seconds_per_image > 0) {
    const double update = seconds_per_image * double(c.run.batch);
    cost.row({"time: one update, by a short measurement here", fmt::format("{:.3f} s", update)});
    const double all = update * double(c.run.updates);
    cost.row({fmt::format("time: {} updates", format_count(c.run.updates)),
              all < 10 ? fmt::format("{:.3f} s", all) : format_duration(all)});
  }
  Table largest({"at the peak", "memory"});
  for (std::size_t i = 0; i < std::min<std::size_t>(p.peak_by_tag.size(), 8); ++i) {
    const auto& [op, bytes] = p.peak_by_tag[i];
    largest.row({op == "unnamed" ? "other" : op, format_bytes(double(bytes))});
  }
  return blocks.str() + "\n\n" + cost.str() + "\n\n" + largest.str();
}

nlohmann::ordered_json json_of(const TrainConfig& c, const StepPlan& p, double seconds_per_image) {
  nlohmann::ordered_json j;
  j["parameters"] = p.parameters;
  for (const auto& [name, count] : p.parameters_by_block) j["parameters_by_block"][name] = count;
  j["flops_per_image"] = p.flops_forward;
  j["flops_per_image_step"] = p.flops_step;
  j["batch"] = c.run.batch;
  j["micro_batch"] = p.micro_batch;
  j["persistent_bytes"] = p.persistent_bytes;
  j["forward_bytes"] = p.forward_bytes;
  j["peak_bytes"] = p.peak_bytes;
  for (const auto& [name, bytes] : p.peak_by_tag) j["peak_by_op"][name] = bytes;
  if (seconds_per_image > 0) {
    j["seconds_per_update"] = seconds_per_image * double(c.run.batch);
    j["seconds"] = seconds_per_image * double(c.run.batch) * double(c.run.updates);
  }
  return j;
}

/// Whether this machine can time a step.
bool is_here(Device device) {
  if (device.is_cpu()) return true;
#ifdef NOISETTE_CUDA
  return device.index < cuda::device_count();
#else
  return false;
#endif
}

/// Seconds of a training step per image, from two steps of a few images; 0 when it is switched off.
double short_measurement(TrainConfig c) {
  c.run.micro_batch = c.run.batch = std::min<int64_t>(c.run.batch, 8);
  return measure_step(c, 1, 1).seconds / double(c.run.batch);
}

}  // namespace

void add_plan(CLI::App& app) {
  CLI::App* cmd = app.add_subcommand(
      "plan",
      "parameters, arithmetic, memory and time of a run, and the memory of drawing with its model; "
      "touches no data");
  auto o = std::make_shared<Options>();
  cmd->add_option("CONFIG", o->file, "TOML file of the run")->required();
  cmd->add_option("--set", o->set, "key=value; may be repeated")->allow_extra_args(false);
  cmd->add_flag("--json", o->json, "one JSON object instead of tables");
  cmd->add_flag_callback(
      "--no-measure", [o] { o->measure = false; },
      "leave out the time, which needs two training steps of a few images");
  cmd->add_option("--sample-batch", o->sample_batch,
                  "images that noisette sample draws at once, its --batch")
      ->check(between(1, 1 << 24))
      ->capture_default_str();
  add_device(cmd, o->device, "run.device of the file; the card need not be here");
  add_threads(cmd, o->threads);
  cmd->callback([o] {
    use_threads(o->threads);
    TrainConfig c = load_train_config(o->file, o->set);
    if (!o->device.empty()) c.run.device_name = o->device;
    check_run(c);
    const Cards cards(c);  // which compute in bf16 whatever the CPU does
    const SamplingCards sampling_cards(c, o->sample_batch);
    use_supported_precision(c);
    use_tf32(c);
    use_conv_forms(c);
    const StepPlan p = plan_step(c);
    const SamplePlan sampling = plan_sampling(c, o->sample_batch);
    const double seconds = o->measure && is_here(c.run.device()) ? short_measurement(c) : 0;
    if (!o->json)
      return print(fmt::format("{}\n\n{}\n\n{}", text_of(c, p, seconds), text_of(cards),
                               text_of(sampling, sampling_cards)));
    nlohmann::ordered_json j = json_of(c, p, seconds);
    j["cuda"] = json_of(cards);
    j["sampling"] = json_of(sampling, sampling_cards);
    print(j.dump(2));
  });
}

}  // namespace noisette::commands
