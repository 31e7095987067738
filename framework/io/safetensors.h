// The safetensors container: 8 bytes of header length, a JSON header, the tensors' bytes.
#pragma once
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "framework/core/dtype.h"
#include "framework/core/shape.h"

namespace noisette {

/// One tensor in a file. The bytes are little-endian, row-major and may be unaligned: copy them
/// out.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // the format's own name: "F32", "BF16", "F8_E4M3", ...
  Shape shape;
  std::span<const std::byte> bytes;

  /// The matching DType; nothing for the types that noisette does not compute with or store.
  std::optional<DType> element_type() const;
};

std::string_view safetensors_name(DType dtype);  // DType::f32 -> "F32"

/// NaN and infinite values of an F32, F64, F16 or BF16 entry; 0 for other types.
int64_t count_non_finite(const SafetensorsEntry& entry);

using SafetensorsMetadata = std::map<std::string, std::string>;

/// A file read through a memory map. Everything about it is checked before it is handed out: an
/// Error tells the file and what is wrong with it (header size and syntax, unknown fields and
/// types, repeated names, shapes that disagree with the bytes, bytes that overlap, leave holes or
/// lie outside).
class SafetensorsFile {
 public:
  static SafetensorsFile open(const std::filesystem::path& path);
  /// The same checks on bytes in memory, which must outlive the result; `origin` names them in
  /// errors.
  static SafetensorsFile parse(std::span<const std::byte> file, const std::string& origin);

  const std::vector<SafetensorsEntry>& entries() const { return entries_; }  // by name
  const SafetensorsEntry* find(std::string_view name) const;
  const SafetensorsEntry& at(std::string_view name) const;  // an Error when it is not there
  const SafetensorsMetadata& metadata() const { return metadata_; }
  const std::string& origin() const { return origin_; }

 private:
  std::string origin_;
  std::vector<SafetensorsEntry> entries_;
  SafetensorsMetadata metadata_;
  std::shared_ptr<const void> mapping_;
};

/// One model in one file, or in several behind a `*.safetensors.index.json`. The index must list
/// every tensor of every shard once and nothing else, and name shards of its own folder only.
class SafetensorsModel {
 public:
  static SafetensorsModel open(const std::filesystem::path& file_or_index);

  std::vector<const SafetensorsEntry*> entries() const;  // by name
  const SafetensorsEntry* find(std::string_view name) const;
  const std::vector<SafetensorsFile>& files() const { return files_; }

 private:
  std::vector<SafetensorsFile> files_;
};

/// Writes atomically, in the order and with the padding of the reference writer: the same tensors
/// and metadata give the same bytes. `dtype` of each entry is the format's own name.
void write_safetensors(const std::filesystem::path& path, std::vector<SafetensorsEntry> entries,
                       const SafetensorsMetadata& metadata = {});

}  // namespace noisette
