// PNG through libpng. Its errors arrive by longjmp: the functions that call setjmp own nothing that
// needs a destructor, everything lives in the struct that the caller owns.
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdlib>
#include <cstring>

#include "framework/core/check.h"
#include "framework/io/image_codecs.h"

namespace noisette {
namespace {

struct Png {
  png_structp png = nullptr;
  png_infop info = nullptr;
  bool writing = false;
  char message[160] = "";
  const std::byte* next = nullptr;
  std::size_t left = 0;
  std::size_t largest = 0;  // what libpng may allocate at once while reading
  std::vector<std::byte> out;

  ~Png() {
    if (writing)
      png_destroy_write_struct(&png, &info);
    else
      png_destroy_read_struct(&png, &info, nullptr);
  }
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto& self = *static_cast<Png*>(png_get_error_ptr(png));
  std::snprintf(self.message, sizeof self.message, "%s", message);
  png_longjmp(png, 1);
}
void on_warning(png_structp, png_const_charp) {}

void read_bytes(png_structp png, png_bytep out, std::size_t size) {
  auto& self = *static_cast<Png*>(png_get_io_ptr(png));
  if (size > self.left) png_error(png, "the file ends too early");
  std::memcpy(out, self.next, size);
  self.next += size;
  self.left -= size;
}

void write_bytes(png_structp png, png_bytep data, std::size_t size) {
  auto& self = *static_cast<Png*>(png_get_io_ptr(png));
  bool full = false;
  try {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    self.out.insert(self.out.end(), bytes, bytes + size);
  } catch (...) {
    full = true;  // no exception may cross libpng's frames
  }
  if (full) png_error(png, "out of memory");
}
void flush(png_structp) {}

constexpr std::size_t kChunkBytes = 16 << 20;

/// libpng takes the memory for a chunk as its length field asks, before it looks whether the bytes
/// are there.
png_voidp allocate(png_structp png, png_alloc_size_t size) {
  const auto& self = *static_cast<Png*>(png_get_mem_ptr(png));
  return size <= self.largest ? std::malloc(size) : nullptr;
}
void release(png_structp, png_voidp memory) { std::free(memory); }

void open_reader(Png& self, std::span<const std::byte> file) {
  self.next = file.data();
  self.left = file.size();
  self.largest = std::max(kChunkBytes, file.size());
  self.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &self, on_error, on_warning, &self,
                                      allocate, release);
  if (self.png) self.info = png_create_info_struct(self.png);
  if (!self.info) throw std::bad_alloc();
  png_set_read_fn(self.png, &self, read_bytes);
  png_set_user_limits(self.png, 0x7fffffff, 0x7fffffff);  // ours come after the header
  png_set_chunk_malloc_max(self.png, kChunkBytes);
  png_set_crc_action(self.png, PNG_CRC_ERROR_QUIT, PNG_CRC_WARN_DISCARD);
}

bool read_header(Png& self) {
  if (setjmp(png_jmpbuf(self.png))) return false;
  png_read_info(self.png, self.info);
  return true;
}

/// Everything becomes 8-bit grey, RGB or RGBA.
bool choose_transforms(Png& self) {
  if (setjmp(png_jmpbuf(self.png))) return false;
  const int type = png_get_color_type(self.png, self.info);
  const bool alpha =
      (type & PNG_COLOR_MASK_ALPHA) || png_get_valid(self.png, self.info, PNG_INFO_tRNS);
  png_set_scale_16(self.png);
  png_set_expand(self.png);
  if (alpha && !(type & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(self.png);
  png_set_interlace_handling(self.png);
  png_read_update_info(self.png, self.info);
  return true;
}

bool read_pixels(Png& self, png_bytepp rows) {
  if (setjmp(png_jmpbuf(self.png))) return false;
  png_read_image(self.png, rows);
  png_read_end(self.png, self.info);
  return true;
}

bool write_all(Png& self, const Image& image, png_textp text, int texts) {
  if (setjmp(png_jmpbuf(self.png))) return false;
  const int type = image.channels == 1   ? PNG_COLOR_TYPE_GRAY
                   : image.channels == 3 ? PNG_COLOR_TYPE_RGB
                                         : PNG_COLOR_TYPE_RGB_ALPHA;
  png_set_IHDR(self.png, self.info, png_uint_32(image.width), png_uint_32(image.height), 8, type,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_text(self.png, self.info, text, texts);
  png_write_info(self.png, self.info);
  for (int64_t y = 0; y < image.height; ++y) png_write_row(self.png, image.row(y));
  png_write_end(self.png, self.info);
  return true;
}

void must(bool ok, const Png& self, const std::string& origin) {
  check_user(ok, "[image] {}: damaged PNG: {}", origin, self.message);
}

/// A deflate stream expands by at most 1032: a file that claims more pixels than that cannot hold
/// them.
void check_claim(const Png& self, std::size_t row_bytes, int64_t height, std::size_t file_bytes,
                 const std::string& origin) {
  const uint64_t claimed = uint64_t(row_bytes) * uint64_t(height);
  check_user(
      claimed / 1032 <= file_bytes,
      "[image] {}: damaged PNG: its header claims {} x {} pixels, more than {} bytes can hold",
      origin, png_get_image_width(self.png, self.info), height, file_bytes);
}

}  // namespace

Image decode_png(std::span<const std::byte> file, const std::string& origin, int64_t max_pixels) {
  Png self;
  open_reader(self, file);
  must(read_header(self), self, origin);
  const int64_t width = png_get_image_width(self.png, self.info);
  const int64_t height = png_get_image_height(self.png, self.info);
  check_image_size(width, height, max_pixels, origin);
  check_claim(self, png_get_rowbytes(self.png, self.info), height, file.size(), origin);
  self.largest += std::size_t(width) * 16;  // a row of the widest kind, and slack
  must(choose_transforms(self), self, origin);

  Image image(width, height, png_get_channels(self.png, self.info));
  if (png_get_rowbytes(self.png, self.info) != std::size_t(width * image.channels))
    throw std::logic_error("png: a row has an unexpected size");
  std::vector<png_bytep> rows(static_cast<std::size_t>(height));
  for (int64_t y = 0; y < height; ++y) rows[std::size_t(y)] = image.row(y);
  must(read_pixels(self, rows.data()), self, origin);
  return image;
}

std::vector<std::byte> encode_png(const Image& image,
                                  const std::map<std::string, std::string>& text) {
  check(image.width > 0 && image.height > 0 && image.width <= 0x7fffffff &&
            image.height <= 0x7fffffff,
        "[image] cannot write a PNG of {} x {} pixels", image.width, image.height);
  check(image.channels == 1 || image.channels == 3 || image.channels == 4,
        "[image] a PNG has 1, 3 or 4 channels; got {}", image.channels);
  std::vector<png_text> entries;
  for (const auto& [key, value] : text) {
    check(!key.empty() && key.size() < 80 && key.find('\0') == key.npos,
          "[image] a PNG text key has 1 to 79 characters; got '{}'", key);
    const bool ascii = std::all_of(value.begin(), value.end(), [](char c) { return !(c & 0x80); });
    png_text entry{};
    entry.compression = ascii ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
    entry.key = const_cast<char*>(key.c_str());
    entry.text = const_cast<char*>(value.c_str());
    (ascii ? entry.text_length : entry.itxt_length) = value.size();
    entries.push_back(entry);
  }

  Png self;
  self.writing = true;
  self.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &self, on_error, on_warning);
  if (self.png) self.info = png_create_info_struct(self.png);
  if (!self.info) throw std::bad_alloc();
  png_set_write_fn(self.png, &self, write_bytes, flush);
  const bool ok = write_all(self, image, entries.data(), int(entries.size()));
  check(ok, "[image] cannot make a PNG of {} x {} pixels: {}", image.width, image.height,
        self.message);
  return std::move(self.out);
}

std::map<std::string, std::string> read_png_text(std::span<const std::byte> file,
                                                 const std::string& origin) {
  Png self;
  open_reader(self, file);
  must(read_header(self), self, origin);
  png_textp entries = nullptr;
  const int count = png_get_text(self.png, self.info, &entries, nullptr);
  std::map<std::string, std::string> text;
  for (int i = 0; i < count; ++i) text[entries[i].key] = entries[i].text;
  return text;
}

}  // namespace noisette
