// The two ways in which nvcc compresses PTX. Both throw ContainerError for damaged bytes, and where
// the simulator was built without the library: SIM_HAVE_ZSTD, SIM_HAVE_LZ4.
#pragma once
#include <cstdint>
#include <span>
#include <string>

namespace sim {

/// One zstd frame that holds `bytes` of text.
std::string unpack_zstd(std::span<const uint8_t> packed, uint64_t bytes);

/// One LZ4 block, without a frame, that holds `bytes` of text.
std::string unpack_lz4(std::span<const uint8_t> packed, uint64_t bytes);

}  // namespace sim
