#include "framework/report/table.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "framework/core/check.h"
#include "framework/report/console.h"

namespace noisette {
namespace {

using Row = std::vector<std::string>;

bool begins_like_a_number(const std::string& s) {
  const std::size_t at = !s.empty() && (s[0] == '-' || s[0] == '+') ? 1 : 0;
  return s == "-" || (at < s.size() && std::isdigit(static_cast<unsigned char>(s[at])));
}

std::string line_of(const Row& row, const std::vector<int>& widths,
                    const std::vector<bool>& right) {
  std::string line;
  for (std::size_t c = 0; c < row.size(); ++c) {
    const std::string gap(std::size_t(widths[c] - display_width(row[c])), ' ');
    if (c > 0) line += "  ";
    line += right[c] ? gap + row[c] : row[c] + gap;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace

Table& Table::row(Row cells) {
  const std::size_t want = !header_.empty() ? header_.size()
                           : rows_.empty()  ? cells.size()
                                            : rows_[0].size();
  check(cells.size() == want && want > 0, "[table] a row must have {} cells; got {}", want,
        cells.size());
  rows_.push_back(std::move(cells));
  return *this;
}

Table& Table::rule() {
  check(!rows_.empty(), "[table] a rule needs a row above it; got none");
  rows_.emplace_back();
  return *this;
}

std::string Table::str() const {
  const std::size_t columns = !header_.empty() ? header_.size()
                              : rows_.empty()  ? 0
                                               : rows_[0].size();
  std::vector<int> widths(columns, 0);
  std::vector<bool> right(columns, !rows_.empty());
  for (std::size_t c = 0; c < header_.size(); ++c) widths[c] = display_width(header_[c]);
  for (const Row& row : rows_)
    for (std::size_t c = 0; c < row.size(); ++c) {
      widths[c] = std::max(widths[c], display_width(row[c]));
      if (!begins_like_a_number(row[c])) right[c] = false;
    }

  std::string rule;
  for (std::size_t c = 0; c < columns; ++c) {
    if (c > 0) rule += "  ";
    for (int i = 0; i < widths[c]; ++i) rule += "─";
  }
  std::string text;
  if (!header_.empty()) text += line_of(header_, widths, right) + "\n" + rule + "\n";
  for (const Row& row : rows_) text += (row.empty() ? rule : line_of(row, widths, right)) + "\n";
  if (!text.empty()) text.pop_back();
  return text;
}

std::string format_count(int64_t n) {
  std::string digits = fmt::format("{}", n);
  const int64_t first = n < 0 ? 1 : 0;
  for (int64_t at = int64_t(digits.size()) - 3; at > first; at -= 3)
    digits.insert(std::size_t(at), 1, ',');
  return digits;
}

std::string format_bytes(double n) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  for (; n >= 1024 && unit + 1 < std::size(kUnits); ++unit) n /= 1024;
  return unit == 0 ? fmt::format("{:.0f} B", n)
                   : fmt::format("{:.{}f} {}", n,
                                 n < 10    ? 2
                                 : n < 100 ? 1
                                           : 0,
                                 kUnits[unit]);
}

}  // namespace noisette
