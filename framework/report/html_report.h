#pragma once
#include <span>
#include <string>

#include "framework/report/run_report.h"

namespace noisette {

/// One self-contained HTML page: styles, charts (SVG) and pictures (base 64 PNG) inside, no script,
/// nothing loaded from elsewhere, light and dark. With several runs the charts share their axes,
/// tables and pictures stand side by side, and rows in which the runs differ are marked.
/// runs   at least one
std::string html_report(std::span<const RunReport> runs);

}  // namespace noisette
