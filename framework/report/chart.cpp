#include "framework/report/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "framework/report/html.h"
#include "framework/report/ticks.h"

namespace noisette {
namespace {

constexpr double kWidth = 560, kHeight = 290;  // of the viewBox; the page scales it
constexpr double kLeft = 64, kRight = 26, kTop = 12, kBottom = 42;
constexpr double kPlotWidth = kWidth - kLeft - kRight, kPlotHeight = kHeight - kTop - kBottom;

struct Range {
  double lo = std::numeric_limits<double>::infinity(),
         hi = -std::numeric_limits<double>::infinity();

  void include(double v) { lo = std::min(lo, v), hi = std::max(hi, v); }
  bool empty() const { return lo > hi; }
};

struct Axes {
  Range x, y;
  bool log_y = false;

  bool shows(double v) const { return std::isfinite(v) && (!log_y || v > 0); }
  double px(double v) const { return kLeft + (v - x.lo) / (x.hi - x.lo) * kPlotWidth; }
  double py(double v) const {
    const double share =
        log_y ? std::log(v / y.lo) / std::log(y.hi / y.lo) : (v - y.lo) / (y.hi - y.lo);
    return kTop + (1 - share) * kPlotHeight;
  }
};

/// Some room around a single value, and whole ticks at the ends of a linear axis.
Axes axes_of(const Chart& chart) {
  Axes a;
  a.log_y = chart.log_y;
  for (const Series& s : chart.series)
    for (std::size_t i = 0; i < s.y.size(); ++i)
      if (a.shows(s.y[i])) a.x.include(s.x[i]), a.y.include(s.y[i]);
  if (a.y.empty()) return a;
  if (a.x.lo == a.x.hi) a.x = {a.x.lo - 0.5, a.x.hi + 0.5};
  if (a.log_y) {
    const double room = std::max(1.05, std::pow(a.y.hi / a.y.lo, 0.04));
    a.y = {a.y.lo / room, a.y.hi * room};
    return a;
  }
  if (chart.from_zero) a.y.include(0);
  const double least = std::max(1e-12, 1e-6 * std::abs(a.y.hi));
  if (a.y.hi - a.y.lo < least) a.y = {a.y.lo - least, a.y.hi + least};
  const auto [lo, hi] = enclosing_range(a.y.lo, a.y.hi, 6);
  a.y = {lo, hi};
  return a;
}

struct Point {
  double x, y;  // pixels; y is NaN in a gap
};

/// The points in pixels, at most a few for each pixel column: the first, lowest, highest and last
/// of each.
std::vector<Point> points_of(const Series& s, const Axes& a) {
  std::vector<Point> all;
  for (std::size_t i = 0; i < s.y.size(); ++i)
    all.push_back({a.px(s.x[i]), a.shows(s.y[i]) ? a.py(s.y[i]) : std::nan("")});
  if (double(all.size()) <= 2 * kPlotWidth) return all;

  std::vector<Point> kept;
  for (std::size_t begin = 0, end = 0; begin < all.size(); begin = end) {
    while (end < all.size() && std::floor(all[end].x) == std::floor(all[begin].x)) ++end;
    std::size_t low = begin, high = begin;
    for (std::size_t i = begin; i < end; ++i) {
      if (all[i].y < all[low].y) low = i;
      if (all[i].y > all[high].y) high = i;
    }
    std::vector<std::size_t> chosen = {begin, low, high, end - 1};
    std::sort(chosen.begin(), chosen.end());
    chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
    for (std::size_t i : chosen) kept.push_back(all[i]);
  }
  return kept;
}

std::string path_of(const std::vector<Point>& points) {
  std::string d;
  bool pen_down = false;
  for (const Point& p : points) {
    const bool drawn = std::isfinite(p.y);
    if (drawn) d += fmt::format("{}{:.1f} {:.1f}", pen_down ? 'L' : 'M', p.x, p.y);
    pen_down = drawn;
  }
  return d;
}

std::string draw_series(const Series& s, const Axes& a) {
  const std::vector<Point> points = points_of(s, a);
  const bool faint = s.style == Series::Style::faint;
  std::string svg = fmt::format(R"(<path class="{}" style="stroke:{}" d="{}"/>)",
                                faint ? "raw" : "line", s.colour, path_of(points));
  const auto drawn =
      std::count_if(points.begin(), points.end(), [](Point p) { return std::isfinite(p.y); });
  if (s.style == Series::Style::markers || drawn == 1)
    for (const Point& p : points)
      if (std::isfinite(p.y))
        svg += fmt::format(R"(<circle r="3.2" style="fill:{}" cx="{:.1f}" cy="{:.1f}"/>)", s.colour,
                           p.x, p.y);
  return svg + "\n";
}

std::string draw_axes(const Chart& chart, const Axes& a) {
  std::string svg;
  const double right = kWidth - kRight, bottom = kHeight - kBottom;
  for (const Tick& t : a.log_y ? log_ticks(a.y.lo, a.y.hi, 8) : linear_ticks(a.y.lo, a.y.hi, 6))
    svg += fmt::format(
        R"(<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/><text class="y" x="{3}" y="{4:.1f}">{5}</text>)",
        kLeft, right, a.py(t.value), kLeft - 8, a.py(t.value) + 4.5, t.label);
  for (const Tick& t : linear_ticks(a.x.lo, a.x.hi, 6))
    svg += fmt::format(
        R"(<line class="tick" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/><text class="x" x="{0:.1f}" y="{3}">{4}</text>)",
        a.px(t.value), bottom, bottom + 5, bottom + 19, t.label);
  svg += fmt::format(R"(<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>)", kLeft, right,
                     bottom, bottom);
  svg += fmt::format(R"(<text class="label" x="{:.1f}" y="{}">{}</text>)", kLeft + kPlotWidth / 2,
                     kHeight - 5, html_escape(chart.x_label));
  return svg + "\n";
}

std::string legend(const Chart& chart) {
  std::string items;
  int named = 0;
  for (const Series& s : chart.series) {
    if (s.name.empty() || s.style == Series::Style::faint) continue;
    items += fmt::format(R"(<span><i style="background:{}"></i>{}</span>)", s.colour,
                         html_escape(s.name));
    ++named;
  }
  return named < 2 ? "" : "<div class=\"legend\">" + items + "</div>\n";
}

}  // namespace

std::string chart_html(const Chart& chart) {
  const Axes axes = axes_of(chart);
  if (axes.y.empty()) return "";
  std::string html = fmt::format("<figure>\n<figcaption>{}<small>{}</small></figcaption>\n",
                                 html_escape(chart.title),
                                 html_escape(chart.y_label + (chart.log_y ? ", logarithmic" : "")));
  html += legend(chart);
  html += fmt::format(R"(<svg viewBox="0 0 {} {}" role="img" aria-label="{}">)", kWidth, kHeight,
                      html_escape(chart.title));
  html += "\n" + draw_axes(chart, axes);
  for (const Series& s : chart.series) html += draw_series(s, axes);
  return html + "</svg>\n</figure>\n";
}

std::string series_colour(std::size_t i) { return fmt::format("var(--s{})", i % 8); }

std::string scale_colour(std::size_t i, std::size_t n) {
  const double share = n > 1 ? double(i) / double(n - 1) : 0.0;
  return fmt::format("hsl({:.0f} 75% {:.0f}%)", 265 - 220 * share, 48 + 4 * share);
}

}  // namespace noisette
