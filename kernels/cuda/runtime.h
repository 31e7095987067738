// The CUDA runtime as the rest of the program sees it: devices, memory, copies. Plain C++ without
// the toolkit's headers. Errors are std::runtime_error with the call and the runtime's own text.
//
// Every thread has a current device and works in that device's compute stream: kernels and copies
// of a thread run in the order in which they were asked for, and none waits for the host unless it
// says so.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace noisette::cuda {

/// How many devices there are; 0 without a driver.
int device_count();

struct DeviceInfo {
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int64_t memory = 0;        // bytes
  int processors = 0;        // streaming multiprocessors
};
DeviceInfo device_info(int device);

/// Makes a device the calling thread's own, and returns the one that was.
int use_device(int device);

/// Memory of the current device, straight from the runtime; null where there is not enough. What is
/// still reserved when the program ends is released then.
void* reserve(std::size_t bytes);
void release(void* data);

/// There is no room for what a launcher takes beside its tensors (scratch.h).
class OutOfMemory : public std::runtime_error {
 public:
  OutOfMemory(std::size_t bytes, int device);
  std::size_t bytes;
};
/// Who gives back what it keeps of a device's memory and nobody uses, before scratch runs out.
void use_reserve(void (*give_back)(int device));

/// In the stream's order. Host memory may be changed when copy_to_device returns, and is filled in
/// when copy_to_host returns: that one waits for all work before it.
void copy_to_device(void* to, const void* from, std::size_t bytes);
void copy_to_host(void* to, const void* from, std::size_t bytes);
void copy_on_device(void* to, const void* from, std::size_t bytes);
/// Sets every byte.
void set_bytes(void* data, int value, std::size_t bytes);

/// Whether products and convolutions of f32 may round their factors to the 10 bits of tf32, which
/// tensor cores take. Off unless asked for.
bool tf32();
void allow_tf32(bool allowed);

/// Waits for all work of the current device's stream.
void synchronize();

}  // namespace noisette::cuda
