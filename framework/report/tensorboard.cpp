#include "framework/report/tensorboard.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>

#include "framework/core/check.h"
#include "framework/report/png_info.h"

namespace noisette {
namespace {

namespace fs = std::filesystem;

constexpr std::array<uint32_t, 256> kCrcTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t n = 0; n < 256; ++n) {
    uint32_t c = n;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1) ? (c >> 1) ^ 0x82f63b78u : c >> 1;
    table[n] = c;
  }
  return table;
}();

std::string little_endian(uint64_t v, int bytes) {
  std::string s;
  for (int i = 0; i < bytes; ++i) s += char(v >> (8 * i));
  return s;
}

// The protobuf wire format: a key (field number and wire type), then a varint, fixed bits or length
// and bytes.
enum WireType { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::string varint(uint64_t v) {
  std::string s;
  for (; v >= 0x80; v >>= 7) s += char(v | 0x80);
  return s + char(v);
}

std::string key(int field, WireType type) { return varint(uint64_t(field) << 3 | type); }
std::string put_int(int field, uint64_t v) { return key(field, kVarint) + varint(v); }
std::string put_float(int field, float v) {
  return key(field, kFixed32) + little_endian(std::bit_cast<uint32_t>(v), 4);
}
std::string put_double(int field, double v) {
  return key(field, kFixed64) + little_endian(std::bit_cast<uint64_t>(v), 8);
}
std::string put_bytes(int field, std::string_view v) {
  return key(field, kBytes) + varint(v.size()) + std::string(v);
}

double now() {
  using namespace std::chrono;
  return duration<double>(system_clock::now().time_since_epoch()).count();
}

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name[0] ? std::string(name.data()) : "localhost";
}

// Field numbers of tensorflow/core/util/event.proto and framework/summary.proto.
constexpr int kEventWallTime = 1, kEventStep = 2, kEventFileVersion = 3, kEventSummary = 5,
              kEventSessionLog = 7, kSessionStatus = 1, kSessionStart = 1, kSummaryValue = 1,
              kValueTag = 1, kValueSimple = 2, kValueImage = 4, kImageHeight = 1, kImageWidth = 2,
              kImageColours = 3, kImageBytes = 4;

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t c = ~0u;
  for (char b : bytes) c = kCrcTable[(c ^ uint8_t(b)) & 0xff] ^ (c >> 8);
  return ~c;
}

uint32_t masked_crc32c(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

EventWriter::EventWriter(const fs::path& folder, int64_t update) {
  fs::create_directories(folder);
  path_ = folder /
          fmt::format("events.out.tfevents.{:010}.{}.{}", int64_t(now()), host_name(), getpid());
  // A second writer in the same second and process must not overwrite the first one's file.
  for (int n = 1; fs::exists(path_); ++n)
    path_.replace_extension(fmt::format(".{}-{}", getpid(), n));
  out_.open(path_, std::ios::binary | std::ios::trunc);
  check_user(out_.good(), "[tensorboard] cannot write {}", path_.string());
  event(0, put_bytes(kEventFileVersion, "brain.Event:2"));
  if (update > 0)
    event(update + 1, put_bytes(kEventSessionLog, put_int(kSessionStatus, kSessionStart)));
  flush();
}

void EventWriter::scalar(std::string_view tag, int64_t update, double value) {
  const std::string v = put_bytes(kValueTag, tag) + put_float(kValueSimple, float(value));
  event(update, put_bytes(kEventSummary, put_bytes(kSummaryValue, v)));
}

void EventWriter::image(std::string_view tag, int64_t update, std::string_view png) {
  const PngInfo info = png_info(png);
  const std::string image =
      put_int(kImageHeight, uint64_t(info.height)) + put_int(kImageWidth, uint64_t(info.width)) +
      put_int(kImageColours, uint64_t(info.channels)) + put_bytes(kImageBytes, png);
  const std::string v = put_bytes(kValueTag, tag) + put_bytes(kValueImage, image);
  event(update, put_bytes(kEventSummary, put_bytes(kSummaryValue, v)));
}

void EventWriter::flush() {
  out_.flush();
  check_user(out_.good(), "[tensorboard] cannot write {}; is the disk full?", path_.string());
}

void EventWriter::event(int64_t update, std::string_view payload) {
  const std::string data = put_double(kEventWallTime, now()) +
                           put_int(kEventStep, uint64_t(update)) + std::string(payload);
  const std::string length = little_endian(data.size(), 8);
  out_ << length << little_endian(masked_crc32c(length), 4) << data
       << little_endian(masked_crc32c(data), 4);
}

}  // namespace noisette
