// A table of values into a struct's fields: strict types, ranges, no unknown keys.
#include <algorithm>
#include <cmath>

#include "framework/config/config.h"
#include "framework/core/check.h"

namespace noisette::config {
namespace {

template <class... A>
[[noreturn]] void refuse(fmt::format_string<std::type_identity_t<A>...> text, A&&... a) {
  throw UsageError("[config] " + fmt::format(text, std::forward<A>(a)...));
}

std::string join(std::string_view prefix, std::string_view name) {
  return prefix.empty() ? std::string(name) : fmt::format("{}.{}", prefix, name);
}

std::string with_unit(const Spec& spec) {
  return spec.unit.empty() ? "" : fmt::format(" {}", spec.unit);
}

/// One field being assigned: its dotted name and its declaration, for messages.
struct Target {
  std::string name;
  const Field& field;

  [[noreturn]] void wrong_type(const Value& value) const {
    const bool wants_text = std::holds_alternative<std::string*>(field.slot) ||
                            std::holds_alternative<std::vector<std::string>*>(field.slot);
    const bool scalar = value.data.index() <= 2;
    refuse("'{}' must be {} {}; got {} {}{} ({})", name,
           std::holds_alternative<int64_t*>(field.slot) ||
                   std::holds_alternative<std::optional<int64_t>*>(field.slot)
               ? "an"
               : "a",
           type_text(field), value.kind(), value.text(),
           wants_text && scalar ? fmt::format(" (write it as '\"{}\"')", value.text()) : "",
           value.where);
  }

  void check_range(double v, const Value& value) const {
    const Spec& s = field.spec;
    if (!std::isfinite(v))
      refuse("'{}' must be a finite number; got {} ({})", name, value.text(), value.where);
    if (v < s.min || v > s.max || v <= s.above || v >= s.below)
      refuse("'{}' must be {}{}{}; got {} ({})", name,
             range_text(s).find(',') != std::string::npos ? "in " : "", range_text(s), with_unit(s),
             value.text(), value.where);
  }

  void check_length(size_t length, std::string_view item, const Value& value) const {
    if (int64_t(length) < field.spec.min_length)
      refuse("'{}' needs at least {} {}{}; got {} ({})", name, field.spec.min_length, item,
             field.spec.min_length == 1 ? "" : "s", value.text(), value.where);
  }

  void read(const Value& value, bool& out) const {
    const auto* v = value.as<bool>();
    if (!v) wrong_type(value);
    out = *v;
  }

  void read(const Value& value, int64_t& out) const {
    const auto* v = value.as<int64_t>();
    if (!v) wrong_type(value);
    check_range(double(*v), value);
    out = *v;
  }

  void read(const Value& value, double& out) const {
    const auto* whole = value.as<int64_t>();
    const auto* real = value.as<double>();
    if (!whole && !real) wrong_type(value);
    const double v = whole ? double(*whole) : *real;
    check_range(v, value);
    out = v;
  }

  void read(const Value& value, std::string& out) const {
    const auto* v = value.as<std::string>();
    if (!v) wrong_type(value);
    check_length(v->size(), "character", value);
    out = *v;
  }

  template <class T>
  void read(const Value& value, std::optional<T>& out) const {
    const auto* word = value.as<std::string>();
    if (word && *word == "none") {
      out.reset();
      return;
    }
    T v{};
    read(value, v);
    out = std::move(v);
  }

  template <class T>
  void read(const Value& value, std::vector<T>& out) const {
    const auto* items = value.as<Array>();
    if (!items) wrong_type(value);
    check_length(items->size(), "item", value);
    std::vector<T> read_items(items->size());
    for (size_t i = 0; i < items->size(); ++i) {
      if (!accepts<T>((*items)[i])) wrong_type(value);
      read((*items)[i], read_items[i]);
    }
    out = std::move(read_items);
  }

  template <class T>
  static bool accepts(const Value& item) {
    return item.as<T>() || (std::is_same_v<T, double> && item.as<int64_t>());
  }

  void read(const Value& value, const EnumSlot& slot) const {
    const auto* v = value.as<std::string>();
    if (!v) not_named(slot, value);
    for (size_t i = 0; i < slot.names.size(); ++i)
      if (slot.names[i] == *v) return slot.set(i);
    not_named(slot, value);
  }

