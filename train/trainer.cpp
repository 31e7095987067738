#include "train/trainer.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <cmath>

#include "framework/autograd/autograd.h"
#include "framework/io/atomic_file.h"
#include "framework/report/progress.h"
#include "framework/report/sysinfo.h"
#include "framework/report/table.h"
#include "framework/report/tensorboard.h"
#include "train/checkpoint.h"
#include "train/feed.h"
#include "train/run_folder.h"
#include "train/step_log.h"
#include "train/summary.h"

namespace noisette {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool has_bf16(const SystemInfo& system) {
  for (const std::string& flag : system.cpu_flags)
    if (flag == "avx512_bf16" || flag == "amx_bf16") return true;
  return false;
}

/// Keys that may differ between a checkpoint and the run that goes on from it: they do not change the result of an
/// update.
bool may_change(const std::string& key) {
  for (const char* prefix :
       {"run.updates", "run.folder", "run.name", "run.log_every", "run.micro_batch",
        "run.recompute", "checkpoint.", "preview.", "sampler.", "data.path", "data.held_out"})
    if (key.starts_with(prefix)) return true;
  return false;
}

void check_same_run(const TrainConfig& now, const CheckpointInfo& info, const fs::path& path) {
  const TrainConfig then = parse_train_config(info.config, path.string());
  std::string changes;
  for (const config::Change& c : config::diff(now, then))
    if (!may_change(c.key))
      changes += fmt::format("{}{} is {} and was {}", changes.empty() ? "" : ", ", c.key, c.value,
                             c.other);
  if (!changes.empty())
    throw UsageError(
        fmt::format("[resume] the configuration is not the one {} was trained with: {}",
                    path.string(), changes));
}

/// Everything of one training run; step() does one update.
class Run {
 public:
  Run(TrainConfig config, const TrainOptions& options);
  TrainResult go(const std::atomic<bool>* stop);

 private:
  void print_start() const;
  StepRecord step(int64_t update);
  void settle();  // reads the step before, now that the next one has been started
  void record(int64_t update);
  void save(int64_t update);
  void show_preview(int64_t update);
  [[noreturn]] void explain_non_finite(int64_t update);

