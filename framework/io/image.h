// Pictures in memory; PNG and JPEG files.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace noisette {

/// 8-bit samples, row by row, channels interleaved: 1 grey, 3 RGB, 4 RGB with straight alpha.
struct Image {
  int64_t width = 0, height = 0, channels = 0;
  std::vector<uint8_t> pixels;

  Image() = default;
  Image(int64_t width, int64_t height, int64_t channels, uint8_t value = 0);
  uint8_t* row(int64_t y) { return pixels.data() + y * width * channels; }
  const uint8_t* row(int64_t y) const { return pixels.data() + y * width * channels; }
  bool operator==(const Image&) const = default;
};

inline constexpr int64_t kMaxPixels = int64_t(1) << 28;

/// Decodes a PNG (every colour type; 16 bits are rounded to 8) or a JPEG (grey, RGB, CMYK; turned
/// upright as its EXIF orientation asks). Sizes are checked before memory is taken. Throws Error
/// naming `origin` for anything damaged, truncated, larger than `max_pixels` or of another format.
Image decode_image(std::span<const std::byte> file, const std::string& origin,
                   int64_t max_pixels = kMaxPixels);
Image read_image(const std::filesystem::path& path, int64_t max_pixels = kMaxPixels);

/// PNG bytes of a 1-, 3- or 4-channel image. `text` becomes tEXt (Latin-1) or iTXt (UTF-8) entries.
std::vector<std::byte> encode_png(const Image& image,
                                  const std::map<std::string, std::string>& text = {});
/// The same into a file, atomically.
void write_png(const std::filesystem::path& path, const Image& image,
               const std::map<std::string, std::string>& text = {});
/// The text entries of a PNG file.
std::map<std::string, std::string> read_png_text(std::span<const std::byte> file,
                                                 const std::string& origin);

}  // namespace noisette
