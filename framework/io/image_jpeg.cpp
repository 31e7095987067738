// JPEG through libjpeg. As with PNG, the functions that call setjmp own nothing that needs a
// destructor.
#include <stdio.h>  // jpeglib.h needs FILE

#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>

#include "framework/core/check.h"
#include "framework/io/image_codecs.h"

namespace noisette {
namespace {

constexpr int kMaxScans =
    200;  // a progressive file of a few kilobytes can ask for hours of decoding

struct Jpeg {
  jpeg_decompress_struct c{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  jmp_buf jump;
  char message[JMSG_LENGTH_MAX] = "";
  bool created = false;

  ~Jpeg() {
    if (created) jpeg_destroy_decompress(&c);
  }
};

[[noreturn]] void on_error(j_common_ptr c) {
  auto& self = *static_cast<Jpeg*>(c->client_data);
  c->err->format_message(c, self.message);
  longjmp(self.jump, 1);
}

/// Warnings mean that libjpeg invented pixels, except for two that say nothing about them.
void on_message(j_common_ptr c, int level) {
  if (level >= 0) return;
  const int code = c->err->msg_code;
  if (code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM) return;
  on_error(c);
}
void on_output(j_common_ptr) {}

void on_progress(j_common_ptr c) {
  auto& self = *static_cast<Jpeg*>(c->client_data);
  if (self.c.input_scan_number <= kMaxScans) return;
  std::snprintf(self.message, sizeof self.message, "it has more than %d scans", kMaxScans);
  longjmp(self.jump, 1);
}

bool read_header(Jpeg& self, const unsigned char* data, unsigned long size) {
  if (setjmp(self.jump)) return false;
  self.c.err = jpeg_std_error(&self.errors);
  self.errors.error_exit = on_error;
  self.errors.emit_message = on_message;
  self.errors.output_message = on_output;
  self.c.client_data = &self;
  jpeg_create_decompress(&self.c);
  self.created = true;
  self.c.client_data = &self;
  self.progress.progress_monitor = on_progress;
  self.c.progress = &self.progress;
  jpeg_save_markers(&self.c, JPEG_APP0 + 1, 0xffff);
  jpeg_mem_src(&self.c, data, size);
  jpeg_read_header(&self.c, TRUE);
  return true;
}

bool start(Jpeg& self) {
  if (setjmp(self.jump)) return false;
  const J_COLOR_SPACE space = self.c.jpeg_color_space;
  const bool four = space == JCS_CMYK || space == JCS_YCCK;
  self.c.out_color_space = four ? JCS_CMYK : space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_start_decompress(&self.c);
  return true;
}

bool read_rows(Jpeg& self, uint8_t* pixels, std::size_t stride) {
  if (setjmp(self.jump)) return false;
  while (self.c.output_scanline < self.c.output_height) {
    JSAMPROW row = pixels + stride * self.c.output_scanline;
    jpeg_read_scanlines(&self.c, &row, 1);
  }
  jpeg_finish_decompress(&self.c);
  return true;
}

void must(bool ok, const Jpeg& self, const std::string& origin) {
  check_user(ok, "[image] {}: damaged JPEG: {}", origin, self.message);
}

/// Every writer of CMYK JPEGs follows Adobe and stores the inks inverted.
Image from_cmyk(const std::vector<uint8_t>& inks, int64_t width, int64_t height, bool inverted) {
  Image image(width, height, 3);
  for (int64_t i = 0; i < width * height; ++i) {
    const uint8_t* ink = inks.data() + 4 * i;
    for (int c = 0; c < 3; ++c) {
      const int colour = inverted ? ink[c] : 255 - ink[c], black = inverted ? ink[3] : 255 - ink[3];
      image.pixels[std::size_t(3 * i + c)] = uint8_t((colour * black + 127) / 255);
    }
  }
  return image;
}

/// The EXIF orientation (1..8) of an APP1 segment, 1 when there is none or it is malformed.
/// TIFF 6.0, section 2.
int exif_orientation(std::span<const uint8_t> data) {
  if (data.size() < 14 || std::memcmp(data.data(), "Exif\0\0", 6) != 0) return 1;
  data = data.subspan(6);
  const bool little = data[0] == 'I';
  const auto number = [&](std::size_t at, std::size_t bytes) -> uint32_t {
    if (at > data.size() || bytes > data.size() - at) return 0;
    uint32_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i)
      value |= uint32_t(data[at + i]) << (8 * (little ? i : bytes - 1 - i));
    return value;
  };
  const std::size_t directory = number(4, 4);
  const std::size_t entries = number(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + 12 * i;
    if (entry + 12 > data.size()) break;
    if (number(entry, 2) != 0x0112) continue;
    const uint32_t value = number(entry + 8, 2);
    return value >= 1 && value <= 8 ? int(value) : 1;
  }
  return 1;
}

int orientation_of(const Jpeg& self) {
  for (jpeg_saved_marker_ptr m = self.c.marker_list; m; m = m->next)
    if (const int o = exif_orientation({m->data, m->data_length}); o != 1) return o;
  return 1;
}

Image upright(Image image, int orientation) {
  if (orientation == 1) return image;
  const bool swaps = orientation >= 5;
  Image out(swaps ? image.height : image.width, swaps ? image.width : image.height, image.channels);
  const bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  for (int64_t y = 0; y < out.height; ++y)
    for (int64_t x = 0; x < out.width; ++x) {
      int64_t sx = swaps ? y : x, sy = swaps ? x : y;
      if (flip_x) sx = image.width - 1 - sx;
      if (flip_y) sy = image.height - 1 - sy;
      std::copy_n(image.row(sy) + sx * image.channels, image.channels,
                  out.row(y) + x * out.channels);
    }
  return out;
}

}  // namespace

Image decode_jpeg(std::span<const std::byte> file, const std::string& origin, int64_t max_pixels) {
  Jpeg self;
  const auto* data = reinterpret_cast<const unsigned char*>(file.data());
  must(read_header(self, data, file.size()), self, origin);
  const int64_t width = self.c.image_width, height = self.c.image_height;
  check_image_size(width, height, max_pixels, origin);
  const int orientation = orientation_of(self);
  must(start(self), self, origin);

  const int64_t channels = self.c.output_components;
  std::vector<uint8_t> pixels(std::size_t(width * height * channels));
  must(read_rows(self, pixels.data(), std::size_t(width * channels)), self, origin);
  Image image;
  if (channels == 4) {
    image = from_cmyk(pixels, width, height, self.c.saw_Adobe_marker);
  } else {
    image.width = width;
    image.height = height;
    image.channels = channels;
    image.pixels = std::move(pixels);
  }
  return upright(std::move(image), orientation);
}

}  // namespace noisette
