#include "framework/io/image.h"

#include "framework/core/check.h"
#include "framework/io/atomic_file.h"
#include "framework/io/image_codecs.h"

namespace noisette {

Image::Image(int64_t width, int64_t height, int64_t channels, uint8_t value)
    : width(width), height(height), channels(channels) {
  check(width >= 0 && height >= 0 && (channels == 1 || channels == 3 || channels == 4),
        "[image] an image needs 1, 3 or 4 channels and no negative size; got {} x {} x {}", width,
        height, channels);
  pixels.assign(std::size_t(width * height * channels), value);
}

void check_image_size(int64_t width, int64_t height, int64_t max_pixels,
                      const std::string& origin) {
  check_user(width > 0 && height > 0, "[image] {}: the image is empty; got {} x {} pixels", origin,
             width, height);
  check_user(width <= max_pixels / height,
             "[image] {}: the image is too large; got {} x {} pixels, at most {}", origin, width,
             height, max_pixels);
}

Image decode_image(std::span<const std::byte> file, const std::string& origin, int64_t max_pixels) {
  const auto begins = [&](std::initializer_list<int> magic) {
    return file.size() >= magic.size() &&
           std::equal(magic.begin(), magic.end(), file.begin(),
                      [](int a, std::byte b) { return std::byte(a) == b; });
  };
  if (begins({0x89, 'P', 'N', 'G'})) return decode_png(file, origin, max_pixels);
  if (begins({0xff, 0xd8, 0xff})) return decode_jpeg(file, origin, max_pixels);
  check_user(!file.empty(), "[image] {}: the file is empty", origin);
  throw Error(fmt::format("[image] {}: this is neither a PNG nor a JPEG", origin));
}

Image read_image(const std::filesystem::path& path, int64_t max_pixels) {
  constexpr int64_t kMaxFile = int64_t(1) << 31;
  return decode_image(read_file(path, kMaxFile), path.string(), max_pixels);
}

void write_png(const std::filesystem::path& path, const Image& image,
               const std::map<std::string, std::string>& text) {
  AtomicFile file(path);
  file.write(encode_png(image, text));
  file.commit();
}

}  // namespace noisette
