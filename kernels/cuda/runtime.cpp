#include "kernels/cuda/runtime.h"

#include <cuda_runtime.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/cuda/graph.h"
#include "kernels/cuda/stream.h"

namespace noisette::cuda {
namespace {

/// Everything that is reserved. Itself never destroyed: tensors outlive static objects.
struct Reserved {
  std::mutex mutex;
  std::set<void*> blocks;
};
Reserved& reserved() {
  static Reserved* all = [] {
    std::atexit([] {
      for (void* data : reserved().blocks) (void)cudaFree(data);
      reserved().blocks.clear();
    });
    return new Reserved;
  }();
  return *all;
}

std::atomic<bool> tf32_allowed = false;

std::string text_of(dim3 d) {
  return "(" + std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z) + ")";
}

}  // namespace

bool tf32() { return tf32_allowed; }
void allow_tf32(bool allowed) { tf32_allowed = allowed; }

bool waits_for_kernels() {
  static const bool on = [] {
    const char* value = std::getenv("NOISETTE_SYNC");
    return value != nullptr && std::string_view(value) == "1";
  }();
  return on;
}

int current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  return device;
}

void check(cudaError_t status, const char* name) {
  if (status == cudaSuccess) return;
  throw std::runtime_error("[" + std::string(name) + "] " + cudaGetErrorString(status));
}

void check_launch(const char* name, dim3 grid, dim3 block, std::size_t shared) {
  cudaError_t status = cudaGetLastError();
  if (status == cudaSuccess && waits_for_kernels()) status = cudaStreamSynchronize(stream());
  if (status == cudaSuccess) return;
  throw std::runtime_error("[" + std::string(name) + "] " + cudaGetErrorString(status) + "; grid " +
                           text_of(grid) + ", block " + text_of(block) + ", " +
                           std::to_string(shared) + " bytes of dynamic shared memory");
}

namespace {

/// The calling thread's device's stream of `streams`. Made once for every device and never given
/// back: tensors outlive static objects.
cudaStream_t one_of(std::vector<cudaStream_t>& streams) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const std::size_t device = std::size_t(current_device());
  if (streams.size() <= device) streams.resize(device + 1);
  cudaStream_t& s = streams[device];
  if (s == nullptr) check(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "stream");
  return s;
}

/// Copies from or to the host run when they are asked for; a recording has no such moment.
void refuse_recording(const char* what) {
  if (recording())
    throw std::runtime_error("[" + std::string(what) + "] cannot be recorded in a graph");
}

}  // namespace

cudaStream_t stream() {
  static auto* streams = new std::vector<cudaStream_t>;
  return one_of(*streams);
}
cudaStream_t copy_stream() {
  static auto* streams = new std::vector<cudaStream_t>;
  return one_of(*streams);
}

int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  (void)cudaGetLastError();  // no driver is an answer, not an error of the next call
  return 0;
}

DeviceInfo device_info(int device) {
  cudaDeviceProp p{};
  check(cudaGetDeviceProperties(&p, device), "device");
  return {p.name, p.major, p.minor, int64_t(p.totalGlobalMem), p.multiProcessorCount};
}

int use_device(int device) {
  const int before = current_device();
  if (device != before) check(cudaSetDevice(device), "device");
  return before;
}

void* reserve(std::size_t bytes) {
  Reserved& all = reserved();
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, bytes);
  if (status == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    return nullptr;
  }
  check(status, "memory");
  const std::lock_guard lock(all.mutex);
  all.blocks.insert(data);
  return data;
}

void release(void* data) {
  Reserved& all = reserved();
  const std::lock_guard lock(all.mutex);
  if (all.blocks.erase(data) > 0) check(cudaFree(data), "memory");
}

void copy_to_device(void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  refuse_recording("copy_to_device");
  // From pageable memory the runtime returns when it has taken the bytes.
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream()), "copy_to_device");
}

void copy_to_host(void* to, const void* from, std::size_t bytes) {
  refuse_recording("copy_to_host");
  if (bytes > 0)
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream()), "copy_to_host");
  synchronize();
}

void copy_on_device(void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream()), "copy_on_device");
}

void set_bytes(void* data, int value, std::size_t bytes) {
  if (bytes > 0) check(cudaMemsetAsync(data, value, bytes, stream()), "set_bytes");
}

void synchronize() {
  refuse_recording("synchronize");
  check(cudaStreamSynchronize(stream()), "synchronize");
}

}  // namespace noisette::cuda
