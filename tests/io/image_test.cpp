#include "framework/io/image.h"

#include <gtest/gtest.h>
#include <png.h>
#include <zlib.h>

#include <cmath>
#include <cstring>
#include <random>

#include "framework/io/resample.h"
#include "tests/io/files.h"
#include "tests/io/jpeg_writer.h"

namespace noisette {
namespace {
using test::error_of;
using test::Folder;

Image random_image(int64_t width, int64_t height, int64_t channels, unsigned seed = 3) {
  Image image(width, height, channels);
  std::mt19937 random(seed);
  for (uint8_t& v : image.pixels) v = uint8_t(random());
  return image;
}

std::string text_of(const std::vector<std::byte>& bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Image decode(const std::string& file, int64_t max_pixels = kMaxPixels) {
  return decode_image(test::bytes_of(file), "memory", max_pixels);
}

/// A PNG chunk with its length and checksum.
std::string chunk(const std::string& type, const std::string& data) {
  const auto big_endian = [](uint32_t v) {
    return std::string{char(v >> 24), char(v >> 16), char(v >> 8), char(v)};
  };
  const std::string body = type + data;
  const auto crc = crc32(0, reinterpret_cast<const Bytef*>(body.data()), uInt(body.size()));
  return big_endian(uint32_t(data.size())) + body + big_endian(uint32_t(crc));
}

/// A PNG made by hand: any header over any raw rows (each with its filter byte).
std::string raw_png(uint32_t width, uint32_t height, int depth, int type, const std::string& rows,
                    const std::string& extra = "") {
  std::string header(13, '\0');
  for (int i = 0; i < 4; ++i) {
    header[std::size_t(i)] = char(width >> (24 - 8 * i));
    header[std::size_t(4 + i)] = char(height >> (24 - 8 * i));
  }
  header[8] = char(depth);
  header[9] = char(type);
  uLongf size = compressBound(uLong(rows.size()));
  std::string packed(size, '\0');
  compress(reinterpret_cast<Bytef*>(packed.data()), &size,
           reinterpret_cast<const Bytef*>(rows.data()), uLong(rows.size()));
  packed.resize(size);
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + extra + chunk("IDAT", packed) +
         chunk("IEND", "");
}

TEST(Png, RoundTrip) {
  for (int64_t channels : {1, 3, 4}) {
    const Image image = random_image(13, 7, channels);
    EXPECT_EQ(decode(text_of(encode_png(image))), image) << channels;
  }
}

TEST(Png, CarriesText) {
  const Folder folder;
  const std::map<std::string, std::string> text{
      {"seed", "17"}, {"prompt", "caf\xc3\xa9"}, {"none", ""}};
  write_png(folder / "a.png", random_image(3, 3, 3), text);
  EXPECT_EQ(read_png_text(test::bytes_of(test::get(folder / "a.png")), "a.png"), text);
  EXPECT_EQ(read_image(folder / "a.png"), random_image(3, 3, 3));
  EXPECT_EQ(folder.entries(), 1);
}

TEST(Png, EveryColourTypeBecomesEightBits) {
  using S = std::string;
  const Image grey1 = decode(raw_png(4, 1, 1, PNG_COLOR_TYPE_GRAY, S("\0\xa0", 2)));
  EXPECT_EQ(grey1.channels, 1);
  EXPECT_EQ(grey1.pixels, (std::vector<uint8_t>{255, 0, 255, 0}));
  const Image grey16 = decode(raw_png(1, 1, 16, PNG_COLOR_TYPE_GRAY, S("\0\x80\xff", 3)));
  EXPECT_EQ(grey16.pixels, (std::vector<uint8_t>{128}));  // rounded, not cut
  const Image grey_alpha = decode(raw_png(1, 1, 8, PNG_COLOR_TYPE_GRAY_ALPHA, S("\0\x10\x20", 3)));
  EXPECT_EQ(grey_alpha.pixels, (std::vector<uint8_t>{16, 16, 16, 32}));
  const S palette = chunk("PLTE", S("\1\2\3\4\5\6", 6));
  const Image paletted = decode(raw_png(2, 1, 8, PNG_COLOR_TYPE_PALETTE, S("\0\1\0", 3), palette));
  EXPECT_EQ(paletted.pixels, (std::vector<uint8_t>{4, 5, 6, 1, 2, 3}));
  const S transparent = palette + chunk("tRNS", S("\x7f", 1));
  const Image clear = decode(raw_png(2, 1, 8, PNG_COLOR_TYPE_PALETTE, S("\0\1\0", 3), transparent));
  EXPECT_EQ(clear.pixels, (std::vector<uint8_t>{4, 5, 6, 255, 1, 2, 3, 127}));
}

TEST(Png, LyingAboutItsSizeIsFoundBeforeMemoryIsTaken) {
  const std::string row("\0\1\2\3", 4);
  const auto lie = [&](uint32_t w, uint32_t h) {
    return error_of([&] { decode(raw_png(w, h, 8, PNG_COLOR_TYPE_RGB, row)); });
  };
  EXPECT_CONTAINS(lie(16000, 16000), "claims 16000 x 16000 pixels");
  EXPECT_CONTAINS(lie(100000, 100000), "too large; got 100000 x 100000 pixels");
  EXPECT_CONTAINS(lie(0x7fffffff, 0x7fffffff), "too large");
  EXPECT_CONTAINS(lie(0xffffffff, 1), "damaged PNG");
  EXPECT_CONTAINS(lie(0, 1), "damaged PNG");
  EXPECT_CONTAINS(lie(1, 2), "damaged PNG");  // a row that is not there
  EXPECT_CONTAINS(error_of([&] { decode(text_of(encode_png(random_image(9, 9, 1))), 80); }),
                  "got 9 x 9 pixels, at most 80");
}

TEST(Png, DamageIsAnError) {
  const std::string whole = text_of(encode_png(random_image(20, 20, 3)));
  for (std::size_t n = 0; n < whole.size(); n += 7)
    EXPECT_THROW(decode(whole.substr(0, n)), Error) << n;
  std::string flipped = whole;
  flipped[whole.size() / 2] ^= 4;
  EXPECT_CONTAINS(error_of([&] { decode(flipped); }), "memory: damaged PNG");
  EXPECT_CONTAINS(error_of([&] { decode("GIF89a"); }), "neither a PNG nor a JPEG");
  EXPECT_CONTAINS(error_of([&] { decode(""); }), "empty");
}

double mean_difference(const Image& a, const Image& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i)
    sum += std::abs(int(a.pixels[i]) - int(b.pixels[i]));
  return sum / double(a.pixels.size());
}

Image gradient(int64_t width, int64_t height, int64_t channels) {
  Image image(width, height, channels);
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < channels; ++c)
        image.row(y)[x * channels + c] = uint8_t(4 * x + 3 * y + 30 * c);
  return image;
}

TEST(Jpeg, DecodesGreyRgbAndCmyk) {
  for (int64_t channels : {1, 3}) {
    const Image image = gradient(24, 16, channels);
    const Image decoded = decode(test::encode_jpeg(image));
    ASSERT_EQ(decoded.channels, channels);
    EXPECT_LT(mean_difference(decoded, image), 2);  // quality 95
  }
  const Image inks = gradient(24, 16, 4);
  const Image rgb = decode(test::encode_jpeg(inks));  // stored inverted, as Adobe does
  ASSERT_EQ(rgb.channels, 3);
  EXPECT_NEAR(rgb.pixels[3 * 5], inks.pixels[4 * 5] * inks.pixels[4 * 5 + 3] / 255, 6);
}

TEST(Jpeg, DamageIsAnError) {
  const std::string whole = test::encode_jpeg(gradient(64, 64, 3));
  for (std::size_t n = 0; n + 2 < whole.size(); n += 13)
    EXPECT_THROW(decode(whole.substr(0, n)), Error) << n << " of " << whole.size();
  EXPECT_CONTAINS(error_of([&] { decode(whole, 1000); }), "got 64 x 64 pixels, at most 1000");
}

TEST(Jpeg, ExifOrientationIsApplied) {
  const Image image = gradient(24, 16, 1);
  const Image plain = decode(test::encode_jpeg(image));
  const auto at = [](const Image& i, int64_t x, int64_t y) { return i.row(y)[x]; };
  const int64_t w = 23, h = 15;  // last column and row
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const Image turned = decode(test::encode_jpeg(image, orientation));
    EXPECT_EQ(turned.width, orientation < 5 ? 24 : 16);
    // Where the first pixel of the first row of the upright image is stored (TIFF 6.0, tag 274).
    const int64_t x =
        orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8 ? w : 0;
    const int64_t y =
        orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7 ? h : 0;
    EXPECT_EQ(at(turned, 0, 0), at(plain, x, y)) << orientation;
    const int64_t right_x = orientation < 5 ? (x ? x - 3 : 3) : x;
    const int64_t right_y = orientation < 5 ? y : (y ? y - 3 : 3);
    EXPECT_EQ(at(turned, 3, 0), at(plain, right_x, right_y)) << orientation;
  }
}

