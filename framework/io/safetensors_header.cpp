#include "framework/io/safetensors_header.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "framework/core/check.h"
#include "framework/io/safetensors.h"

namespace noisette::safetensors {
namespace {

using nlohmann::json;
constexpr std::array<TypeInfo, 22> kTypes{{
    {"BOOL", 8, {}},         {"F4", 4, {}},           {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}},      {"U8", 8, DType::u8},    {"I8", 8, {}},
    {"F8_E5M2", 8, {}},      {"F8_E4M3", 8, {}},      {"F8_E8M0", 8, {}},
    {"F8_E4M3FNUZ", 8, {}},  {"F8_E5M2FNUZ", 8, {}},  {"I16", 16, {}},
    {"U16", 16, {}},         {"F16", 16, DType::f16}, {"BF16", 16, DType::bf16},
    {"I32", 32, DType::i32}, {"U32", 32, {}},         {"F32", 32, DType::f32},
    {"C64", 64, {}},         {"F64", 64, DType::f64}, {"I64", 64, DType::i64},
    {"U64", 64, {}},
}};

template <class... A>
[[noreturn]] void refuse(fmt::format_string<A...> text, A&&... a) {
  throw Error(fmt::format(text, std::forward<A>(a)...));
}

constexpr uint64_t kMaxInteger = uint64_t(1) << 53;  // beyond it JSON readers disagree

/// ASCII as it is, every other byte as \xNN: what is cut, damaged or meant for a terminal does no
/// harm.
std::string escaped(std::string_view bytes, std::size_t most) {
  std::string text;
  for (unsigned char c : bytes.substr(0, most))
    text += c < 0x20 || c >= 0x7f ? fmt::format("\\x{:02x}", c) : std::string(1, char(c));
  return text + (bytes.size() > most ? "..." : "");
}

/// What both JSON readers share: the file's name in errors, syntax errors, no name twice in an
/// object.
class Reader : public json::json_sax_t {
 public:
  explicit Reader(const std::string& origin) : origin_(origin) {}

  bool parse_error(std::size_t at, const std::string&, const json::exception& e) override {
    std::string what =
        e.what();  // "[json.exception.parse_error.101] parse error at line 1, ...: text"
    if (const auto colon = what.find(": "); colon != std::string::npos) what.erase(0, colon + 2);
    refuse("[safetensors] {}: the header is not valid JSON at byte {}: {}", origin_, at,
           escaped(what, 200));
  }
  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a boolean"); }
  bool number_float(number_float_t, const string_t& text) override {
    unexpected("the number " + printable(text));
  }
  bool number_integer(number_integer_t v) override {
    unexpected("the negative number " + std::to_string(v));
  }
  bool number_unsigned(number_unsigned_t v) override {
    unexpected("the number " + std::to_string(v));
  }
  bool string(string_t& v) override { unexpected("the string " + printable(v)); }
  bool binary(binary_t&) override { unexpected("binary data"); }
  bool start_object(std::size_t) override { unexpected("an object"); }
  bool start_array(std::size_t) override { unexpected("an array"); }
  bool end_array() override { return true; }

 protected:
  virtual std::string place() const = 0;
  [[noreturn]] void unexpected(const std::string& what) const {
    refuse("[safetensors] {}: {} cannot be {}", origin_, place(), what);
  }
  const std::string& origin_;
};

/// {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"key":
/// "value"}}
class HeaderReader final : public Reader {
 public:
  using Reader::Reader;
  Header header;

