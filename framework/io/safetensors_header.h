// The JSON header of a safetensors file as it stands there; safetensors.cpp checks it against the
// data.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "framework/core/dtype.h"

namespace noisette::safetensors {

struct HeaderEntry {
  std::string name, dtype;
  std::vector<int64_t> shape;
  int64_t begin = 0, end = 0;
};

struct Header {
  std::vector<HeaderEntry> entries;  // in the order of the file
  std::map<std::string, std::string> metadata;
};

/// Strict: exactly the fields of the format, no name twice, integers in [0, 2^53]. Throws Error
/// naming `origin`.
Header parse_header(std::string_view json, const std::string& origin);

/// `weight_map` of a shard index: tensor name to file name, no name twice. Other members are
/// skipped.
std::map<std::string, std::string> parse_index(std::string_view json, const std::string& origin);

struct TypeInfo {
  std::string_view name;
  int bits;
  std::optional<DType> dtype;  // what noisette calls it, if it knows the type
};

/// The row of a type of the format, nullptr for a name that is none. Rows lie in one array, in the
/// order of the reference implementation (which writes the last type first), so that pointers
/// compare in that order.
const TypeInfo* find_type(std::string_view name);

/// A name from a file, shortened and with control characters escaped, for error messages.
std::string printable(std::string_view name);

}  // namespace noisette::safetensors
