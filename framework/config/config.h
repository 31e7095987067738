// From a configuration file to a typed struct and back. The struct declares its fields as fields.h
// shows.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "framework/config/fields.h"
#include "framework/config/source.h"

namespace noisette::config {

/// Writes the values of `table` into the fields. Throws UsageError, with the place in the file, for
/// an unknown key, a wrong type, a value out of range, a missing required key and a broken rule
/// between fields.
void assign(TableSlot& root, const Table& table, const std::string& source);

/// All fields as TOML that reads back to exactly the same values. `comments` adds each key's line
/// of doc.
std::string write_toml(const TableSlot& root, bool comments);
/// All fields as one JSON object, indented by two.
std::string write_json(const TableSlot& root);

enum class Layout { text, markdown };
/// Every key with type, unit, range, default and doc.
std::string describe(const TableSlot& root, Layout layout);

/// A key whose value differs between two configurations; the values are TOML text.
struct Change {
  std::string key;
  std::string value;
  std::string other;
  bool operator==(const Change&) const = default;
};
std::vector<Change> differences(const TableSlot& a, const TableSlot& b);

/// The struct that a parsed table describes. `source` names the file in messages without a line.
template <class C>
C from_table(const Table& table, const std::string& source) {
  C c;
  TableSlot root = Fields::table_of(c);
  assign(root, table, source);
  return c;
}

template <class C>
C from_text(std::string_view text, const std::string& source) {
  return from_table<C>(parse_text(text, source), source);
}

/// Reads a file with what it extends, then applies each --set in order.
template <class C>
C load(const std::filesystem::path& path, std::span<const std::string> overrides = {}) {
  Table table = load_file(path);
  for (const std::string& assignment : overrides) apply_override(table, assignment);
  return from_table<C>(table, path.string());
}

template <class C>
std::string to_toml(C c, bool comments = false) {
  return write_toml(Fields::table_of(c), comments);
}

template <class C>
std::string to_json(C c) {
  return write_json(Fields::table_of(c));
}

template <class C>
std::string describe(Layout layout) {
  C c;
  return describe(Fields::table_of(c), layout);
}

/// What differs from `base`: by default, from the defaults.
template <class C>
std::vector<Change> diff(C c, C base = C{}) {
  return differences(Fields::table_of(c), Fields::table_of(base));
}

}  // namespace noisette::config
