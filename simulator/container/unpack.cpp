#include "simulator/container/unpack.h"

#include <limits>

#include "simulator/container/fatbin.h"
#ifdef SIM_HAVE_ZSTD
#include <zstd.h>
#endif
#ifdef SIM_HAVE_LZ4
#include <lz4.h>
#endif

namespace sim {
namespace {

// The most that a byte can stand for: a damaged size must not allocate what memory there is.
[[maybe_unused]] constexpr uint64_t kZstdRatio = 1 << 15, kLz4Ratio = 255;

[[maybe_unused]] std::string room_for(std::span<const uint8_t> packed, uint64_t bytes,
                                      uint64_t ratio) {
  if (bytes > packed.size() * ratio || bytes > uint64_t(std::numeric_limits<int>::max()))
    throw ContainerError("[fatbin] compressed PTX is damaged: " + std::to_string(packed.size()) +
                         " bytes cannot hold " + std::to_string(bytes));
  return std::string(bytes, '\0');
}

[[maybe_unused]] void check_unpacked(bool whole, const char* method) {
  if (!whole)
    throw ContainerError(std::string("[fatbin] PTX compressed with ") + method + " is damaged");
}

[[maybe_unused, noreturn]] void fail_missing(const char* method) {
  throw ContainerError(std::string("[fatbin] the PTX is compressed with ") + method +
                       ", which this build of the simulator cannot read; compile with "
                       "-no-compress");
}

}  // namespace

std::string unpack_zstd([[maybe_unused]] std::span<const uint8_t> packed,
                        [[maybe_unused]] uint64_t bytes) {
#ifdef SIM_HAVE_ZSTD
  std::string text = room_for(packed, bytes, kZstdRatio);
  const size_t made = ZSTD_decompress(text.data(), text.size(), packed.data(), packed.size());
  check_unpacked(made == bytes, "zstd");  // an error code is greater than any size
  return text;
#else
  fail_missing("zstd");
#endif
}

std::string unpack_lz4([[maybe_unused]] std::span<const uint8_t> packed,
                       [[maybe_unused]] uint64_t bytes) {
#ifdef SIM_HAVE_LZ4
  std::string text = room_for(packed, bytes, kLz4Ratio);
  const int made = LZ4_decompress_safe(reinterpret_cast<const char*>(packed.data()), text.data(),
                                       int(packed.size()), int(text.size()));
  check_unpacked(made >= 0 && uint64_t(made) == bytes, "LZ4");
  return text;
#else
  fail_missing("LZ4");
#endif
}

}  // namespace sim
