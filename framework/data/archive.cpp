#include "framework/data/archive.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "framework/core/check.h"

namespace noisette {
namespace {

constexpr std::size_t kBlock = 512;  // tar's unit

/// An octal field of a tar header: digits up to a space or NUL.
int64_t octal(std::span<const std::byte> field, const std::string& origin) {
  int64_t value = 0;
  bool digits = false, ended = false;
  for (std::byte b : field) {
    const char c = char(b);
    if (c == ' ' || c == '\0') {
      ended = digits;
      continue;
    }
    check_user(c >= '0' && c <= '7' && !ended, "[tar] {}: a number in a header is malformed",
               origin);
    value = value * 8 + (c - '0');
    digits = true;
  }
  return value;
}

std::string text(std::span<const std::byte> field) {
  const char* p = reinterpret_cast<const char*>(field.data());
  return std::string(p, strnlen(p, field.size()));
}

void check_tar_header(std::span<const std::byte> header, const std::string& origin) {
  int64_t sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i)
    sum += i >= 148 && i < 156 ? ' ' : std::to_integer<int>(header[i]);
  const int64_t stored = octal(header.subspan(148, 8), origin);
  check_user(sum == stored, "[tar] {}: a header's checksum is {}; expected {}", origin, stored,
             sum);
}

}  // namespace

bool is_gzip(std::span<const std::byte> file) {
  return file.size() >= 2 && file[0] == std::byte(0x1f) && file[1] == std::byte(0x8b);
}

std::vector<std::byte> gunzip(std::span<const std::byte> file, const std::string& origin,
                              int64_t max_bytes) {
  z_stream z{};
  constexpr int kGzipOnly = 16 + MAX_WBITS;
  if (inflateInit2(&z, kGzipOnly) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&z, inflateEnd);
  check_user(file.size() <= std::size_t(UINT32_MAX), "[gzip] {} is too long; got {} bytes", origin,
             file.size());
  z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(file.data()));
  z.avail_in = uInt(file.size());

  std::vector<std::byte> out, buffer(1 << 18);
  while (true) {
    z.next_out = reinterpret_cast<Bytef*>(buffer.data());
    z.avail_out = uInt(buffer.size());
    const int status = inflate(&z, Z_NO_FLUSH);
    const std::size_t got = buffer.size() - z.avail_out;
    check_user(int64_t(out.size() + got) <= max_bytes, "[gzip] {} expands to more than {} bytes",
               origin, max_bytes);
    out.insert(out.end(), buffer.begin(), buffer.begin() + std::ptrdiff_t(got));
    if (status == Z_STREAM_END) {
      if (z.avail_in == 0) return out;
      check_user(inflateReset(&z) == Z_OK, "[gzip] {} is damaged", origin);
    } else {
      check_user(status != Z_BUF_ERROR, "[gzip] {} ends too early", origin);
      check_user(status == Z_OK, "[gzip] {} is damaged: {}", origin,
                 z.msg ? z.msg : "unexpected data");
    }
  }
}

void for_each_tar_file(
    std::span<const std::byte> archive, const std::string& origin,
    const std::function<void(const std::string&, std::span<const std::byte>)>& f) {
  std::string long_name;  // of a GNU 'L' entry, for the entry after it
  while (archive.size() >= kBlock) {
    const std::span<const std::byte> header = archive.first(kBlock);
    archive = archive.subspan(kBlock);
    if (std::all_of(header.begin(), header.end(), [](std::byte b) { return b == std::byte(0); }))
      return;
    check_tar_header(header, origin);
    const auto size = std::size_t(octal(header.subspan(124, 12), origin));
    const std::size_t padded = (size + kBlock - 1) / kBlock * kBlock;
    check_user(padded <= archive.size(), "[tar] {} ends too early: a file of {} bytes with {} left",
               origin, size, archive.size());
    const std::span<const std::byte> content = archive.first(size);
    archive = archive.subspan(padded);

    const char type = char(header[156]);
    if (type == 'L') {
      long_name = text(content);
      continue;
    }
    const bool posix = text(header.subspan(257, 5)) == "ustar";
    const std::string prefix = posix ? text(header.subspan(345, 155)) : "";
    std::string name = (prefix.empty() ? "" : prefix + "/") + text(header.first(100));
    if (!long_name.empty()) name.swap(long_name);
    long_name.clear();
    if (type == '0' || type == '\0') f(name, content);
  }
  throw Error(fmt::format("[tar] {} ends without its end mark", origin));
}

IdxArray parse_idx(std::span<const std::byte> file, const std::string& origin) {
  check_user(file.size() >= 4, "[idx] {} is shorter than its header; got {} bytes", origin,
             file.size());
  const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(file[i]); };
  const std::size_t rank = byte(3);
  check_user(byte(0) == 0 && byte(1) == 0 && byte(2) == 8 && rank >= 1 && rank <= 4,
             "[idx] {} must hold unsigned bytes with 1 to 4 axes; got the magic number "
             "{:02x}{:02x}{:02x}{:02x}",
             origin, byte(0), byte(1), byte(2), byte(3));
  const std::size_t start = 4 + 4 * rank;
  check_user(file.size() >= start, "[idx] {} is shorter than its header; got {} bytes", origin,
             file.size());
  std::vector<int64_t> dims;
  int64_t total = 1;
  bool fits = true;
  for (std::size_t i = 4; i < start; i += 4) {
    dims.push_back(int64_t(byte(i) << 24 | byte(i + 1) << 16 | byte(i + 2) << 8 | byte(i + 3)));
    fits = fits && !__builtin_mul_overflow(total, dims.back(), &total);
  }
  check_user(fits && total == int64_t(file.size() - start),
             "[idx] {}: shape {} does not match {} bytes of data", origin, Shape(dims),
             file.size() - start);
  return {Shape(dims), file.subspan(start)};
}

}  // namespace noisette
