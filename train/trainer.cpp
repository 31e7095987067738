#include "train/trainer.h"

#include <omp.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "framework/autograd/autograd.h"
#include "framework/core/replay.h"
#include "framework/io/atomic_file.h"
#include "framework/io/hash.h"
#include "framework/report/progress.h"
#include "framework/report/sysinfo.h"
#include "framework/report/tensorboard.h"
#include "train/checkpoint.h"
#include "train/conv_forms.h"
#include "train/feed.h"
#include "train/measure.h"
#include "train/micro_batch.h"
#include "train/precision.h"
#include "train/providers.h"
#include "train/recorded.h"
#include "train/run_folder.h"
#include "train/run_tables.h"
#include "train/step_log.h"
#include "train/summary.h"

namespace noisette {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Keys that may differ between a checkpoint and the run that goes on from it: they do not change
/// the result of an update, but for its rounding.
bool may_change(const std::string& key) {
  for (const char* prefix :
       {"run.updates", "run.folder", "run.name", "run.log_every", "run.micro_batch",
        "run.recompute", "run.device", "run.graph", "run.providers", "checkpoint.", "preview.",
        "sampler.", "data.path", "data.held_out"})
    if (key.starts_with(prefix)) return true;
  return false;
}

/// A message of an Error without its [tag], to be quoted in another.
std::string untagged(const std::string& message) {
  const std::size_t end = message.starts_with('[') ? message.find("] ") : message.npos;
  return end == message.npos ? message : message.substr(end + 2);
}

/// The configuration that a checkpoint was trained with, where its run has it.
std::string configuration_of(const fs::path& checkpoint) {
  const fs::path folder = checkpoint.parent_path(), file = folder.parent_path() / "config.toml";
  std::error_code none;
  return folder.filename() == "checkpoints" && fs::exists(file, none)
             ? file.string()
             : "the configuration it was trained with";
}

void check_same_run(const TrainConfig& now, const CheckpointInfo& info, const fs::path& path) {
  const TrainConfig then = parse_train_config(info.config, path.string());
  std::string changes;
  for (const config::Change& c : config::diff(now, then))
    if (!may_change(c.key))
      changes += fmt::format("{}{} is {} and was {}", changes.empty() ? "" : ", ", c.key, c.value,
                             c.other);
  if (!changes.empty())
    throw UsageError(fmt::format(
        "[resume] the configuration is not the one {} was trained with: {}; go on with {}, "
        "or start anew with --overwrite in place of --resume",
        path.string(), changes, configuration_of(path)));
}

/// What was measured when the run began holds for all of it.
void take_conv_forms(TrainConfig& now, const CheckpointInfo& info) {
  const TrainConfig then = parse_train_config(info.config, "the checkpoint");
  if (now.run.conv == then.run.conv && now.run.conv_forms.empty())
    now.run.conv_forms = then.run.conv_forms;
}

/// A learning rate that falls over the whole run falls along another curve once the run has another
/// length.
void warn_of_new_length(const TrainConfig& now, const CheckpointInfo& info) {
  const TrainConfig then = parse_train_config(info.config, "the checkpoint");
  if (now.optimizer.decay == Decay::constant || then.run.updates == now.run.updates) return;
  const auto rate = [&](const TrainConfig& c) {
    return format_value(learning_rate_at(c.optimizer, info.update, c.run.updates));
  };
  spdlog::warn(
      "the learning rate was to fall over {} updates and now falls over {}: after update {} it is "
      "{} in place of {}, and config.toml alone will not reproduce this run",
      then.run.updates, now.run.updates, info.update, rate(now), rate(then));
}

/// oneDNN splits sums by the number of threads; nothing else here depends on it.
void warn_of_threads(const CheckpointInfo& info) {
  const auto then = info.numbers.find("threads");  // older checkpoints do not say
  const int now = omp_get_max_threads();
  if (then == info.numbers.end() || then->second == double(now)) return;
  spdlog::warn(
      "the number of threads was {:g} and is {}: weights will round differently from here on "
      "(--threads {:g} goes on as before)",
      then->second, now, then->second);
}

void warn_of_device(const TrainConfig& now, const CheckpointInfo& info) {
  const TrainConfig then = parse_train_config(info.config, "the checkpoint");
  if (now.run.device().type == then.run.device().type) return;
  spdlog::warn("the run was on {} and goes on on {}: weights will round differently from here on",
               then.run.device_name, now.run.device_name);
}

/// Everything of one training run; step() does one update.
class Run {
 public:
  Run(TrainConfig config, const TrainOptions& options);
  TrainResult go(const std::atomic<bool>* stop);