  bool start_object(std::size_t) override {
    if (where_ == Where::start) {
      where_ = Where::root;
    } else if (where_ == Where::name && name_ == "__metadata__") {
      where_ = Where::metadata;
    } else if (where_ == Where::name) {
      where_ = Where::entry;
      header.entries.push_back({.name = name_, .dtype = {}, .shape = {}});
      fields_ = 0;
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool key(string_t& text) override {
    if (where_ == Where::root) {
      name_ = text;
      check_user(names_.insert(text).second, "[safetensors] {}: the header names {} twice", origin_,
                 printable(text));
      where_ = Where::name;
    } else if (where_ == Where::metadata) {
      key_ = text;
      check_user(!header.metadata.contains(text), "[safetensors] {}: the metadata name {} twice",
                 origin_, printable(text));
      where_ = Where::value;
    } else {
      begin_field(text);
    }
    return true;
  }

  bool string(string_t& text) override {
    if (where_ == Where::value) {
      header.metadata.emplace(key_, text);
      where_ = Where::metadata;
    } else if (where_ == Where::dtype) {
      header.entries.back().dtype = text;
      where_ = Where::entry;
    } else {
      unexpected("the string " + printable(text));
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (where_ == Where::shape)
      where_ = Where::extents;
    else if (where_ == Where::offsets)
      where_ = Where::positions;
    else
      unexpected("an array");
    positions_ = 0;
    return true;
  }

  bool number_unsigned(number_unsigned_t v) override {
    if (where_ != Where::extents && where_ != Where::positions)
      unexpected("the number " + std::to_string(v));
    check_user(v <= kMaxInteger, "[safetensors] {}: {} must not exceed 2^53; got {}", origin_,
               place(), v);
    HeaderEntry& entry = header.entries.back();
    if (where_ == Where::extents)
      entry.shape.push_back(int64_t(v));
    else if (++positions_ <= 2)
      (positions_ == 1 ? entry.begin : entry.end) = int64_t(v);
    return true;
  }

  bool end_array() override {
    check_user(where_ == Where::extents || positions_ == 2,
               "[safetensors] {}: {} must hold 2 numbers; got {}", origin_, place(), positions_);
    where_ = Where::entry;
    return true;
  }

  bool end_object() override {
    if (where_ == Where::entry)
      check_user(fields_ == 7, "[safetensors] {}: tensor {} lacks {}", origin_, printable(name_),
                 !(fields_ & 1)   ? "dtype"
                 : !(fields_ & 2) ? "shape"
                                  : "data_offsets");
    where_ = Where::root;
    return true;
  }

 protected:
  std::string place() const override {
    switch (where_) {
      case Where::start:
        return "the header";
      case Where::metadata:
      case Where::value:
        return "the metadata value of " + printable(key_);
      case Where::dtype:
        return "dtype of tensor " + printable(name_);
      case Where::shape:
      case Where::extents:
        return "shape of tensor " + printable(name_);
      case Where::offsets:
      case Where::positions:
        return "data_offsets of tensor " + printable(name_);
      default:
        return "the entry " + printable(name_);
    }
  }

 private:
  enum class Where {
    start,
    root,
    name,
    metadata,
    value,
    entry,
    dtype,
    shape,
    extents,
    offsets,
    positions
  };

  void begin_field(const string_t& text) {
    int bit = 0;
    if (text == "dtype") {
      where_ = Where::dtype;
      bit = 1;
    } else if (text == "shape") {
      where_ = Where::shape;
      bit = 2;
    } else if (text == "data_offsets") {
      where_ = Where::offsets;
      bit = 4;
    }
    check_user(bit != 0, "[safetensors] {}: tensor {} has the unknown field {}", origin_,
               printable(name_), printable(text));
    check_user(!(fields_ & bit), "[safetensors] {}: tensor {} has {} twice", origin_,
               printable(name_), printable(text));
    fields_ |= bit;
  }

  Where where_ = Where::start;
  std::string name_, key_;
  std::set<std::string> names_;
  int fields_ = 0;     // bits of the fields seen in the current entry
  int positions_ = 0;  // numbers seen in data_offsets
};

/// {"metadata": anything, "weight_map": {"tensor": "file", ...}}
class IndexReader final : public Reader {
 public:
  using Reader::Reader;
  std::map<std::string, std::string> files;
  bool complete = false;

  bool null() override { return skipped("null"); }
  bool boolean(bool) override { return skipped("a boolean"); }
  bool number_float(number_float_t, const string_t&) override { return skipped("a number"); }
  bool number_integer(number_integer_t) override { return skipped("a number"); }
  bool number_unsigned(number_unsigned_t) override { return skipped("a number"); }
  bool start_array(std::size_t) override {
    skipped("an array");
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool start_object(std::size_t) override {
    if (depth_ > 0 && !(depth_ == 1 && in_map_)) skipped("an object");
    ++depth_;
    return true;
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool key(string_t& text) override {
    key_ = text;
    if (depth_ == 1) {
      in_map_ = text == "weight_map";
      check_user(!in_map_ || !complete, "[safetensors] {}: weight_map appears twice", origin_);
      complete |= in_map_;
    } else if (in_map_) {
      check_user(!files.contains(text), "[safetensors] {}: weight_map names {} twice", origin_,
                 printable(text));
    }
    return true;
  }
  bool string(string_t& text) override {
    if (depth_ == 2 && in_map_)
      files.emplace(key_, text);
    else
      skipped("a string");
    return true;
  }

 protected:
  std::string place() const override { return depth_ == 0 ? "the index" : printable(key_); }

 private:
  bool skipped(const char* what) const {
    if (depth_ == 0 || in_map_) unexpected(what);
    check_user(depth_ < 64, "[safetensors] {}: the index is nested deeper than 64 levels", origin_);
    return true;
  }
  std::string key_;
  int depth_ = 0;
  bool in_map_ = false;
};

/// The JSON library takes a NUL for the end of the text and would ignore what follows.
void check_no_nul(std::string_view text, const std::string& origin) {
  const auto at = text.find('\0');
  check_user(at == text.npos, "[safetensors] {}: the header is not valid JSON at byte {}: a NUL",
             origin, at);
}

}  // namespace

Header parse_header(std::string_view text, const std::string& origin) {
  check_no_nul(text, origin);
  HeaderReader reader(origin);
  json::sax_parse(text.begin(), text.end(), &reader);
  return std::move(reader.header);
}

std::map<std::string, std::string> parse_index(std::string_view text, const std::string& origin) {
  check_no_nul(text, origin);
  IndexReader reader(origin);
  json::sax_parse(text.begin(), text.end(), &reader);
  check_user(reader.complete, "[safetensors] {}: the index has no weight_map", origin);
  return std::move(reader.files);
}

const TypeInfo* find_type(std::string_view name) {
  const auto row =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeInfo& t) { return t.name == name; });
  return row == kTypes.end() ? nullptr : &*row;
}

std::string printable(std::string_view name) { return "'" + escaped(name, 120) + "'"; }

}  // namespace noisette::safetensors

std::string_view noisette::safetensors_name(DType dtype) {
  for (const safetensors::TypeInfo& row : safetensors::kTypes)
    if (row.dtype == dtype) return row.name;
  throw std::logic_error("safetensors has no name for a dtype");
}
