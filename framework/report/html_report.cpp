#include "framework/report/html_report.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "framework/core/check.h"
#include "framework/report/chart.h"
#include "framework/report/html.h"
#include "framework/report/html_style.h"
#include "framework/report/png_info.h"
#include "framework/report/progress.h"
#include "framework/report/report_tables.h"
#include "framework/report/table.h"

namespace noisette {
namespace {

using Runs = std::span<const RunReport>;

std::string section(const std::string& title, const std::string& body,
                    const std::string& note = "") {
  if (body.empty()) return "";
  return "<section>\n<h2>" + html_escape(title) + "</h2>\n" +
         (note.empty() ? "" : "<p class=\"note\">" + html_escape(note) + "</p>\n") + body +
         "</section>\n";
}

std::string cards(const std::string& body) {
  return body.empty() ? "" : "<div class=\"cards\">\n" + body + "</div>\n";
}

// ---- curves

std::vector<double> column(const RunReport& run, double Metrics::*field) {
  std::vector<double> v;
  for (const Metrics& m : run.metrics) v.push_back(m.*field);
  return v;
}

std::vector<double> updates_of(const RunReport& run) {
  std::vector<double> x;
  for (const Metrics& m : run.metrics) x.push_back(double(m.update));
  return x;
}

std::string label_of(Runs runs, std::size_t r, const std::string& single) {
  return runs.size() > 1 ? runs[r].name : single;
}

/// Raw values behind their smoothed line, of every run. Smoothed here and not taken from loss_ema,
/// which lags at the start of a run.
Chart curve(Runs runs, std::string title, std::string y_label, double Metrics::*field) {
  Chart chart{std::move(title), "update", std::move(y_label), /*log_y=*/true, false, {}};
  for (std::size_t r = 0; r < runs.size(); ++r) {
    const std::vector<double> x = updates_of(runs[r]), y = column(runs[r], field);
    chart.series.push_back({"", x, y, series_colour(r), Series::Style::faint});
    chart.series.push_back(
        {label_of(runs, r, "training"), x, smoothed(y, double(y.size()) / 80), series_colour(r)});
  }
  return chart;
}

/// Further losses that a run measured now and then, on images it does not train on for example.
void add_extra_losses(Runs runs, Chart& chart) {
  std::size_t colour = runs.size();
  for (const RunReport& run : runs) {
    std::set<std::string> names;
    for (const Metrics& m : run.metrics)
      for (const auto& [name, value] : m.extra)
        if (name.find("loss") != std::string::npos) names.insert(name);
    for (const std::string& name : names) {
      std::string label = name;  // "eval_loss" reads "eval loss"
      std::replace(label.begin(), label.end(), '_', ' ');
      Series s{runs.size() > 1 ? run.name + " " + label : label,
               {},
               {},
               series_colour(colour++),
               Series::Style::markers};
      for (const Metrics& m : run.metrics)
        if (const auto found = m.extra.find(name); found != m.extra.end()) {
          s.x.push_back(double(m.update));
          s.y.push_back(found->second);
        }
      chart.series.push_back(std::move(s));
    }
  }
}

Chart plain_curve(Runs runs, std::string title, std::string y_label, double Metrics::*field) {
  Chart chart{std::move(title), "update", std::move(y_label), false, /*from_zero=*/true, {}};
  for (std::size_t r = 0; r < runs.size(); ++r)
    chart.series.push_back(
        {label_of(runs, r, ""), updates_of(runs[r]), column(runs[r], field), series_colour(r)});
  return chart;
}

std::string curves(Runs runs) {
  Chart loss = curve(runs, "Loss", "faint: each record; line: smoothed", &Metrics::loss);
  add_extra_losses(runs, loss);
  return chart_html(loss) +
         chart_html(curve(runs, "Gradient norm", "global, before clipping", &Metrics::grad_norm)) +
         chart_html(plain_curve(runs, "Learning rate", "at each update", &Metrics::lr)) +
         chart_html(plain_curve(runs, "Speed", "images per second", &Metrics::images_per_second));
}

// ---- loss by timestep

std::string band_name(std::size_t b, std::size_t bands, int64_t timesteps) {
  const auto edge = [&](std::size_t i) { return int64_t(i) * timesteps / int64_t(bands); };
  return fmt::format("{}–{}", edge(b), edge(b + 1) - 1);
}

std::string bands_at_the_end(Runs runs) {
  Chart chart{"Loss by timestep at the end",
              "timestep t (0: no noise)",
              "mean over the last tenth of the run",
              true,
              false,
              {}};
  const auto add = [&](std::string label, const std::vector<double>& bands, int64_t timesteps,
                       std::string colour) {
    if (bands.empty()) return;
    Series s{std::move(label), {}, bands, std::move(colour), Series::Style::markers};
    for (std::size_t b = 0; b < bands.size(); ++b)
      s.x.push_back((double(b) + 0.5) / double(bands.size()) * double(timesteps));
    chart.series.push_back(std::move(s));
  };
  for (std::size_t r = 0; r < runs.size(); ++r) {
    const RunReport& run = runs[r];
    const bool both = !run.held_out_bands.empty();
    add(label_of(runs, r, both ? "in training" : ""), final_bands(run.metrics), run.timesteps,
        series_colour(r));
    add(runs.size() > 1 ? run.name + ", held-out images" : "held-out images", run.held_out_bands,
        run.timesteps, series_colour(runs.size() + r));
  }
  return chart_html(chart);
}

std::string bands_over_time(Runs runs, std::size_t r) {
  const RunReport& run = runs[r];
  std::size_t bands = 0;
  for (const Metrics& m : run.metrics) bands = std::max(bands, m.bands.size());
  Chart chart{"Loss by timestep over time" + (runs.size() > 1 ? ": " + run.name : ""),
              "update",
              "a line for each band of timesteps, smoothed",
              true,
              false,
              {}};
  for (std::size_t b = 0; b < bands; ++b) {
    Series s{band_name(b, bands, run.timesteps), {}, {}, scale_colour(b, bands)};
    for (const Metrics& m : run.metrics)
      if (b < m.bands.size()) {
        s.x.push_back(double(m.update));
        s.y.push_back(m.bands[b]);
      }
    s.y = smoothed(s.y, double(s.y.size()) / 40);
    chart.series.push_back(std::move(s));
  }
  return chart_html(chart);
}

std::string band_charts(Runs runs) {
  std::string html = bands_at_the_end(runs);
  for (std::size_t r = 0; r < runs.size(); ++r) html += bands_over_time(runs, r);
  return html;
}

// ---- pictures

/// Scales small pictures up by a whole factor, so that every pixel of the sample stays a square.
std::string grid_card(const RunReport& run, const std::string& heading) {
  if (run.grid.empty()) return "";
  const int64_t width = png_info(run.grid).width;
  const int64_t shown = width * std::max<int64_t>(1, 640 / std::max<int64_t>(1, width));
  std::string html = "<div class=\"card\"><h3>" + html_escape(heading) + "</h3>";
  html += png_img(run.grid, "final samples of " + run.name,
                  fmt::format(R"(style="width:{}px")", shown));
  if (!run.grid_caption.empty())
    html += "<p class=\"caption\">" + html_escape(run.grid_caption) + "</p>";
  return html + "</div>\n";
}

/// At most nine, the first and the last among them, evenly spread.
std::string strip_card(const RunReport& run, const std::string& heading) {
  const std::size_t have = run.samples.size(), shown = std::min<std::size_t>(9, have);
  if (have == 0) return "";
  std::string html =
      "<div class=\"card\"><h3>" + html_escape(heading) + "</h3><div class=\"strip\">\n";
  for (std::size_t i = 0; i < shown; ++i) {
    const auto& [update, png] = run.samples[shown > 1 ? i * (have - 1) / (shown - 1) : 0];
    const std::string caption = "update " + format_count(update);
    html += "<div>" + png_img(png, caption) + caption + "</div>\n";
  }
  return html + "</div></div>\n";
}

/// One run: its final grid beside its samples over time. Several: all grids, then all strips.
std::string pictures(Runs runs) {
  std::string grids, strips;
  for (const RunReport& run : runs) {
    const std::string name = runs.size() > 1 ? ": " + run.name : "";
    grids += grid_card(run, "At the end" + name);
    strips += strip_card(run, "During training, from the same noise" + name);
  }
  return cards(grids + strips);
}

std::string title_of(Runs runs) {
  if (runs.size() == 1) return runs[0].name;
  return fmt::format("{} runs compared", runs.size());
}

std::string subtitle_of(Runs runs) {
  std::string text = "noisette training report";
  if (runs.size() > 1)
    for (std::size_t r = 0; r < runs.size(); ++r) text += (r ? ", " : ": ") + runs[r].name;
  return text;
}

}  // namespace

std::string html_report(Runs runs) {
  check(!runs.empty(), "[report] needs at least one run; got none");
  const std::string title = html_escape(title_of(runs));
  std::string html = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  html += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
          title + "</title>\n<style>";
  html += kReportStyle;
  html += "</style>\n</head>\n<body>\n<main>\n<header><h1>" + title + "</h1><p>" +
          html_escape(subtitle_of(runs)) + "</p></header>\n";
  html += key_figures(runs);
  html += section("Samples", pictures(runs));
  html += section("Training", cards(curves(runs)));
  html += section("Loss by timestep", cards(band_charts(runs)),
                  "Timesteps in equal bands. Low t asks for fine detail, high t for the layout of "
                  "the picture.");
  html += section("Configuration", settings_table(runs), settings_note(runs));
  html += section("Machine and timings", cards(fact_tables(runs)));
  return html + "</main>\n</body>\n</html>\n";
}

}  // namespace noisette
