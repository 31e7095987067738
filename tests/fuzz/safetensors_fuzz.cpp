// Any bytes as a safetensors file and as a shard index: an Error, or entries that tile the data.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "framework/core/check.h"
#include "framework/io/safetensors.h"
#include "framework/io/safetensors_header.h"

namespace {

using namespace noisette;

void check_entries(const SafetensorsFile& file, std::size_t size) {
  std::size_t total = 0;
  for (const SafetensorsEntry& e : file.entries()) {
    total += e.bytes.size();
    if (file.find(e.name) != &e) std::abort();
    count_non_finite(e);
    const auto type = e.element_type();
    if (type && e.shape.numel() * int64_t(size_of(*type)) != int64_t(e.bytes.size())) std::abort();
  }
  if (total + 8 > size) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto bytes = std::as_bytes(std::span(data, size));
    check_entries(SafetensorsFile::parse(bytes, "fuzz"), size);
  } catch (const Error&) {
  }
  try {
    safetensors::parse_index({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const Error&) {
  }
  return 0;
}
