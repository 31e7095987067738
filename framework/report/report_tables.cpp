#include "framework/report/report_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "framework/report/html.h"
#include "framework/report/progress.h"
#include "framework/report/table.h"

namespace noisette {
namespace {

using Runs = std::span<const RunReport>;

/// The mean over time of a rate or a share; NaN when the run has no such figure. A record of
/// `updates` at a rate took updates / rate, in units of one batch: with that weight the rates give
/// all images over all seconds.
double mean_over_time(const RunReport& run, double Metrics::*field) {
  double sum = 0, time = 0;
  int64_t before = 0;
  for (const Metrics& m : run.metrics) {
    const double taken = double(m.update - before) / m.images_per_second;
    before = m.update;
    if (!std::isfinite(m.*field) || !std::isfinite(taken)) continue;
    sum += taken * (m.*field);
    time += taken;
  }
  return time > 0 ? sum / time : Metrics::kUnset;
}

double last_of(const RunReport& run, double Metrics::*field) {
  for (auto m = run.metrics.rbegin(); m != run.metrics.rend(); ++m)
    if (std::isfinite((*m).*field)) return (*m).*field;
  return Metrics::kUnset;
}

std::string percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.1f} %", 100 * share) : "-";
}

Rows figures_of(const RunReport& run) {
  double loss = last_of(run, &Metrics::loss_ema);
  if (!std::isfinite(loss)) loss = last_of(run, &Metrics::loss);
  Rows rows = {
      {"updates", run.metrics.empty() ? "0" : format_count(run.metrics.back().update)},
      {"final loss, smoothed", format_value(loss)},
      {"images per second", format_value(mean_over_time(run, &Metrics::images_per_second))},
      {"training time", format_duration(last_of(run, &Metrics::time))},
      {"waiting for data", percent(mean_over_time(run, &Metrics::data_wait))}};
  std::erase_if(rows, [](const auto& row) { return row.second == "-"; });
  rows.insert(rows.end(), run.summary.begin(), run.summary.end());
  return rows;
}

/// The names of all rows, in the order in which they first appear.
std::vector<std::string> names_of(const std::vector<Rows>& tables) {
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (const Rows& rows : tables)
    for (const auto& [name, value] : rows)
      if (seen.insert(name).second) names.push_back(name);
  return names;
}

std::string value_in(const Rows& rows, const std::string& name) {
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.first == name; });
  return found == rows.end() ? "–" : found->second;
}

std::string header_row(Runs runs, const std::string& first, const std::string& last = "") {
  std::string html = "<tr><th>" + first + "</th>";
  for (const RunReport& run : runs)
    html += "<th>" + (runs.size() > 1 ? html_escape(run.name) : std::string("value")) + "</th>";
  if (!last.empty()) html += "<th>" + last + "</th>";
  return html + "</tr>\n";
}

bool all_equal(const std::vector<std::string>& values) {
  return std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end();
}

/// A row for each name and a column for each run. `mark` flags the rows in which the runs differ.
std::string rows_table(Runs runs, const std::vector<Rows>& tables, bool mark) {
  std::string html = "<table>\n" + (runs.size() > 1 ? header_row(runs, "") : std::string());
  for (const std::string& name : names_of(tables)) {
    std::vector<std::string> values;
    for (const Rows& rows : tables) values.push_back(value_in(rows, name));
    html += mark && !all_equal(values) ? "<tr class=\"differs\">" : "<tr>";
    html += "<td>" + html_escape(name) + "</td>";
    for (const std::string& value : values) html += "<td>" + html_escape(value) + "</td>";
    html += "</tr>\n";
  }
  return html + "</table>\n";
}

std::string fact_card(Runs runs, const std::string& title, Rows RunReport::*member) {
  std::vector<Rows> tables;
  for (const RunReport& run : runs) tables.push_back(run.*member);
  if (names_of(tables).empty()) return "";
  return "<div class=\"card wide\"><h3>" + html_escape(title) + "</h3>\n" +
         rows_table(runs, tables, runs.size() > 1) + "</div>\n";
}

// ---- settings

