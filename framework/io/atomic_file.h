// Files that appear under their name only when they are complete.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace noisette {

/// Writes to a hidden file in the folder of `path`; commit() flushes it to the disk and renames it.
/// Without commit() the destructor removes it, so an error on the way leaves the folder as it was,
/// an older file of that name included.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// The hidden file, for libraries that open files by name. They must write into it, not replace
  /// it.
  const std::filesystem::path& temporary() const { return temporary_; }
  const std::filesystem::path& path() const { return path_; }
  /// Data to the disk, final name, folder entry to the disk. The file exists under its name when
  /// this returns.
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int fd_ = -1;
};

void write_file(const std::filesystem::path& path, std::string_view text);

/// The whole file; an Error when it is longer than `max_bytes`, no regular file, or unreadable.
std::vector<std::byte> read_file(const std::filesystem::path& path, int64_t max_bytes = int64_t(1)
                                                                                        << 40);
std::string read_text(const std::filesystem::path& path, int64_t max_bytes = int64_t(1) << 26);

}  // namespace noisette
