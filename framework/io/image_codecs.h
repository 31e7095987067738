// The two decoders behind decode_image.
#pragma once
#include "framework/io/image.h"

namespace noisette {

Image decode_png(std::span<const std::byte> file, const std::string& origin, int64_t max_pixels);
Image decode_jpeg(std::span<const std::byte> file, const std::string& origin, int64_t max_pixels);

/// Throws unless a file may claim this size. Called before any memory is taken for the pixels.
void check_image_size(int64_t width, int64_t height, int64_t max_pixels, const std::string& origin);

}  // namespace noisette
