#include "framework/io/resample.h"

#include <algorithm>
#include <cmath>

#include "framework/core/check.h"

namespace noisette {
namespace {

double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

/// Each output sample is a weighted sum of `count` inputs from `first` on.
struct Taps {
  int64_t first = 0;
  std::vector<float> weights;
};

/// Taps for `out` samples that cover the interval [begin, begin + length) of `in` samples.
std::vector<Taps> make_taps(int64_t in, double begin, double length, int64_t out) {
  const double scale = length / double(out), stretch = std::max(scale, 1.0);
  std::vector<Taps> taps(static_cast<std::size_t>(out));
  for (int64_t i = 0; i < out; ++i) {
    const double centre = begin + (double(i) + 0.5) * scale;
    const auto first = std::max<int64_t>(0, int64_t(std::floor(centre - 2 * stretch + 0.5)));
    const auto last = std::min<int64_t>(in, int64_t(std::floor(centre + 2 * stretch + 0.5)));
    std::vector<double> w;
    double sum = 0;
    for (int64_t k = first; k < last; ++k) {
      w.push_back(cubic((double(k) + 0.5 - centre) / stretch));
      sum += w.back();
    }
    Taps& t = taps[std::size_t(i)];
    t.first = first;
    for (double v : w) t.weights.push_back(float(v / sum));
  }
  return taps;
}

/// Resizes the part [x0, x0 + w) x [y0, y0 + h): rows first, then columns.
Image resample(const Image& image, double x0, double y0, double w, double h, int64_t width,
               int64_t height) {
  check(image.width > 0 && image.height > 0 && width > 0 && height > 0,
        "[image] cannot resize {} x {} pixels to {} x {}", image.width, image.height, width,
        height);
  const std::vector<Taps> across = make_taps(image.width, x0, w, width);
  const std::vector<Taps> down = make_taps(image.height, y0, h, height);
  const int64_t channels = image.channels, stride = width * channels;

  const int64_t top = down.front().first;
  const int64_t bottom = down.back().first + int64_t(down.back().weights.size());
  std::vector<float> rows(std::size_t((bottom - top) * stride));
  for (int64_t y = top; y < bottom; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < channels; ++c) {
        const Taps& t = across[std::size_t(x)];
        float sum = 0;
        for (std::size_t k = 0; k < t.weights.size(); ++k)
          sum += t.weights[k] * image.row(y)[(t.first + int64_t(k)) * channels + c];
        rows[std::size_t((y - top) * stride + x * channels + c)] = sum;
      }

  Image out(width, height, channels);
  std::vector<float> sums(static_cast<std::size_t>(stride));
  for (int64_t y = 0; y < height; ++y) {
    const Taps& t = down[std::size_t(y)];
    std::fill(sums.begin(), sums.end(), 0.f);
    for (std::size_t k = 0; k < t.weights.size(); ++k) {
      const float* in = rows.data() + (t.first - top + int64_t(k)) * stride;
      for (int64_t i = 0; i < stride; ++i) sums[std::size_t(i)] += t.weights[k] * in[i];
    }
    for (int64_t i = 0; i < stride; ++i)
      out.row(y)[i] = uint8_t(std::clamp(std::floor(sums[std::size_t(i)] + 0.5f), 0.f, 255.f));
  }
  return out;
}

}  // namespace

Image resize(const Image& image, int64_t width, int64_t height) {
  return resample(image, 0, 0, double(image.width), double(image.height), width, height);
}

Image resize_and_crop(const Image& image, int64_t width, int64_t height) {
  if (image.width == width && image.height == height) return image;
  const double scale =
      std::min(double(image.width) / double(width), double(image.height) / double(height));
  const double w = scale * double(width), h = scale * double(height);
  return resample(image, (double(image.width) - w) / 2, (double(image.height) - h) / 2, w, h, width,
                  height);
}

Image composite(const Image& image, std::array<uint8_t, 3> background) {
  if (image.channels != 4) return image;
  Image out(image.width, image.height, 3);
  for (int64_t i = 0; i < image.width * image.height; ++i) {
    const uint8_t* in = image.pixels.data() + 4 * i;
    for (int c = 0; c < 3; ++c)
      out.pixels[std::size_t(3 * i + c)] =
          uint8_t((in[c] * in[3] + background[std::size_t(c)] * (255 - in[3]) + 127) / 255);
  }
  return out;
}

Image to_channels(const Image& image, int64_t channels) {
  check(image.channels != 4 && (channels == 1 || channels == 3),
        "[image] cannot make {} channels from {}", channels, image.channels);
  if (image.channels == channels) return image;
  Image out(image.width, image.height, channels);
  for (int64_t i = 0; i < image.width * image.height; ++i) {
    if (channels == 3) {
      std::fill_n(out.pixels.begin() + 3 * i, 3, image.pixels[std::size_t(i)]);
    } else {
      const uint8_t* p = image.pixels.data() + 3 * i;
      out.pixels[std::size_t(i)] = uint8_t((299 * p[0] + 587 * p[1] + 114 * p[2] + 500) / 1000);
    }
  }
  return out;
}

Image make_grid(std::span<const Image> images, int64_t columns, int64_t padding,
                uint8_t background) {
  check(!images.empty() && columns > 0 && padding >= 0,
        "[image] a grid needs images, columns and no negative padding; got {}, {}, {}",
        images.size(), columns, padding);
  const Image& first = images[0];
  const int64_t n = int64_t(images.size()), across = std::min(columns, n);
  const int64_t down = (n + columns - 1) / columns;
  Image grid(across * (first.width + padding) + padding, down * (first.height + padding) + padding,
             first.channels, background);
  for (int64_t i = 0; i < n; ++i) {
    const Image& image = images[std::size_t(i)];
    check(image.width == first.width && image.height == first.height &&
              image.channels == first.channels,
          "[image] images of a grid have one size; got {} x {} x {} beside {} x {} x {}",
          image.width, image.height, image.channels, first.width, first.height, first.channels);
    const int64_t x = padding + i % columns * (first.width + padding);
    const int64_t y = padding + i / columns * (first.height + padding);
    for (int64_t r = 0; r < image.height; ++r)
      std::copy_n(image.row(r), image.width * image.channels, grid.row(y + r) + x * grid.channels);
  }
  return grid;
}

}  // namespace noisette