  TrainConfig config_;
  DataSplit data_;  // before the folder: bad data leaves no folder behind
  RunFolder folder_;
  std::unique_ptr<Task> task_;
  std::unique_ptr<ParameterArena> arena_;
  std::unique_ptr<AdamW> optimizer_;
  std::unique_ptr<Feed> feed_;
  std::unique_ptr<StepLog> log_;
  std::unique_ptr<MetricsWriter> metrics_;
  std::unique_ptr<EventWriter> events_;
  std::unique_ptr<Progress> progress_;
  std::optional<StepRecord> pending_;
  fs::path last_checkpoint_;
  int64_t first_ = 0, saved_ = -1, logged_ = 0;
  double time_before_ = 0, logged_time_ = 0, logged_wait_ = 0;
  Clock::time_point start_ = Clock::now();
};

DataSplit open_training_data(const TrainConfig& config) {
  DataSplit data = DataSplit::open(config.data.path, "train");
  check_data(config, data);
  return data;
}

Run::Run(TrainConfig config, const TrainOptions& options)
    : config_(std::move(config)), data_(open_training_data(config_)), folder_(config_) {
  if (config_.run.precision == Precision::bf16 && !has_bf16(system_info())) {
    spdlog::warn("this CPU has no bf16 arithmetic (AVX512-BF16 or AMX): the run uses f32 instead");
    config_.run.precision = Precision::f32;
  }
  task_ = make_task(config_);
  const DType dtype = config_.run.precision == Precision::bf16 ? DType::bf16 : DType::f32;
  arena_ = std::make_unique<ParameterArena>(
      task_->module(),
      ArenaOptions{.dtype = dtype, .trainable = true, .ema = config_.optimizer.ema_decay > 0});
  optimizer_ = std::make_unique<AdamW>(*arena_, config_.optimizer, config_.run.updates);
  double smoothed = Metrics::kUnset;
  if (options.resume) {
    const CheckpointInfo info = load_checkpoint(*options.resume, *arena_);
    check_same_run(config_, info, *options.resume);
    check_user(info.data_fingerprint == data_.info().fingerprint,
               "[resume] {} was trained on data with fingerprint {}; {} has {}",
               options.resume->string(), info.data_fingerprint, config_.data.path,
               data_.info().fingerprint);
    first_ = info.update;
    last_checkpoint_ = *options.resume;
    saved_ = first_;
    if (const auto at = info.numbers.find("loss_ema"); at != info.numbers.end())
      smoothed = at->second;
    if (const auto at = info.numbers.find("time"); at != info.numbers.end())
      time_before_ = at->second;
  } else {
    arena_->initialize(config_.run.seed());
  }
  log_ = std::make_unique<StepLog>(config_.schedule.steps, smoothed);
  logged_ = first_;
  write_file(folder_.path() / "config.toml", config::to_toml(config_));
  metrics_ = std::make_unique<MetricsWriter>(folder_.path() / "metrics.jsonl", first_);
  events_ = std::make_unique<EventWriter>(folder_.path(), first_);
}

void Run::print_start() const {
  const UNetConfig& model = config_.model;
  const std::vector<double> at = {0, 0.25, 0.5, 1};
  std::string rates;
  for (const double share : at)
    rates += fmt::format(
        "{}{}", rates.empty() ? "" : ", ",
        format_value(learning_rate_at(
            config_.optimizer,
            std::min(int64_t(share * double(config_.run.updates)), config_.run.updates - 1),
            config_.run.updates)));
  Table t;
  t.row({"run", folder_.path().string()});
  t.row({"task", fmt::format("{}, {} parameters in {} tensors, {}", task_->name(),
                             format_count(task_->module().parameter_count()),
                             arena_->entries().size(), config::name_of(config_.run.precision))});
  t.row({"data", fmt::format("{}: {} images {}x{}x{}, fingerprint {:.12}", config_.data.path,
                             format_count(data_.size()), data_.info().height, data_.info().width,
                             data_.info().channels, data_.info().fingerprint)});
  t.row({"labels", model.num_class_embeds > 0
                       ? fmt::format("{} classes, {:.0f}% dropped for guidance",
                                     model.num_class_embeds - 1, 100 * config_.data.label_dropout)
                       : "not used"});
  t.row({"updates", fmt::format("{} to {}, {} images each ({} epochs in all)", first_,
                                config_.run.updates, config_.run.batch,
                                format_value(double(config_.run.updates * config_.run.batch) /
                                             double(data_.size())))});
  t.row({"learning rate", fmt::format("{} at 0, 25, 50 and 100% of the run", rates)});
  t.row({"average", config_.optimizer.ema_decay > 0
                        ? fmt::format("decay {}", config_.optimizer.ema_decay)
                        : "none kept"});
  t.row({"seed", std::to_string(config_.run.seed())});
  if (first_ > 0) t.row({"resumed from", last_checkpoint_.string()});
  console().line(t.str());
}

StepRecord Run::step(int64_t update) {
  StepRecord record{.update = update + 1, .pieces = {}, .optimizer = {}};
  arena_->reset_grads();
  const int64_t batch = config_.run.batch;
  const int64_t micro =
      config_.run.micro_batch > 0 ? std::min(config_.run.micro_batch, batch) : batch;
  for (int64_t done = 0; done < batch; done += micro) {
    StepLoss loss = task_->loss(feed_->next(), batch, true);
    backward(loss.total);
    loss.total = loss.total.detach();
    loss.per_sample = loss.per_sample.detach();
    record.pieces.push_back(std::move(loss));
  }
  const std::vector<std::string> missing = arena_->finish_grads();
  check(missing.empty(), "[train] no gradient reached {} parameters: {}", missing.size(),
        fmt::join(missing, ", "));
  record.optimizer = optimizer_->step(update);
  return record;
}

void Run::settle() {
  if (!pending_) return;
  StepRecord record = std::move(*pending_);
  pending_.reset();
  if (!log_->add(record)) explain_non_finite(record.update);
}

void Run::record(int64_t update) {
  const double now = seconds_since(start_);
  Metrics m = log_->take(update);
  m.time = time_before_ + now;
  m.images_per_second =
      double((update - logged_) * config_.run.batch) / std::max(now - logged_time_, 1e-9);
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
  progress_->update(m, now);
}

void Run::save(int64_t update) {
  if (saved_ == update) return;
  last_checkpoint_ = checkpoint_path(folder_.checkpoints(), update);
  save_checkpoint(last_checkpoint_, *arena_,
                  {.task = task_->name(),
                   .update = update,
                   .config = config::to_toml(config_),
                   .data_fingerprint = data_.info().fingerprint,
                   .numbers = {{"loss_ema", log_->smoothed()},
                               {"time", time_before_ + seconds_since(start_)}}});
  prune_checkpoints(folder_.checkpoints(), config_.checkpoint.keep, config_.checkpoint.keep_every);
  saved_ = update;
}

void Run::show_preview(int64_t update) {
  const bool average = arena_->ema().defined();
  if (average) arena_->use(ParameterArena::Weights::ema);
  const Image image = task_->preview();
  if (average) arena_->use(ParameterArena::Weights::master);
  const auto png = encode_png(image, {{"update", std::to_string(update)}});
  const std::string_view bytes(reinterpret_cast<const char*>(png.data()), png.size());
  write_file(folder_.previews() / fmt::format("update-{:08d}.png", update), bytes);
  events_->image("preview", update, bytes);
}

void Run::explain_non_finite(int64_t update) {
  // The optimiser has changed nothing since; the same update, run again with every tensor checked, stops at the first.
  progress_->finish();
  arena_->use(ParameterArena::Weights::master);
  save(update - 1);
  std::string first = "the optimiser's own sums overflowed";
  try {
    const FiniteCheck check_all;
    feed_ = std::make_unique<Feed>(config_, data_, update - 1);
    step(update - 1);
  } catch (const Error& e) {
    first = e.what();
  }
  throw Error(fmt::format(
      "[train] update {} gave a loss of {} and a gradient norm of {}: {}. The state before it is "
      "saved in {}",
      update, log_->last_loss(), log_->last_grad_norm(), first, last_checkpoint_.string()));
}

TrainResult Run::go(const std::atomic<bool>* stop) {
  print_start();
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
    const bool save_now = last || done % config_.checkpoint.every == 0;
    const bool show_now = config_.preview.every > 0 && (last || done % config_.preview.every == 0);
    const bool log_now = last || done % config_.run.log_every == 0;
    if (save_now || show_now || log_now || stopping()) settle();
    if (log_now) record(done);
    if (show_now) show_preview(done);
    if (save_now) save(done);
  }
  settle();
  save(update);
  progress_->finish();
  const bool interrupted = update < config_.run.updates;
  if (!interrupted)
    write_summary(folder_.path(), config_, feed_->waited_seconds(),
                  time_before_ + seconds_since(start_));
  return {update, interrupted, last_checkpoint_};
}

}  // namespace

std::optional<fs::path> find_resume(const TrainConfig& config, const std::string& resume) {
  if (resume != "auto") {
    check_user(fs::exists(resume), "[resume] {} does not exist", resume);
    return resume;
  }
  std::vector<std::string> skipped;
  const auto newest = newest_valid_checkpoint(config.run_folder() / "checkpoints", skipped);
  for (const std::string& reason : skipped)
    spdlog::warn("passed over a damaged checkpoint: {}", reason);
  return newest;
}

TrainResult train(const TrainConfig& config, const TrainOptions& options) {
  Run run(config, options);
  return run.go(options.stop);
}

}  // namespace noisette
