// The fields of a struct as TOML, as JSON, as a table of keys, and compared with another struct's.
#include <algorithm>
#include <array>

#include "framework/config/config.h"
#include "framework/core/check.h"

namespace noisette::config {
namespace {

using Leaf = std::function<void(const std::string& key, const Field& field)>;

std::string join(std::string_view prefix, std::string_view name) {
  return prefix.empty() ? std::string(name) : fmt::format("{}.{}", prefix, name);
}

/// Values first, then tables: the order TOML needs and the order of every listing.
void walk(const TableSlot& slot, const std::string& prefix, const Leaf& leaf,
          const Leaf& table = nullptr) {
  for (const Field& field : slot.fields)
    if (!std::holds_alternative<TableSlot>(field.slot)) leaf(join(prefix, field.name), field);
  for (const Field& field : slot.fields)
    if (const auto* nested = std::get_if<TableSlot>(&field.slot)) {
      const std::string name = join(prefix, field.name);
      if (table) table(name, field);
      walk(*nested, name, leaf, table);
    }
}

std::string facts(const Field& field) {
  std::string out(field.spec.doc);
  const std::string range = range_text(field.spec);
  if (!field.spec.unit.empty())
    out += fmt::format("{}{}", out.empty() ? "" : "; ", field.spec.unit);
  if (!range.empty()) out += fmt::format("{}{}", out.empty() ? "" : "; ", range);
  return out;
}

void json(const TableSlot& slot, const std::string& indent, std::string& out) {
  out += "{";
  std::string_view separator = "\n";
  for (const Field& field : slot.fields) {
    out += fmt::format("{}{}  {}: ", separator, indent, quote(field.name));
    separator = ",\n";
    if (const auto* nested = std::get_if<TableSlot>(&field.slot)) {
      json(*nested, indent + "  ", out);
    } else {
      const bool none = std::visit(
          [](const auto& slot) {
            if constexpr (requires { slot->has_value(); }) return !slot->has_value();
            return false;
          },
          field.slot);
      out += none ? "null" : value_text(field);
    }
  }
  out += slot.fields.empty() ? "}" : fmt::format("\n{}}}", indent);
}

/// Cells of the table of keys.
using Row = std::array<std::string, 6>;
const Row kHeader = {"key", "type", "unit", "range", "default", "meaning"};

std::vector<Row> rows(const TableSlot& root) {
  std::vector<Row> out;
  walk(root, "", [&](const std::string& key, const Field& field) {
    out.push_back({key, type_text(field), std::string(field.spec.unit), range_text(field.spec),
                   field.spec.required ? "required" : value_text(field),
                   std::string(field.spec.doc)});
  });
  return out;
}

std::string describe_text(const std::vector<Row>& rows) {
  std::array<size_t, 6> width{};
  for (size_t c = 0; c < 6; ++c) {
    width[c] = kHeader[c].size();
    for (const Row& row : rows) width[c] = std::max(width[c], row[c].size());
  }
  std::string out;
  const auto line = [&](const Row& row) {
    for (size_t c = 0; c + 1 < 6; ++c) out += fmt::format("{:<{}}  ", row[c], width[c]);
    out += row[5];
    out.erase(out.find_last_not_of(' ') + 1);
    out += "\n";
  };
  line(kHeader);
  for (const Row& row : rows) line(row);
  return out;
}

std::string escape_pipes(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

std::string describe_markdown(const std::vector<Row>& rows) {
  std::string out = fmt::format("| {} |\n|---|---|---|---|---|---|\n", fmt::join(kHeader, " | "));
  const auto code = [](const std::string& s) { return s.empty() ? s : "`" + s + "`"; };
  for (const Row& row : rows) {
    const Row cells = {code(row[0]), row[1], row[2], code(row[3]), code(row[4]), row[5]};
    out += "|";
    for (const std::string& cell : cells)
      out += cell.empty() ? " |" : " " + escape_pipes(cell) + " |";
    out += "\n";
  }
  return out;
}

}  // namespace

std::string write_toml(const TableSlot& root, bool comments) {
  std::string out;
  walk(
      root, "",
      [&](const std::string& key, const Field& field) {
        const std::string note = comments ? facts(field) : "";
        const size_t dot = key.rfind('.');
        out += key_text(dot == key.npos ? key : key.substr(dot + 1)) + " = " + value_text(field);
        out += note.empty() ? "\n" : "  # " + note + "\n";
      },
      [&](const std::string& key, const Field& field) {
        const auto& nested = std::get<TableSlot>(field.slot);
        const bool has_values =
            std::any_of(nested.fields.begin(), nested.fields.end(),
                        [](const Field& f) { return !std::holds_alternative<TableSlot>(f.slot); });
        if (!has_values) return;
        const bool note = comments && !field.spec.doc.empty();
        out += fmt::format("{}[{}]{}\n", out.empty() ? "" : "\n", key,
                           note ? fmt::format("  # {}", field.spec.doc) : "");
      });
  return out;
}

std::string write_json(const TableSlot& root) {
  std::string out;
  json(root, "", out);
  return out + "\n";
}

std::string describe(const TableSlot& root, Layout layout) {
  return layout == Layout::text ? describe_text(rows(root)) : describe_markdown(rows(root));
}

std::vector<Change> differences(const TableSlot& a, const TableSlot& b) {
  std::vector<std::string> other;
  walk(b, "", [&](const std::string&, const Field& field) { other.push_back(value_text(field)); });
  std::vector<Change> out;
  size_t i = 0;
  walk(a, "", [&](const std::string& key, const Field& field) {
    const std::string value = value_text(field);
    if (value != other.at(i)) out.push_back({key, value, other[i]});
    ++i;
  });
  return out;
}

}  // namespace noisette::config