 private:
  CheckpointInfo load(const fs::path& path);
  StepRecord step(int64_t update);
  std::vector<Tensor> next_batches();  // images, labels, index of each micro-batch
  std::vector<Tensor> compute(const std::vector<Tensor>& batches);  // all kernels of a step
  void tell_of_replay();
  void settle();  // reads the step before, now that the next one has been started
  double images_per_second(int64_t since, double seconds) const;
  void record(int64_t update);
  void save(int64_t update);
  void show_preview(int64_t update);
  std::string average_hash() const;
  [[noreturn]] void explain_non_finite(int64_t update);

  TrainConfig config_;
  DataSplit data_;
  std::unique_ptr<Task> task_;
  std::unique_ptr<ParameterArena> arena_;
  std::unique_ptr<AdamW> optimizer_;
  std::unique_ptr<RunFolder> folder_;
  Replay replay_;
  bool told_of_replay_ = false;
  std::unique_ptr<Feed> feed_;
  std::unique_ptr<StepLog> log_;
  std::unique_ptr<MetricsWriter> metrics_;
  std::unique_ptr<EventWriter> events_;
  std::unique_ptr<Progress> progress_;
  std::optional<StepRecord> pending_;
  fs::path last_checkpoint_;
  int64_t first_ = 0, issued_ = 0;   // updates done before this session, and begun by now
  int64_t saved_ = -1, logged_ = 0;  // newest update with a checkpoint, with a record
  double time_before_ = 0, waited_before_ = 0;  // seconds, of earlier sessions
  double logged_time_ = 0, logged_wait_ = 0, rate_ = Metrics::kUnset;
  Clock::time_point start_ = Clock::now();
};

/// A missing data set is what a new user meets first: says which key names it and what makes it.
void check_data_file(const char* key, const std::string& spec) {
  const auto missing = [](const std::string& path) {
    std::error_code error;  // where we may not look, opening it says so
    return !fs::exists(path, error) && !error;
  };
  check_user(!missing(spec) || !missing(spec.substr(0, spec.rfind('#'))),
             "[train] {} names {}, and there is no such file; `noisette data` makes it", key, spec);
}

/// The training set; the held-out one is looked at too, for nobody wants to hear of it after the
/// run.
DataSplit open_training_data(const TrainConfig& config) {
  check_run(config);
  if (!config.data.held_out.empty()) {
    check_data_file("data.held_out", config.data.held_out);
    TrainConfig image_rules = config;  // labels have their own: a class may be missing here
    image_rules.model.num_class_embeds = 0;
    check_data(image_rules, DataSplit::open(config.data.held_out, "test", 0));
  }
  check_data_file("data.path", config.data.path);
  DataSplit data = DataSplit::open(config.data.path, "train");
  check_data(config, data);
  return data;
}

Run::Run(TrainConfig config, const TrainOptions& options)
    : config_(std::move(config)),
      data_(open_training_data(config_)),
      replay_([this](const auto& batches) { return compute(batches); }, config_.run.graph) {
  check_device(config_.run.device());
  use_supported_precision(config_);
  use_tf32(config_);
  if (const std::string all = use_providers(config_); !all.empty())
    spdlog::info("libraries beside noisette's kernels: {}", all);
  check_memory(config_);
  task_ = make_task(config_);
  arena_ = std::make_unique<ParameterArena>(
      task_->module(), ArenaOptions{.device = config_.run.device(),
                                    .dtype = element_type(config_.run.precision),
                                    .trainable = true,
                                    .ema = config_.optimizer.ema_decay > 0});
  optimizer_ = std::make_unique<AdamW>(*arena_, config_.optimizer, config_.run.updates);
  CheckpointInfo before;
  if (options.resume)
    before = load(*options.resume);
  else
    arena_->initialize(config_.run.seed());
  measure_conv_forms(config_);
  use_conv_forms(config_);
  // What can be wrong with the input is known by now: only then is anything written.
  folder_ = std::make_unique<RunFolder>(config_);
  folder_->start_from(options.resume ? first_ : -1, options.overwrite);
  std::error_code absent;
  if (options.resume &&
      fs::equivalent(*options.resume, checkpoint_path(folder_->checkpoints(), first_), absent))
    saved_ = first_;  // else the checkpoint is another run's: save() writes its state here too
  log_ = std::make_unique<StepLog>(config_.schedule.steps, before.numbers);
  logged_ = issued_ = first_;
  write_file(folder_->path() / "config.toml", config::to_toml(config_));
  metrics_ = std::make_unique<MetricsWriter>(folder_->path() / "metrics.jsonl", first_);
  if (first_ < config_.run.updates)  // else there is nothing to write into it
    events_ = std::make_unique<EventWriter>(folder_->path(), first_);
}

CheckpointInfo Run::load(const fs::path& path) {
  const std::vector<std::string> buffers = list_checkpoint(path).buffers;
  check_user(std::find(buffers.begin(), buffers.end(), "m") != buffers.end(),
             "[resume] {} holds weights alone: no optimiser state; it cannot be resumed",
             path.string());
  const CheckpointInfo written = read_checkpoint_info(path);
  take_conv_forms(config_, written);
  check_same_run(config_, written, path);
  CheckpointInfo info = load_checkpoint(path, *arena_);
  check_user(
      info.data_fingerprint == data_.info().fingerprint,
      "[resume] the data has changed: {} was trained on a set with fingerprint {}; {} has {}",
      path.string(), info.data_fingerprint, config_.data.path, data_.info().fingerprint);
  const std::string bad = first_not_finite(*arena_);
  check_user(bad.empty(), "[resume] {} cannot be trained further: the {} is not finite",
             path.string(), bad);
  if (info.update > config_.run.updates)
    throw UsageError(fmt::format("[resume] {} has {} updates already; run.updates is {}",
                                 path.string(), info.update, config_.run.updates));
  warn_of_new_length(config_, info);
  if (info.update < config_.run.updates) {
    warn_of_device(config_, info);
    warn_of_threads(info);
  }
  first_ = info.update;
  last_checkpoint_ = path;
  time_before_ = info.numbers["time"];
  waited_before_ = info.numbers["waited"];
  return info;
}

std::vector<Tensor> Run::compute(const std::vector<Tensor>& batches) {
  arena_->reset_grads();
  std::vector<StepLoss> pieces;
  std::vector<Tensor> losses;
  for (std::size_t i = 0; i < batches.size(); i += 3) {
    const Batch batch{batches[i], batches[i + 1], batches[i + 2]};
    pieces.push_back(task_->loss(batch, config_.run.batch, true));
    backward(pieces.back().total);
    pieces.back().total = pieces.back().total.detach();
    losses.push_back(pieces.back().total);
  }
  const std::vector<std::string> missing = arena_->finish_grads();
  check(missing.empty(), "[train] no gradient reached {} parameters: {}", missing.size(),
        fmt::join(missing, ", "));
  return values_of(pieces, optimizer_->apply(losses));
}

std::vector<Tensor> Run::next_batches() {
  const int64_t batch = config_.run.batch, micro = micro_batch_of(config_);
  std::vector<Tensor> batches;
  for (int64_t done = 0; done < batch; done += micro) {
    const Batch next = feed_->next();
    batches.insert(batches.end(), {next.images, next.labels, next.sample_index});
  }
  return batches;
}

StepRecord Run::step(int64_t update) {
  optimizer_->prepare(update);
  StepRecord record{.update = update + 1, .values = Download(replay_(next_batches()))};
  if (!told_of_replay_) tell_of_replay();
  feed_->go_ahead();
  issued_ = update + 1;
  return record;
}

void Run::tell_of_replay() {
  const Replay::State& s = replay_.state();
  if (s.kind == Replay::State::Kind::recorded)
    spdlog::info("the step is recorded: {} kernels, {} copies on the device", s.kernels, s.copies);
  else if (!warn_if_not_recorded(s, "the step"))
    return;
  told_of_replay_ = true;
}

void Run::settle() {
  if (!pending_) return;
  StepRecord record = std::move(*pending_);
  pending_.reset();
  if (!log_->add(record)) explain_non_finite(record.update);
  const double now = seconds_since(start_);
  Metrics m;
  m.update = record.update;
  m.loss = log_->last_loss();
  m.loss_ema = log_->smoothed();
  m.lr = log_->last_rate();
  m.grad_norm = log_->last_grad_norm();
  m.images_per_second = std::isfinite(rate_) ? rate_ : images_per_second(first_, now);
  progress_->update(m, now);
}

double Run::images_per_second(int64_t since, double seconds) const {
  return double((issued_ - since) * config_.run.batch) / std::max(seconds, 1e-9);
}

void Run::record(int64_t update) {
  const double now = seconds_since(start_);
  Metrics m = log_->take(update);
  m.time = time_before_ + now;
  m.images_per_second = rate_ = images_per_second(logged_, now - logged_time_);
  m.data_wait = (feed_->waited_seconds() - logged_wait_) / std::max(now - logged_time_, 1e-9);
  logged_ = update;
  logged_time_ = now;
  logged_wait_ = feed_->waited_seconds();
  metrics_->write(m);
  events_->scalar("loss", update, m.loss);
  events_->scalar("learning_rate", update, m.lr);
  events_->scalar("grad_norm", update, m.grad_norm);
  events_->scalar("images_per_second", update, m.images_per_second);
  for (std::size_t i = 0; i < m.bands.size(); ++i)
    if (std::isfinite(m.bands[i]))
      events_->scalar(fmt::format("loss_by_timestep/{}", i), update, m.bands[i]);
  events_->flush();
}

void Run::save(int64_t update) {
  if (saved_ == update) return;
  const std::string bad = first_not_finite(*arena_);
  check_user(bad.empty(), "[train] after update {} the {} is not finite; {}", update, bad,
             last_checkpoint_.empty()
                 ? "nothing was saved"
                 : fmt::format("the newest checkpoint is {}", last_checkpoint_.string()));
  std::map<std::string, double> numbers = log_->saved();
  numbers["time"] = time_before_ + seconds_since(start_);
  numbers["waited"] = waited_before_ + feed_->waited_seconds();
  numbers["threads"] = omp_get_max_threads();
  const fs::path path = checkpoint_path(folder_->checkpoints(), update);
  save_checkpoint(path, *arena_,
                  {.task = task_->name(),
                   .update = update,
                   .config = config::to_toml(config_),
                   .data_fingerprint = data_.info().fingerprint,
                   .numbers = std::move(numbers)});
  last_checkpoint_ = path;
  prune_checkpoints(folder_->checkpoints(), config_.checkpoint.keep, config_.checkpoint.keep_every,
                    weaker_update(config_));
  saved_ = update;
}

/// Of the running average, to see that it moves; "" without one.
std::string Run::average_hash() const {
  if (!arena_->ema().defined()) return "";
  const Tensor host = to_device(arena_->ema(), kCpu);
  return hash_hex(std::as_bytes(host.span<float>()));
}

void Run::show_preview(int64_t update) {
  const bool average = arena_->ema().defined();
  if (average) arena_->use(ParameterArena::Weights::ema);
  const Image image = task_->preview();
  if (average) arena_->use(ParameterArena::Weights::master);
  const auto png = encode_png(image, {{"update", std::to_string(update)}});
  const std::string_view bytes(reinterpret_cast<const char*>(png.data()), png.size());
  write_file(folder_->previews() / fmt::format("update-{:08d}.png", update), bytes);
  events_->image("preview", update, bytes);
}

void Run::explain_non_finite(int64_t update) {
  // The optimiser has changed nothing since; the same update, run again with every tensor checked,
  // stops at the first.
  progress_->finish();
  arena_->use(ParameterArena::Weights::master);
  save(update - 1);
  std::string first = "the optimiser's own sums overflowed";
  try {
    const FiniteCheck check_all;
    feed_ = std::make_unique<Feed>(config_, data_, update - 1);
    optimizer_->prepare(update - 1);
    compute(next_batches());
  } catch (const Error& e) {
    first = e.what();
  }
  throw Error(fmt::format(
      "[train] update {} gave a loss of {} and a gradient norm of {}: {}. The state before it is "
      "saved in {}",
      update, log_->last_loss(), log_->last_grad_norm(), first, last_checkpoint_.string()));
}

TrainResult Run::go(const std::atomic<bool>* stop) {
  console().line(start_table(config_, data_, *arena_, first_, last_checkpoint_));
  const std::string average = average_hash();
  feed_ = std::make_unique<Feed>(config_, data_, first_);
  progress_ = std::make_unique<Progress>(console(), first_, config_.run.updates);
  start_ = Clock::now();
  int64_t update = first_;
  const auto stopping = [&] { return stop && stop->load(); };
  for (; update < config_.run.updates && !stopping(); ++update) {
    StepRecord now = step(update);
    settle();
    pending_ = std::move(now);
    const int64_t done = update + 1;
    const bool last = done == config_.run.updates;
    const auto due = [&](int64_t every) { return every > 0 && (last || done % every == 0); };
    const bool save_now = due(config_.checkpoint.every) || done == weaker_update(config_),
               log_now = due(config_.run.log_every), show_now = due(config_.preview.every);
    if (save_now || show_now || log_now) settle();
    if (log_now) record(done);
    if (save_now) save(done);
    if (show_now && !stopping()) show_preview(done);
  }
  settle();
  save(update);
  progress_->finish();
  const double seconds = seconds_since(start_), waited = feed_->waited_seconds();
  console().line(end_table(config_, *arena_,
                           {.first = first_,
                            .update = update,
                            .seconds = seconds,
                            .waited = waited,
                            .loss = log_->last_loss(),
                            .smoothed = log_->smoothed(),
                            .average_moved = average != average_hash(),
                            .checkpoint = last_checkpoint_}));
  const bool interrupted = update < config_.run.updates;
  if (!interrupted)
    write_summary(folder_->path(), config_, waited_before_ + waited, time_before_ + seconds);
  return {update, interrupted, last_checkpoint_};
}

}  // namespace