TEST(Resample, KeepsConstantsAndSizes) {
  for (int64_t size : {1, 5, 17, 64}) {
    const Image out = resize(Image(17, 9, 3, 77), size, size);
    EXPECT_EQ(out, Image(size, size, 3, 77));
  }
  const Image same = random_image(8, 8, 3);
  EXPECT_EQ(resize_and_crop(same, 8, 8), same);
  EXPECT_EQ(resize(same, 8, 8), same);
}

TEST(Resample, ReductionAveragesWhatItCovers) {
  Image checker(64, 64, 1);
  for (int64_t y = 0; y < 64; ++y)
    for (int64_t x = 0; x < 64; ++x) checker.row(y)[x] = (x + y) % 2 ? 255 : 0;
  const Image out = resize(checker, 8, 8);
  for (uint8_t v : out.pixels) EXPECT_NEAR(v, 128, 2);  // without a widened filter: 0 or 255
}

TEST(Resample, ReproducesALine) {  // Keys' kernel is exact for quadratics in the inside
  Image ramp(16, 1, 1);
  for (int64_t x = 0; x < 16; ++x) ramp.pixels[std::size_t(x)] = uint8_t(10 * x);
  const Image out = resize(ramp, 32, 1);
  for (int64_t x = 6; x < 26; ++x)
    EXPECT_NEAR(out.pixels[std::size_t(x)], 10 * ((double(x) + 0.5) / 2 - 0.5), 0.51);
}

