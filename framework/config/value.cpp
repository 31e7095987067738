#include "framework/config/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace noisette::config {
namespace {

bool is_bare(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

void append(const Value& value, std::string& out, size_t limit);

template <class Range, class F>
void append_list(const Range& items, std::string& out, size_t limit, F&& item) {
  bool first = true;
  for (const auto& each : items) {
    if (!first) out += ", ";
    first = false;
    if (out.size() > limit) return;  // the caller cuts: nobody reads a message of a megabyte
    item(each);
  }
}

void append(const Value& value, std::string& out, size_t limit) {
  if (const auto* v = value.as<bool>()) {
    out += *v ? "true" : "false";
  } else if (const auto* v = value.as<int64_t>()) {
    out += fmt::format("{}", *v);
  } else if (const auto* v = value.as<double>()) {
    out += number_text(*v);
  } else if (const auto* v = value.as<std::string>()) {
    out += quote(*v);
  } else if (const auto* v = value.as<Array>()) {
    out += "[";
    append_list(*v, out, limit, [&](const Value& item) { append(item, out, limit); });
    out += "]";
  } else if (const auto* v = value.as<Table>()) {
    out += "{";
    append_list(*v, out, limit, [&](const auto& item) {
      out += key_text(item.first) + " = ";
      append(item.second, out, limit);
    });
    out += "}";
  }
}

}  // namespace

std::string_view Value::kind() const {
  static constexpr std::array<std::string_view, 6> kNames = {"a boolean", "an integer", "a number",
                                                             "a string",  "a list",     "a table"};
  return kNames[data.index()];
}

std::string Value::text(size_t limit) const {
  std::string out;
  append(*this, out, limit);
  if (out.size() <= limit) return out;
  size_t cut = limit;
  while (cut > 0 && (uint8_t(out[cut]) & 0xC0) == 0x80) --cut;  // never inside a UTF-8 sequence
  return out.substr(0, cut) + "...";
}

std::string number_text(double value) {
  if (value != value) return "nan";
  std::string s = fmt::format("{}", value);
  const size_t e = s.find('e');
  if (e != std::string::npos) {  // "1e-05" -> "1e-5", "1e+20" -> "1e20"
    const int exponent = std::stoi(s.substr(e + 1));
    return s.substr(0, e) + "e" + std::to_string(exponent);
  }
  if (s.find_first_of(".n") == std::string::npos) s += ".0";  // 'n': inf
  return s;
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (uint8_t(c) < 0x20 || c == 0x7F) {
      out += fmt::format("\\u{:04X}", uint8_t(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string key_text(std::string_view key) {
  const bool bare = !key.empty() && std::all_of(key.begin(), key.end(), is_bare);
  return bare ? std::string(key) : quote(key);
}

int64_t edit_distance(std::string_view a, std::string_view b) {
  // Optimal string alignment: three rows of the dynamic programme.
  std::vector<int64_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = int64_t(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = int64_t(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace noisette::config
