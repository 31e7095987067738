// Any bytes as what the importers read: gzip, tar, idx and captions.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "framework/core/check.h"
#include "framework/data/archive.h"
#include "framework/data/utf8.h"

namespace {

using namespace noisette;

void read_all(std::span<const std::byte> bytes) {
  try {
    const IdxArray array = parse_idx(bytes, "fuzz");
    if (array.shape.numel() != int64_t(array.bytes.size())) std::abort();
  } catch (const Error&) {
  }
  try {
    std::size_t total = 0;
    for_each_tar_file(bytes, "fuzz", [&](const std::string& name, auto content) {
      total += content.size() + name.size() % 2;
    });
    if (total > 2 * bytes.size()) std::abort();
  } catch (const Error&) {
  }
  is_utf8({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  read_all(bytes);
  try {
    read_all(gunzip(bytes, "fuzz", 1 << 20));
  } catch (const Error&) {
  }
  return 0;
}
