// Line charts as inline SVG. Colours come from the page: CSS variables --s0 .. --s7 for series,
// --ink, --muted, --grid.
#pragma once
#include <string>
#include <vector>

namespace noisette {

struct Series {
  enum class Style {
    line,
    faint,
    markers
  };  // faint: raw values behind their smoothed line; no legend entry

  std::string name;
  std::vector<double> x, y;  // of one length, x ascending; a y that is not finite leaves a gap
  std::string colour = "var(--s0)";
  Style style = Style::line;
};

struct Chart {
  std::string title, x_label, y_label;
  bool log_y = false;  // values that are not above zero leave a gap
  bool from_zero = false;
  std::vector<Series> series;
};

/// A <figure> with title, legend (when two series or more have a name) and picture; empty when
/// there is no finite value to show. Series with more points than pixels keep the extremes of each
/// pixel column.
std::string chart_html(const Chart& chart);

/// The colour of the i-th of n series: --s0 .. --s7 in turn.
std::string series_colour(std::size_t i);
/// The colour of the i-th of n ordered series: a scale from blue over green to yellow.
std::string scale_colour(std::size_t i, std::size_t n);

}  // namespace noisette
