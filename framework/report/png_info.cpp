#include "framework/report/png_info.h"

#include "framework/core/check.h"

namespace noisette {

PngInfo png_info(std::string_view png) {
  using namespace std::string_view_literals;
  // Signature, then the IHDR chunk: length, name, width, height (big endian), bit depth, colour
  // type.
  check(png.size() >= 26 && png.substr(0, 8) == "\x89PNG\r\n\x1a\n"sv &&
            png.substr(12, 4) == "IHDR"sv,
        "[png] the bytes must begin with a PNG signature and header; got {} bytes without",
        png.size());
  const auto u32 = [&png](std::size_t at) {
    uint32_t v = 0;
    for (std::size_t i = 0; i < 4; ++i) v = v << 8 | uint8_t(png[at + i]);
    return int64_t(v);
  };
  constexpr int kChannels[] = {1, 0, 3, 3, 2, 0, 4};  // by colour type
  const auto colour = std::size_t(uint8_t(png[25]));
  check(colour < 7 && kChannels[colour] > 0, "[png] colour type must be 0, 2, 3, 4 or 6; got {}",
        colour);
  return {u32(16), u32(20), kChannels[colour]};
}

}  // namespace noisette
