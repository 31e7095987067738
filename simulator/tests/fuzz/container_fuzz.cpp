// Any bytes as nvcc's container: either ContainerError, or at least one PTX text without padding.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "simulator/container/fatbin.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto images = sim::ptx_images(std::span(data, size));
    if (images.empty()) std::abort();
    for (const sim::PtxImage& image : images)
      if (image.text.find('\0') != std::string::npos) std::abort();
    const uint32_t picked = sim::pick(images, 80).arch;
    if (picked > 80) std::abort();
  } catch (const sim::ContainerError&) {
  }
  return 0;
}
