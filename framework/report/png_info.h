#pragma once
#include <cstdint>
#include <string_view>

namespace noisette {

struct PngInfo {
  int64_t width = 0, height = 0;
  int channels = 0;  // 1 grey, 2 grey + alpha, 3 RGB (a palette too), 4 RGBA
};

/// Reads the header of a PNG file held in memory. Throws Error when the bytes do not begin like a
/// PNG.
PngInfo png_info(std::string_view png);

}  // namespace noisette
