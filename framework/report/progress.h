// How a run shows that it goes on: a bar on a terminal, plain lines in a log file.
#pragma once
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
/// The bar, at most `columns` wide: details drop out from the right when it gets narrow.
std::string progress_bar(const ProgressState& s, int columns);
/// "update 1200/5000 (24%)  loss 0.0453  lr 2e-04  grad 0.61  412 images/s  left 3:12"
std::string progress_line(const ProgressState& s);

/// Shows the progress of one run on a console.
///
/// On a terminal the bar is redrawn at most ten times a second. Elsewhere a line is written after 5
/// s and then at growing intervals, up to one a minute; the last update always has one.
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
  double next_bar_ = 0, next_line_ = 5, line_interval_ = 5;
};

}  // namespace noisette