TEST(Resample, CropIsCentred) {
  Image wide(30, 10, 1, 0);
  for (int64_t y = 0; y < 10; ++y) std::fill_n(wide.row(y) + 10, 10, uint8_t(200));
  EXPECT_EQ(resize_and_crop(wide, 10, 10).pixels[55], 200);
  const Image small = resize_and_crop(wide, 5, 5);
  EXPECT_EQ(small.pixels[12], 200);
}

TEST(Resample, CompositeAndChannels) {
  Image image(3, 1, 4);
  image.pixels = {10, 20, 30, 255, 10, 20, 30, 0, 100, 100, 100, 128};
  const Image out = composite(image, {255, 0, 0});
  EXPECT_EQ(out.pixels, (std::vector<uint8_t>{10, 20, 30, 255, 0, 0, 177, 50, 50}));
  EXPECT_EQ(to_channels(Image(1, 1, 1, 9), 3), Image(1, 1, 3, 9));
  EXPECT_EQ(to_channels(Image(1, 1, 3, 9), 1), Image(1, 1, 1, 9));
  EXPECT_THROW(to_channels(image, 3), Error);
}

TEST(Grid, PlacesImages) {
  const std::vector<Image> images{Image(2, 2, 1, 10), Image(2, 2, 1, 20), Image(2, 2, 1, 30)};
  const Image grid = make_grid(images, 2, 1, 0);
  EXPECT_EQ(grid.width, 7);
  EXPECT_EQ(grid.height, 7);
  EXPECT_EQ(grid.row(1)[1], 10);
  EXPECT_EQ(grid.row(2)[5], 20);
  EXPECT_EQ(grid.row(4)[2], 30);
  EXPECT_EQ(grid.row(4)[4], 0);
  EXPECT_EQ(grid.row(3)[3], 0);
  EXPECT_THROW(make_grid(std::vector<Image>{Image(2, 2, 1), Image(2, 3, 1)}, 2), Error);
}

}  // namespace
}  // namespace noisette
