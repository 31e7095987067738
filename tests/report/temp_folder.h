#pragma once
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace noisette::test {

/// A fresh folder that is removed with the object.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "noisette-report-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

/// The head of a PNG file: signature and IHDR. Enough wherever only the size is read.
inline std::string png_head(unsigned char width, unsigned char height, char colour_type) {
  std::string png("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0", 19);
  png += char(width);
  png += std::string("\0\0\0", 3) + char(height);
  png += std::string("\x08", 1) + colour_type + std::string("\0\0\0crc!", 7);
  return png;
}

}  // namespace noisette::test
