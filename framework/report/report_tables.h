// The tables of the HTML report.
#pragma once
#include <span>
#include <string>

#include "framework/report/run_report.h"

namespace noisette {

/// The figures a reader wants first, from the metrics and the summary: tiles for one run, a table
/// for several.
std::string key_figures(std::span<const RunReport> runs);

/// Every key with its value in each run and its default; values that differ from the default are
/// marked.
std::string settings_table(std::span<const RunReport> runs);
std::string settings_note(
    std::span<const RunReport> runs);  // "7 of 42 keys differ from their default (marked)."

/// Machine, versions and timings, a card each.
std::string fact_tables(std::span<const RunReport> runs);

}  // namespace noisette
