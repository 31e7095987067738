// How a run shows that it goes on: a bar on a terminal, plain lines in a log file.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "framework/report/console.h"
#include "framework/report/metrics.h"

namespace noisette {

/// "1:02:03", "4:05", "12 s".
std::string format_duration(double seconds);
/// Three significant digits, the way people write them: "0.0453", "12.3", "2e-04"; "-" for NaN.
std::string format_value(double v);

struct ProgressState {
  int64_t update = 0, total = 0;
  double seconds_left = Metrics::kUnset;
  Metrics metrics;
};
/// The bar, less than `columns` wide: where it gets narrow it gives up cells (down to 8), then the
/// percentage, then figures from the right.
std::string progress_bar(const ProgressState& s, int columns);
/// "update 1200/5000 (24%)  loss 0.0453  left 3:12  412 img/s  lr 2e-04  grad 0.612"
std::string progress_line(const ProgressState& s);

/// When progress is shown: on a terminal ten times a second; elsewhere after 5 s and then at
/// growing intervals, up to one a minute.
class ProgressClock {
 public:
  /// Whether something is to be shown at `now`, in seconds from the start; if so, the wait for the
  /// next one begins.
  bool due(bool terminal, double now);

 private:
  double next_bar_ = 0, next_line_ = 5, interval_ = 5;
};

/// Shows the progress of one run on a console.
///
/// The last update is always shown.
///
/// first   updates done before this run began (resume), so that the remaining time counts this
/// run's pace alone
class Progress {
 public:
  Progress(Console& console, int64_t first, int64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Call after every update, cheap; `now` is seconds on any steady clock, from 0 at the start of
  /// this run.
  void update(const Metrics& m, double now);
  /// Ends the bar, so that what is printed next starts on a fresh line.
  void finish();

 private:
  double seconds_left(int64_t update, double now);

  Console& console_;
  int64_t first_, total_;
  int64_t last_update_;
  double last_time_ = 0, pace_ = 0;  // smoothed seconds per update
  ProgressClock clock_;
};

/// The progress of other work, which is only counted: "sampling, step 120 of 400 (30%)  left 1:20".
/// Work that is done within 5 s writes nothing but a bar.
class CountProgress {
 public:
  /// what   "sampling, step"
  CountProgress(Console& console, std::string what);
  ~CountProgress();
  CountProgress(const CountProgress&) = delete;
  CountProgress& operator=(const CountProgress&) = delete;

  void update(double done, double total);
  void update(double done, double total, double now);  // seconds from the start

 private:
  Console& console_;
  std::string what_;
  std::chrono::steady_clock::time_point start_;
  ProgressClock clock_;
};

}  // namespace noisette
