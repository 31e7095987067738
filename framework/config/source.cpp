#include "framework/config/source.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <optional>

#include "framework/core/check.h"

namespace noisette::config {
namespace {

constexpr size_t kMaxBytes = 256 * 1024;
constexpr int kMaxDepth = 16;

template <class... A>
[[noreturn]] void refuse(fmt::format_string<std::type_identity_t<A>...> text, A&&... a) {
  throw UsageError("[config] " + fmt::format(text, std::forward<A>(a)...));
}

/// Walks TOML text past strings and comments and refuses deep nesting before the parser sees it: a
/// parser and the destructor of its tree recurse once per level, and `a.a.a.a ...` makes a level of
/// every two bytes.
class DepthGuard {
 public:
  DepthGuard(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  void run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (c == '"' || c == '\'') {
        skip_string(c);
      } else {
        step(c);
        ++at_;
      }
    }
  }

 private:
  void step(char c) {
    if (c == '\n') ++line_;
    if (c == '[' || c == '{') ++open_;
    if (c == ']' || c == '}') --open_;
    if (c == '.') ++dots_;
    if (c == '\n' || c == ',' || c == '=') dots_ = 0;
    if (open_ > kMaxDepth || dots_ > kMaxDepth)
      refuse("tables and lists may nest {} deep; got more ({}:{})", kMaxDepth, name_, line_);
  }

  void skip_string(char quote) {
    const std::string triple(3, quote);
    const bool multiline = text_.substr(at_, 3) == triple;
    at_ += multiline ? 3 : 1;
    while (at_ < text_.size()) {
      if (text_[at_] == '\n') {
        if (!multiline) return;  // unterminated: the parser will say so
        ++line_;
      }
      if (quote == '"' && text_[at_] == '\\') {
        at_ += text_.substr(at_ + 1, 1) == "\n" ? 1 : 2;
      } else if (multiline ? text_.substr(at_, 3) == triple : text_[at_] == quote) {
        at_ += multiline ? 3 : 1;
        for (int extra = 0; multiline && extra < 2 && at_ < text_.size() && text_[at_] == quote;
             ++extra)
          ++at_;  // up to two quotes may stand before the closing three
        return;
      } else {
        ++at_;
      }
    }
  }

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
  int64_t line_ = 1, open_ = 0, dots_ = 0;
};

Value convert(const toml::node& node, const std::string& name);

Table convert(const toml::table& table, const std::string& name) {
  Table out;
  for (const auto& [key, node] : table) out.emplace(std::string(key.str()), convert(node, name));
  return out;
}

Value convert(const toml::node& node, const std::string& name) {
  const std::string where = fmt::format("{}:{}", name, node.source().begin.line);
  if (const auto* v = node.as_boolean()) return {v->get(), where};
  if (const auto* v = node.as_integer()) return {v->get(), where};
  if (const auto* v = node.as_floating_point()) return {v->get(), where};
  if (const auto* v = node.as_string()) return {v->get(), where};
  if (const auto* v = node.as_table()) return {convert(*v, name), where};
  if (const auto* v = node.as_array()) {
    Array items;
    for (const toml::node& item : *v) items.push_back(convert(item, name));
    return {std::move(items), where};
  }
  refuse("dates and times are not used here; write a string in quotes ({})", where);
}

std::string read_text(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    refuse("a configuration is a file; got the folder '{}'", path.string());
  std::ifstream in(path, std::ios::binary);
  if (!in) refuse("cannot open '{}'", path.string());
  std::string text(kMaxBytes + 1, '\0');
  in.read(text.data(), std::streamsize(text.size()));
  if (in.bad()) refuse("cannot read '{}'", path.string());
  text.resize(size_t(in.gcount()));
  return text;
}

/// `open` holds the files being read, outermost first.
Table load(const std::filesystem::path& path, std::vector<std::filesystem::path>& open) {
  std::error_code error;
  std::filesystem::path real = std::filesystem::weakly_canonical(path, error);
  if (error) real = path;
  if (std::find(open.begin(), open.end(), real) != open.end()) {
    std::string circle;
    for (const auto& file : open) circle += "'" + file.filename().string() + "' -> ";
    refuse("'extends' goes in a circle: {}'{}'", circle, real.filename().string());
  }
  if (open.size() >= size_t(kMaxDepth)) refuse("'extends' may go {} files deep", kMaxDepth);
  Table table = parse_text(read_text(path), path.string());
  const auto found = table.find("extends");
  if (found == table.end()) return table;

  const Value value = std::move(found->second);
  table.erase(found);
  const auto* base = value.as<std::string>();
  if (!base || base->empty())
    refuse("'extends' must be the name of a file; got {} ({})", value.text(), value.where);
  const std::filesystem::path base_path = path.parent_path() / *base;
  if (!std::filesystem::exists(base_path, error))
    refuse("'extends' names '{}', which does not exist ({})", base_path.string(), value.where);
  open.push_back(real);
  Table merged = load(base_path, open);
  open.pop_back();
  merge(merged, std::move(table));
  return merged;
}

/// The value of a --set as TOML, or nothing when the text is not TOML.
std::optional<Value> toml_value(std::string_view text, const std::string& where) {
  const std::string line = "value = " + std::string(text);
  DepthGuard(line, where).run();
  try {
    const toml::table parsed = toml::parse(std::string_view(line));
    const toml::node* node = parsed.get("value");
    if (parsed.size() != 1 || !node || node->is_date() || node->is_time() || node->is_date_time())
      return std::nullopt;
    Table table = convert(parsed, where);
    return std::move(table.begin()->second);
  } catch (const toml::parse_error&) {
    return std::nullopt;
  }
}

void set_places(Value& value, const std::string& where) {
  value.where = where;
  if (auto* items = std::get_if<Array>(&value.data))
    for (Value& item : *items) set_places(item, where);
  if (auto* table = std::get_if<Table>(&value.data))
    for (auto& [key, item] : *table) set_places(item, where);
}

Value override_value(std::string_view text, const std::string& where) {
  std::optional<Value> value = toml_value(text, where);
  if (!value) {
    const bool word =
        !text.empty() && (std::isalnum(uint8_t(text[0])) || uint8_t(text[0]) >= 0x80 ||
                          std::string_view("_./~").find(text[0]) != text.npos);
    if (!word)
      refuse("the value of a --set must be TOML or a bare word; got '{}' ({})", text, where);
    value = toml_value(quote(text), where);
    if (!value) refuse("a --set must be UTF-8 text ({})", where);
  }
  set_places(*value, where);
  return std::move(*value);
}

std::vector<std::string> override_path(std::string_view dotted, const std::string& where) {
  std::vector<std::string> path;
  for (size_t begin = 0; begin <= dotted.size();) {
    const size_t end = std::min(dotted.find('.', begin), dotted.size());
    const std::string_view part = dotted.substr(begin, end - begin);
    const bool plain = !part.empty() && std::all_of(part.begin(), part.end(), [](char c) {
      return std::isalnum(uint8_t(c)) || c == '_' || c == '-';
    });
    if (!plain) refuse("a --set names a key as table.key; got {} ({})", quote(dotted), where);
    path.emplace_back(part);
    begin = end + 1;
  }
  if (path.size() > size_t(kMaxDepth)) refuse("a key may nest {} deep ({})", kMaxDepth, where);
  return path;
}

}  // namespace

