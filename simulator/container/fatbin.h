// The container that nvcc embeds in a program and registers at its start: PTX and machine code of
// one translation unit. Only the PTX is of use here.
#pragma once
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace sim {

/// A damaged container, or one without PTX that this build can read.
struct ContainerError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct PtxImage {
  std::string text;
  uint32_t arch = 0;  // 80 for compute_80
};

/// The PTX of a container, in its order; never empty. `container` is the wrapper that
/// __cudaRegisterFatBinary gets, or the container itself, whose sizes are trusted.
std::vector<PtxImage> ptx_images(const void* container);

/// The same for a container of any bytes.
std::vector<PtxImage> ptx_images(std::span<const uint8_t> container);

/// The PTX of the greatest architecture that a device of `device_arch` (80 for sm_80) can run.
const PtxImage& pick(const std::vector<PtxImage>& images, uint32_t device_arch);

}  // namespace sim