/// The keys of all runs in order, each with a run's setting that has it.
std::vector<const Setting*> all_settings(Runs runs) {
  std::vector<const Setting*> all;
  std::set<std::string> seen;
  for (const RunReport& run : runs)
    for (const Setting& s : run.config)
      if (seen.insert(s.key).second) all.push_back(&s);
  // Keys of one table stand together, also where only a later run has them.
  const auto group = [](const Setting* s) { return s->key.substr(0, s->key.rfind('.') + 1); };
  std::vector<std::string> order;
  for (const Setting* s : all)
    if (std::find(order.begin(), order.end(), group(s)) == order.end()) order.push_back(group(s));
  const auto place = [&](const Setting* s) {
    return std::find(order.begin(), order.end(), group(s)) - order.begin();
  };
  std::stable_sort(all.begin(), all.end(), [&](auto* a, auto* b) { return place(a) < place(b); });
  return all;
}

const Setting* find_setting(const RunReport& run, const std::string& key) {
  const auto s = std::find_if(run.config.begin(), run.config.end(),
                              [&](const Setting& s) { return s.key == key; });
  return s == run.config.end() ? nullptr : &*s;
}

/// "3 updates"; a word has no unit, as in `"none"` for a size that is not set.
std::string with_unit(const std::string& value, const Setting& s) {
  const bool number = value.find_first_of("0123456789") != std::string::npos;
  return s.unit.empty() || !number ? value : value + " " + s.unit;
}

std::string setting_row(Runs runs, const Setting& s, const std::string& name) {
  std::vector<std::string> values;
  std::string cells;
  for (const RunReport& run : runs) {
    const Setting* own = find_setting(run, s.key);
    values.push_back(own ? with_unit(own->value, s) : "–");
    const bool changed = own && own->value != own->standard;
    cells += (changed ? "<td class=\"changed\">" : "<td>") + html_escape(values.back()) + "</td>";
  }
  return (all_equal(values) ? "<tr>" : "<tr class=\"differs\">") +
         ("<td title=\"" + html_escape(s.doc)) + "\">" + html_escape(name) + "</td>" + cells +
         "<td>" + html_escape(with_unit(s.standard, s)) + "</td></tr>\n";
}

}  // namespace

std::string key_figures(Runs runs) {
  std::vector<Rows> tables;
  for (const RunReport& run : runs) tables.push_back(figures_of(run));
  if (runs.size() > 1)
    return "<div class=\"tiles\"></div><div class=\"card wide\">" +
           rows_table(runs, tables, false) + "</div>\n";
  std::string html = "<div class=\"tiles\">\n";
  for (const auto& [name, value] : tables[0])
    html += "<div class=\"tile\"><b>" + html_escape(value) + "</b><span>" + html_escape(name) +
            "</span></div>\n";
  return html + "</div>\n";
}

std::string settings_table(Runs runs) {
  const std::vector<const Setting*> all = all_settings(runs);
  if (all.empty()) return "";
  std::string html =
      "<div class=\"card wide\"><table class=\"settings\">\n" + header_row(runs, "key", "default");
  std::string group;
  for (const Setting* s : all) {
    const std::size_t dot = s->key.rfind('.');
    const std::string own_group = dot == std::string::npos ? "" : s->key.substr(0, dot);
    if (own_group != group)
      html += fmt::format("<tr class=\"group\"><th colspan=\"{}\">[{}]</th></tr>\n",
                          runs.size() + 2, html_escape(own_group));
    group = own_group;
    html += setting_row(runs, *s, dot == std::string::npos ? s->key : s->key.substr(dot + 1));
  }
  return html + "</table></div>\n";
}

std::string settings_note(Runs runs) {
  std::size_t changed = 0;
  const std::vector<const Setting*> all = all_settings(runs);
  for (const Setting* s : all)
    changed += std::any_of(runs.begin(), runs.end(), [s](const RunReport& run) {
      const Setting* own = find_setting(run, s->key);
      return own && own->value != own->standard;
    });
  const std::string text =
      fmt::format("{} of {} keys differ from their default (marked).", changed, all.size());
  return runs.size() > 1 ? text + " Keys with ≠ differ between the runs." : text;
}

std::string fact_tables(Runs runs) {
  return fact_card(runs, "Machine", &RunReport::machine) +
         fact_card(runs, "Versions", &RunReport::versions) +
         fact_card(runs, "Timings", &RunReport::timings);
}

}  // namespace noisette
