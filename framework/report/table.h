#pragma once
#include <string>
#include <vector>

namespace noisette {

/// A small table of text. Columns whose cells below the header all begin like a number are aligned
/// to the right.
///
///   Table t({"block", "parameters"});
///   t.row({"down_blocks.0", "148,480"});
///   console().line(t.str());
class Table {
 public:
  explicit Table(std::vector<std::string> header = {}) : header_(std::move(header)) {}
  /// Throws Error when the row is not as long as the header or, without one, as the first row.
  Table& row(std::vector<std::string> cells);
  /// A line between the rows before and after, for a total.
  Table& rule();
  std::string str() const;  // without the last line feed

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;  // an empty row is a rule
};

std::string format_count(int64_t n);  // "35,746,307"
std::string format_bytes(double n);   // "1.46 GiB"

}  // namespace noisette
