#include "train/run_tables.h"

#include <algorithm>
#include <cmath>

#include "framework/report/progress.h"
#include "framework/report/table.h"
#include "train/checkpoint.h"

namespace noisette {
namespace {

int64_t parameter_count(const ParameterArena& arena) {
  int64_t n = 0;
  for (const ParameterArena::Entry& e : arena.entries()) n += e.shape.numel();
  return n;
}

std::string rates(const TrainConfig& c) {
  std::vector<std::string> at;
  for (const int64_t quarter : {0, 1, 2, 3, 4}) {
    const int64_t update = std::min(quarter * c.run.updates / 4, c.run.updates - 1);
    at.push_back(format_value(learning_rate_at(c.optimizer, update, c.run.updates)));
  }
  if (std::count(at.begin(), at.end(), at[0]) == 5) return at[0] + " throughout";
  return fmt::format("{} at 0, 25, 50, 75 and 100% of the run", fmt::join(at, ", "));
}

std::string images(const DataSplit& data) {
  const DatasetInfo& i = data.info();
  return fmt::format("{} of {}x{}x{}", format_count(data.size()), i.height, i.width, i.channels);
}

std::string labels(const TrainConfig& c) {
  if (c.model.num_class_embeds == 0) return "not used";
  return fmt::format("{} classes; {}% of the labels dropped, for guidance",
                     c.model.num_class_embeds - 1, format_value(100 * c.data.label_dropout));
}

std::string batch(const TrainConfig& c) {
  const RunConfig& r = c.run;
  const std::string text = fmt::format("{} images an update", format_count(r.batch));
  if (r.micro_batch <= 0 || r.micro_batch >= r.batch) return text;
  return text + fmt::format(", computed {} at a time", format_count(r.micro_batch));
}

/// Of a run on the CPU, which alone has forms to choose from.
std::string convolutions(const TrainConfig& c) {
  if (c.run.conv == Conv::winograd) return "Winograd where it can be";
  if (c.run.conv == Conv::direct) return "direct";
  const auto exceptions = std::max<std::ptrdiff_t>(std::ssize(c.run.conv_forms) - 1, 0);
  if (exceptions == 0) return "Winograd or direct, by rule";
  return fmt::format("Winograd or direct, by rule, but for {} that measured otherwise", exceptions);
}

/// |average - weights| / |weights|
double distance_of_average(const ParameterArena& arena) {
  const std::vector<float> w = to_vector<float>(arena.master()), a = to_vector<float>(arena.ema());
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    difference += (double(a[i]) - double(w[i])) * (double(a[i]) - double(w[i]));
    size += double(w[i]) * double(w[i]);
  }
  return std::sqrt(difference / std::max(size, 1e-300));
}

std::string checks(const ParameterArena& arena, const RunEnd& e) {
  const std::string bad = first_not_finite(arena);
  std::string text = bad.empty() ? "all values finite" : "the " + bad + " is not finite";
  if (!arena.ema().defined() || e.update == e.first) return text;
  if (!e.average_moved) return text + "; the average has NOT moved";
  return text + fmt::format("; the average moved, and is {}% away from the weights",
                            format_value(100 * distance_of_average(arena)));
}

}  // namespace

std::string start_table(const TrainConfig& c, const DataSplit& data, const ParameterArena& arena,
                        int64_t first, const std::filesystem::path& resumed_from) {
  const double epochs = double(c.run.updates) * double(c.run.batch) / double(data.size());
  Table t;
  t.row({"run", c.run_folder().string()});
  if (first > 0) t.row({"resumed from", resumed_from.string()});
  t.row({"task", fmt::format("{}, in {}, seed {}", c.run.task, config::name_of(c.run.precision),
                             c.run.seed())});
  t.row({"model", fmt::format("{} parameters in {} tensors", format_count(parameter_count(arena)),
                              arena.entries().size())});
  t.row({"data", fmt::format("{}: {}", c.data.path, images(data))});
  t.row({"fingerprint", data.info().fingerprint});
  t.row({"labels", labels(c)});
  t.row({"updates",
         fmt::format("{} to {}; the whole run sees every image {} times", format_count(first),
                     format_count(c.run.updates), format_value(epochs))});
  t.row({"batch", batch(c)});
  if (c.run.device().is_cpu()) t.row({"convolutions", convolutions(c)});
  t.row({"learning rate", rates(c)});
  t.row({"average", c.optimizer.ema_decay > 0
                        ? fmt::format("of the weights, decay {}", c.optimizer.ema_decay)
                        : "none kept"});
  return t.str();
}

std::string end_table(const TrainConfig& c, const ParameterArena& arena, const RunEnd& e) {
  const int64_t done = e.update - e.first;
  const double seconds = std::max(e.seconds, 1e-9);
  Table t;
  if (done == 0) {
    t.row({"updates", fmt::format("{} of {}; none was done now", format_count(e.update),
                                  format_count(c.run.updates))});
    t.row({"checkpoint", e.checkpoint.string()});
    return t.str();
  }
  t.row({"updates",
         fmt::format("{} of {}; {} in {}, {} images a second", format_count(e.update),
                     format_count(c.run.updates), format_count(done), format_duration(e.seconds),
                     format_value(double(done * c.run.batch) / seconds))});
  t.row({"loss", fmt::format("{} in the last update, {} smoothed", format_value(e.loss),
                             format_value(e.smoothed))});
  t.row({"data", fmt::format("training waited {:.1f}% of the time for it",
                             100 * std::min(e.waited / seconds, 1.0))});
  t.row({"checks", checks(arena, e)});
  t.row({"checkpoint", e.checkpoint.string()});
  return t.str();
}

}  // namespace noisette
