// What happens to a picture between its file and the network, and between the network and a grid.
#pragma once
#include <array>
#include <span>

#include "framework/io/image.h"

namespace noisette {

/// Bicubic resize (Keys' kernel, a = -1/2) whose support widens with the reduction, so that no
/// detail aliases. Computed in f32 along each axis and rounded once. Keys 1981, IEEE TASSP 29(6),
/// equation 4.
Image resize(const Image& image, int64_t width, int64_t height);

/// The largest centred part of the proportions width : height, resized to that size.
Image resize_and_crop(const Image& image, int64_t width, int64_t height);

/// Puts an image with alpha on a background; images without alpha are returned as they are.
Image composite(const Image& image, std::array<uint8_t, 3> background);

/// Grey or RGB version with exactly `channels` channels (1: Rec. 601 luma). No alpha may be left.
Image to_channels(const Image& image, int64_t channels);

/// Images of one size, row by row, `columns` a row, `padding` pixels of `background` between and
/// around them.
Image make_grid(std::span<const Image> images, int64_t columns, int64_t padding = 2,
                uint8_t background = 255);

}  // namespace noisette
