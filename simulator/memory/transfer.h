// Copies and sets as the API asks for them, between the host and the devices, with their checks.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace sim {

/// A box of bytes: `depth` slices of `height` rows of `width` bytes.
struct Box {
  size_t width = 0, height = 1, depth = 1;
  size_t bytes() const { return width * height * depth; }
};

/// Where a box lies: distances in bytes from a row to the next, and from a slice to the next.
struct Place {
  uint64_t address = 0;
  size_t pitch = 0, slice = 0;
  uint64_t row(size_t y, size_t z) const { return address + z * slice + y * pitch; }
};

struct Copy {
  Place dst, src;
  Box box;
  const char* call = "cudaMemcpy";  // for reports
  std::shared_ptr<std::vector<uint8_t>>
      held;  // what src points to, where the bytes were taken at once
};

struct Fill {
  Place dst;
  Box box;  // width in bytes
  uint32_t value = 0, element = 1;
  const char* call = "cudaMemset";
};

/// Throw Fault where a check fails; SIM_CHECKS=off leaves the checks out.
void run_copy(const Copy& copy);
void run_fill(const Fill& fill);

/// True where all of the box lies inside one live allocation, or outside of device memory.
bool within_allocation(const Place& place, const Box& box);

/// Throws the Fault of an access by `call` to device memory that is not wholly allocated.
[[noreturn]] void report_access(const char* call, bool writes, uint64_t address, size_t bytes);

}  // namespace sim
