#include "framework/report/tensorboard.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <map>
#include <vector>

#include "framework/core/check.h"
#include "framework/report/png_info.h"
#include "tests/report/temp_folder.h"

namespace noisette {
namespace {

using test::png_head;
using test::read_file;
using test::TempFolder;

// A second reading of the formats, from their specifications: frames, then protobuf fields by
// number.
uint64_t little_endian(std::string_view s) {
  uint64_t v = 0;
  for (std::size_t i = 0; i < s.size(); ++i) v |= uint64_t(uint8_t(s[i])) << (8 * i);
  return v;
}

std::vector<std::string> frames(std::string_view file) {
  std::vector<std::string> records;
  while (!file.empty()) {
    const auto length = std::size_t(little_endian(file.substr(0, 8)));
    EXPECT_EQ(little_endian(file.substr(8, 4)), masked_crc32c(file.substr(0, 8)));
    const std::string_view data = file.substr(12, length);
    EXPECT_EQ(little_endian(file.substr(12 + length, 4)), masked_crc32c(data));
    records.emplace_back(data);
    file.remove_prefix(16 + length);
  }
  return records;
}

struct Field {
  uint64_t number = 0;  // varint or fixed bits
  std::string bytes;
};

uint64_t take_varint(std::string_view& s) {
  uint64_t v = 0;
  for (int shift = 0;; shift += 7) {
    const auto b = uint8_t(s.at(0));
    s.remove_prefix(1);
    v |= uint64_t(b & 0x7f) << shift;
    if (b < 0x80) return v;
  }
}

std::map<int, Field> fields(std::string_view s) {
  std::map<int, Field> found;
  while (!s.empty()) {
    const uint64_t key = take_varint(s);
    Field f;
    std::size_t length = 0;
    switch (key & 7) {
      case 0:
        f.number = take_varint(s);
        break;
      case 1:
        length = 8;
        break;
      case 2:
        length = std::size_t(take_varint(s));
        break;
      case 5:
        length = 4;
        break;
      default:
        ADD_FAILURE() << "wire type " << (key & 7);
    }
    f.bytes = s.substr(0, length);
    if ((key & 7) == 1 || (key & 7) == 5) f.number = little_endian(f.bytes);
    s.remove_prefix(length);
    found[int(key >> 3)] = f;
  }
  return found;
}

TEST(Crc32c, KnownAnswers) {  // RFC 3720, appendix B.4, and the usual check value
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c(""), 0u);
}

TEST(Crc32c, MaskRotatesAndAdds) {
  EXPECT_EQ(masked_crc32c("123456789"), ((0xe3069283u >> 15) | (0xe3069283u << 17)) + 0xa282ead8u);
}

TEST(EventWriter, ScalarsReadBack) {
  const TempFolder folder;
  EventWriter writer(folder.path(), 0);
  writer.scalar("train/loss", 300, 0.0453);
  writer.flush();

  const auto records = frames(read_file(writer.path()));
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(fields(records[0])[3].bytes, "brain.Event:2");
  auto event = fields(records[1]);
  EXPECT_GT(std::bit_cast<double>(event[1].number), 1.6e9);  // wall time, seconds since 1970
  EXPECT_EQ(event[2].number, 300u);
  auto value = fields(fields(event[5].bytes)[1].bytes);
  EXPECT_EQ(value[1].bytes, "train/loss");
  EXPECT_EQ(std::bit_cast<float>(uint32_t(value[2].number)), 0.0453f);
}

TEST(EventWriter, ImagesReadBack) {
  const TempFolder folder;
  EventWriter writer(folder.path(), 0);
  const std::string png = png_head(28, 14, 2);
  writer.image("samples", 1, png);
  writer.flush();

  const auto records = frames(read_file(writer.path()));
  ASSERT_EQ(records.size(), 2u);
  auto value = fields(fields(fields(records[1])[5].bytes)[1].bytes);
  EXPECT_EQ(value[1].bytes, "samples");
  auto image = fields(value[4].bytes);
  EXPECT_EQ(image[1].number, 14u);
  EXPECT_EQ(image[2].number, 28u);
  EXPECT_EQ(image[3].number, 3u);
  EXPECT_EQ(image[4].bytes, png);
  EXPECT_THROW(writer.image("samples", 2, "GIF89a"), Error);
}

TEST(EventWriter, AResumedRunOpensASession) {
  const TempFolder folder;
  EventWriter first(folder.path(), 0), second(folder.path(), 120);
  EXPECT_NE(first.path(), second.path());
  const auto records = frames(read_file(second.path()));
  ASSERT_EQ(records.size(), 2u);
  auto event = fields(records[1]);
  EXPECT_EQ(event[2].number, 121u);
  EXPECT_EQ(fields(event[7].bytes)[1].number, 1u);  // SessionLog.START
}

TEST(PngInfo, ReadsSizeAndChannels) {
  const int channels[] = {1, 0, 3, 3, 2, 0, 4};
  for (char colour : {0, 2, 3, 4, 6}) {
    const PngInfo info = png_info(png_head(200, 7, colour));
    EXPECT_EQ(info.width, 200);
    EXPECT_EQ(info.height, 7);
    EXPECT_EQ(info.channels, channels[int(colour)]);
  }
  EXPECT_THROW(png_info(png_head(1, 1, 5)), Error);
  EXPECT_THROW(png_info(png_head(1, 1, 2).substr(0, 20)), Error);
}

}  // namespace
}  // namespace noisette