Table parse_text(std::string_view text, const std::string& name) {
  if (text.find('\0') != text.npos) refuse("'{}' is not a TOML text file", name);
  if (text.size() > kMaxBytes)
    refuse("a configuration is at most {} KiB; '{}' is larger", kMaxBytes / 1024, name);
  DepthGuard(text, name).run();
  try {
    return convert(toml::parse(text), name);
  } catch (const toml::parse_error& e) {
    refuse("not valid TOML: {} ({}:{})", e.description(), name, e.source().begin.line);
  }
}

Table load_file(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> open;
  return load(path, open);
}

void merge(Table& base, Table over) {
  for (auto& [key, value] : over) {
    const auto [place, fresh] = base.try_emplace(key);
    Table* old_table = fresh ? nullptr : std::get_if<Table>(&place->second.data);
    Table* new_table = std::get_if<Table>(&value.data);
    if (old_table && new_table) {
      merge(*old_table, std::move(*new_table));
      place->second.where = value.where;
    } else {
      place->second = std::move(value);
    }
  }
}

void apply_override(Table& table, std::string_view assignment) {
  const Value shown{std::string(assignment), ""};
  const bool control = std::any_of(assignment.begin(), assignment.end(),
                                   [](char c) { return uint8_t(c) < 0x20 || c == 0x7F; });
  if (control) refuse("a --set is one line of text; got --set {}", shown.text());
  const std::string where = assignment.size() <= 60 ? fmt::format("--set {}", assignment)
                                                    : fmt::format("--set {}", shown.text());
  const size_t equals = assignment.find('=');
  if (equals == assignment.npos) refuse("a --set is written key=value; got {}", where);
  std::string_view name = assignment.substr(0, equals), text = assignment.substr(equals + 1);
  while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  if (text.empty()) refuse("a --set needs a value; write \"\" for an empty string ({})", where);

  const std::vector<std::string> path = override_path(name, where);
  Value value = override_value(text, where);
  for (auto part = path.rbegin(); part != path.rend(); ++part) {
    if (part + 1 == path.rend()) {
      Table over;
      over.emplace(*part, std::move(value));
      merge(table, std::move(over));
    } else {
      Table outer;
      outer.emplace(*part, std::move(value));
      value = Value{std::move(outer), where};
    }
  }
}

}  // namespace noisette::config
