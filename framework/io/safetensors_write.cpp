#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "framework/core/check.h"
#include "framework/io/atomic_file.h"
#include "framework/io/safetensors.h"
#include "framework/io/safetensors_header.h"

namespace noisette {
namespace {
using safetensors::find_type;
using safetensors::printable;

void check_entry(const SafetensorsEntry& e, const std::string& origin) {
  const safetensors::TypeInfo* type = find_type(e.dtype);
  check(type != nullptr, "[safetensors] {}: cannot write tensor {} of unknown dtype {}", origin,
        printable(e.name), printable(e.dtype));
  check(e.name != "__metadata__", "[safetensors] {}: '__metadata__' cannot be a tensor's name",
        origin);
  const int64_t bits = e.shape.numel() * type->bits;
  check(bits == int64_t(e.bytes.size()) * 8,
        "[safetensors] {}: tensor {} of shape {} and dtype {} takes {} bits; got {} bytes", origin,
        printable(e.name), e.shape, e.dtype, bits, e.bytes.size());
}

std::string json_string(const std::string& text, const std::string& origin) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    fail("[safetensors] {}: cannot write {}, which is not valid UTF-8", origin, printable(text));
  }
}

std::string header_of(const std::vector<SafetensorsEntry>& entries,
                      const SafetensorsMetadata& metadata, const std::string& origin) {
  std::string text = "{";
  if (!metadata.empty()) {
    text += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata)
      text += json_string(key, origin) + ":" + json_string(value, origin) + ",";
    text.back() = '}';
    text += ',';
  }
  int64_t cursor = 0;
  for (const SafetensorsEntry& e : entries) {
    const int64_t end = cursor + int64_t(e.bytes.size());
    text += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}},",
                        json_string(e.name, origin), e.dtype, fmt::join(e.shape.dims(), ","),
                        cursor, end);
    cursor = end;
  }
  if (text.size() > 1) text.pop_back();  // the last comma
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::vector<SafetensorsEntry> entries,
                       const SafetensorsMetadata& metadata) {
  const std::string origin = path.string();
  for (const SafetensorsEntry& e : entries) check_entry(e, origin);
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    const auto *ta = find_type(a.dtype), *tb = find_type(b.dtype);
    return ta != tb ? ta > tb : a.name < b.name;
  });
  std::set<std::string_view> names;
  for (const SafetensorsEntry& e : entries)
    check(names.insert(e.name).second, "[safetensors] {}: two tensors are called {}", origin,
          printable(e.name));

  const std::string header = header_of(entries, metadata, origin);
  const uint64_t length = header.size();
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(header);
  for (const SafetensorsEntry& e : entries) file.write(e.bytes);
  file.commit();
}

}  // namespace noisette
