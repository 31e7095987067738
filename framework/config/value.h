// A configuration as read: a tree of values, each knowing where it was written. Knows no struct and
// no range.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace noisette::config {

struct Value;
using Array = std::vector<Value>;
using Table = std::map<std::string, Value, std::less<>>;

/// One value of a configuration file, with the place that set it: "configs/ddpm.toml:12" or "--set
/// seed=3".
struct Value {
  std::variant<bool, int64_t, double, std::string, Array, Table> data;
  std::string where;

  template <class T>
  const T* as() const {
    return std::get_if<T>(&data);
  }
  /// "an integer", "a number", ...: for messages.
  std::string_view kind() const;
  /// The value as TOML text on one line, shortened to `limit` characters: for messages.
  std::string text(size_t limit = 60) const;
};

/// Shortest text that reads back as exactly the same double, always recognisable as a number with a
/// point or an exponent: "0.0001", "1e-5", "2.0".
std::string number_text(double value);

/// A basic TOML string with quotes and escapes; also a valid JSON string.
std::string quote(std::string_view text);

/// A key as TOML writes it: bare where that is allowed, else quoted.
std::string key_text(std::string_view key);

/// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`.
int64_t edit_distance(std::string_view a, std::string_view b);

}  // namespace noisette::config
