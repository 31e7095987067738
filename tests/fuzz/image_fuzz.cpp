// Any bytes as a PNG or JPEG: an Error, or pixels that survive being written as PNG.
#include <cstdint>
#include <cstdlib>

#include "framework/core/check.h"
#include "framework/io/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace noisette;
  constexpr int64_t kMaxPixels = 1 << 16;  // keeps one input below a millisecond or so
  try {
    const auto bytes = std::as_bytes(std::span(data, size));
    const Image image = decode_image(bytes, "fuzz", kMaxPixels);
    if (int64_t(image.pixels.size()) != image.width * image.height * image.channels) std::abort();
    if (decode_image(encode_png(image), "again") != image) std::abort();
    read_png_text(bytes, "fuzz");
  } catch (const Error&) {
  }
  return 0;
}