std::optional<fs::path> find_resume(const TrainConfig& config, const std::string& resume) {
  refuse_running(config);
  if (resume != "auto") {
    check_user(fs::exists(resume), "[resume] {} does not exist", resume);
    return resume;
  }
  const fs::path folder = config.run_folder() / "checkpoints";
  std::vector<std::string> skipped;
  std::optional<fs::path> newest;
  try {
    newest = newest_valid_checkpoint(folder, skipped);
  } catch (const UnusableCheckpoint& e) {
    throw Error(fmt::format(
        "[resume] the newest checkpoint that is not damaged cannot be used: {}; start anew with "
        "--overwrite in place of --resume, or go back with --resume FILE --overwrite",
        untagged(e.what())));
  }
  // Starting anew would remove what a repair could still save: that is for the user to decide.
  if (!newest && !skipped.empty())
    throw Error(
        fmt::format("[resume] no checkpoint in {} is sound; of the newest, {}: {}; start anew with "
                    "--overwrite in place of --resume",
                    folder.string(), list_checkpoints(folder).back().filename().string(),
                    untagged(skipped.front())));
  for (const std::string& reason : skipped)
    spdlog::warn("passed over a damaged checkpoint: {}", reason);
  return newest;
}

TrainResult train(const TrainConfig& config, const TrainOptions& options) {
  Run run(config, options);
  return run.go(options.stop);
}

}  // namespace noisette
