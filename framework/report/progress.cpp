#include "framework/report/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace noisette {
namespace {

/// Eighths of a cell, so that a slow bar moves visibly.
std::string draw_bar(double share, int cells) {
  static constexpr std::array<std::string_view, 8> kPart = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = int(std::clamp(share, 0.0, 1.0) * cells * 8);
  std::string bar;
  for (int i = 0; i < eighths / 8; ++i) bar += "█";
  bar += kPart[std::size_t(eighths % 8)];
  const int drawn = eighths / 8 + (eighths % 8 > 0);
  return bar + std::string(std::size_t(std::max(0, cells - drawn)), ' ');
}

double share_done(const ProgressState& s) {
  return s.total > 0 ? double(s.update) / double(s.total) : 0.0;
}

/// The figures shown, most wanted first.
std::vector<std::string> details(const ProgressState& s) {
  const Metrics& m = s.metrics;
  std::vector<std::string> parts;
  const double loss = std::isfinite(m.loss_ema) ? m.loss_ema : m.loss;
  parts.push_back("loss " + format_value(loss));
  if (std::isfinite(s.seconds_left)) parts.push_back("left " + format_duration(s.seconds_left));
  if (std::isfinite(m.images_per_second))
    parts.push_back(format_value(m.images_per_second) + " img/s");
  if (std::isfinite(m.lr)) parts.push_back("lr " + format_value(m.lr));
  if (std::isfinite(m.grad_norm)) parts.push_back("grad " + format_value(m.grad_norm));
  return parts;
}

}  // namespace

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds)) return "-";
  const auto s = int64_t(std::llround(std::max(0.0, seconds)));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

std::string format_value(double v) {
  if (std::isnan(v)) return "-";
  if (std::isinf(v)) return v > 0 ? "inf" : "-inf";
  const double a = std::abs(v);
  if (a == 0) return "0";
  if (a < 1e-3 || a >= 1e6) {
    std::string s = fmt::format("{:.2e}", v);  // 2.00e-04 -> 2e-04
    const std::size_t e = s.find('e');
    std::size_t end = e;
    while (s[end - 1] == '0') --end;
    if (s[end - 1] == '.') --end;
    return s.erase(end, e - end);
  }
  if (a >= 100) return fmt::format("{:.0f}", v);
  return fmt::format("{:.{}f}", v, 2 - int(std::floor(std::log10(a))));
}

std::string progress_bar(const ProgressState& s, int columns) {
  constexpr int kFewest = 8, kMost = 24;  // cells of the bar
  const double share = share_done(s);
  std::string line = fmt::format("{}/{} ", s.update, s.total);
  int room = columns - 1 - int(line.size()) - kFewest;
  if (room < 0) return line;
  std::string figures;
  for (const std::string& part : details(s)) {
    if (room < 2 + int(part.size())) break;
    room -= 2 + int(part.size());
    figures += "  " + part;
  }
  // What the figures leave is shared out: the percentage, which count and bar tell too, then cells.
  std::string percent = fmt::format(" {:3.0f}%", std::floor(share * 100));
  if (room < int(percent.size())) percent.clear();
  const int cells = std::min(kMost, kFewest + room - int(percent.size()));
  return line + draw_bar(share, cells) + percent + figures;
}

std::string progress_line(const ProgressState& s) {
  std::string line =
      fmt::format("update {}/{} ({:.0f}%)", s.update, s.total, std::floor(100 * share_done(s)));
  for (const std::string& part : details(s)) line += "  " + part;
  return line;
}

bool ProgressClock::due(bool terminal, double now) {
  if (now < (terminal ? next_bar_ : next_line_)) return false;
  next_bar_ = now + 0.1;
  interval_ = std::min(60.0, interval_ * 1.5);
  next_line_ = now + interval_;
  return true;
}

Progress::Progress(Console& console, int64_t first, int64_t total)
    : console_(console), first_(first), total_(total), last_update_(first) {}

Progress::~Progress() { finish(); }

double Progress::seconds_left(int64_t update, double now) {
  if (update > last_update_) {
    // The mean so far over the first updates, then a moving one: the first updates are slower (warm
    // caches, tuning).
    const auto taken = double(update - last_update_);
    const double seconds = (now - last_time_) / taken;
    const double weight = std::max(1 - std::pow(0.98, taken), taken / double(update - first_));
    pace_ += weight * (seconds - pace_);
    last_update_ = update;
    last_time_ = now;
  }
  return pace_ > 0 ? pace_ * double(total_ - update) : Metrics::kUnset;
}

void Progress::update(const Metrics& m, double now) {
  const ProgressState s{m.update, total_, seconds_left(m.update, now), m};
  const bool last = m.update >= total_;
  if (!clock_.due(console_.is_terminal(), now) && !last) return;
  if (console_.is_terminal())
    console_.bar(progress_bar(s, console_.columns()));
  else
    console_.line(progress_line(s));
}

void Progress::finish() { console_.end_bar(); }

CountProgress::CountProgress(Console& console, std::string what)
    : console_(console), what_(std::move(what)), start_(std::chrono::steady_clock::now()) {}

CountProgress::~CountProgress() { console_.end_bar(); }

void CountProgress::update(double done, double total) {
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
  update(done, total, passed.count());
}

void CountProgress::update(double done, double total, double now) {
  if (!clock_.due(console_.is_terminal(), now)) return;
  std::string text = fmt::format("{} {:.0f} of {:.0f} ({:.0f}%)", what_, std::floor(done), total,
                                 std::floor(100 * done / total));
  if (done > 0) text += "  left " + format_duration(now / done * (total - done));
  if (console_.is_terminal())
    console_.bar(text.substr(0, std::size_t(console_.columns())));
  else
    console_.line(text);
}

}  // namespace noisette