  [[noreturn]] void not_named(const EnumSlot& slot, const Value& value) const {
    refuse("'{}' must be one of {}; got {} ({})", name, fmt::join(slot.names, ", "), value.text(),
           value.where);
  }
};

/// Dotted name of the first field called `key` anywhere below, or empty.
std::string find_elsewhere(const TableSlot& slot, const std::string& prefix, std::string_view key) {
  for (const Field& field : slot.fields) {
    if (field.name == key) return join(prefix, field.name);
    if (const auto* nested = std::get_if<TableSlot>(&field.slot)) {
      std::string found = find_elsewhere(*nested, join(prefix, field.name), key);
      if (!found.empty()) return found;
    }
  }
  return "";
}

[[noreturn]] void unknown_key(const TableSlot& root, const TableSlot& slot, std::string_view prefix,
                              const std::string& key, const Value& value) {
  std::vector<std::string_view> known;
  std::string hint;
  int64_t best =
      1 + int64_t(key.size()) / 3;  // a third of the letters wrong is no longer a typing error
  for (const Field& field : slot.fields) {
    known.push_back(field.name);
    if (key.size() > 100) continue;
    const int64_t distance = edit_distance(key, field.name);
    if (distance <= best) {
      best = distance - 1;
      hint = field.name;
    }
  }
  if (hint.empty()) hint = find_elsewhere(root, "", key);
  const Value shown{key, ""};
  const std::string cut = key.size() > 60 ? shown.text() : key_text(key);
  refuse("unknown key '{}' in {}{}; known: {} ({})", cut,
         prefix.empty() ? "the top level" : fmt::format("[{}]", prefix),
         hint.empty() ? "" : fmt::format(", perhaps '{}'", hint), fmt::join(known, ", "),
         value.where);
}

/// Where a broken rule between fields was written: at the key its sentence begins with, else at the
/// table.
std::string place_of(const std::string& problem, const Table& table, const std::string& where) {
  const size_t end = problem.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789");
  const auto found = table.find(problem.substr(0, end));
  return found == table.end() ? where : found->second.where;
}

void assign_table(const TableSlot& root, TableSlot& slot, const Table& table,
                  const std::string& prefix, const std::string& where, const std::string& source) {
  for (const auto& entry : table) {
    const bool known = std::any_of(slot.fields.begin(), slot.fields.end(),
                                   [&](const Field& field) { return field.name == entry.first; });
    if (!known) unknown_key(root, slot, prefix, entry.first, entry.second);
  }
  for (Field& field : slot.fields) {
    const Target target{join(prefix, field.name), field};
    const auto found = table.find(field.name);
    if (auto* nested = std::get_if<TableSlot>(&field.slot)) {
      static const Table kEmpty;
      const Table* inner = found == table.end() ? &kEmpty : found->second.as<Table>();
      if (!inner) target.wrong_type(found->second);
      // A table has the place of what was laid upon it last; a --set of one key is not to blame for
      // others.
      const bool written = found != table.end() && !found->second.where.starts_with("--set ");
      assign_table(root, *nested, *inner, target.name, written ? found->second.where : source,
                   source);
    } else if (found != table.end()) {
      std::visit(
          [&](auto& slot) {
            using S = std::decay_t<decltype(slot)>;
            if constexpr (std::is_pointer_v<S>) target.read(found->second, *slot);
            if constexpr (std::is_same_v<S, EnumSlot>) target.read(found->second, slot);
          },
          field.slot);
    } else if (field.spec.required) {
      refuse("missing key '{}': {} ({})", target.name, field.spec.doc, where);
    }
  }
  if (!slot.problem) return;
  const std::string problem = slot.problem();
  if (!problem.empty())
    refuse("{}{} ({})", prefix.empty() ? "" : fmt::format("in [{}]: ", prefix), problem,
           place_of(problem, table, where));
}

}  // namespace

void assign(TableSlot& root, const Table& table, const std::string& source) {
  assign_table(root, root, table, "", source, source);
}

}  // namespace noisette::config
