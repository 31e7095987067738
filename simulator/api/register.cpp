// What the code that nvcc writes calls: registration at start-up, and the launch of <<<...>>>.
// The prototypes stand in the toolkit's crt/host_runtime.h and crt/device_functions.h.
#include <cstdio>

#include "simulator/api/api.h"
#include "simulator/api/launch.h"
#include "simulator/api/registry.h"
#include "simulator/stream/stream.h"

using namespace sim;

namespace {

/// What __cudaRegisterFatBinary is given: it points to the container.
struct Wrapper {
  uint32_t magic = 0, version = 0;  // 2: what nvlink made of several objects
  const void* container = nullptr;
  const void* parts = nullptr;  // of version 2: the containers of the objects
};
constexpr uint32_t kWrapperMagic = 0x466243b1;

struct CallConfiguration {
  dim3 grid, block;
  size_t shared;
  cudaStream_t stream;
};

/// Launches whose arguments launch too are within each other. Without a destructor: those of the
/// program's own objects may launch after the thread's have run.
struct CallStack {
  static constexpr int kMost = 64;
  CallConfiguration calls[kMost];
  int count;
};
thread_local CallStack call_stack;

Module* module_of(void** handle) { return reinterpret_cast<Module*>(handle); }

}  // namespace

SIM_API void** __cudaRegisterFatBinary(void* wrapper) {
  const auto* w = static_cast<const Wrapper*>(wrapper);
  if (w->magic != kWrapperMagic) {
    std::fprintf(stderr, "sim: a module is wrapped in an unknown way (magic 0x%x)\n", w->magic);
    return nullptr;
  }
  if (in_child()) return nullptr;
  Lock lock(state_mutex());
  Module* module = add_module(w->container);
  module->relocatable = w->version == 2;
  return reinterpret_cast<void**>(module);
}

SIM_API void __cudaRegisterFatBinaryEnd(void**) {}

SIM_API void __cudaUnregisterFatBinary(void** handle) {
  if (in_child()) return;
  Lock lock(state_mutex());
  // Work that is left may use the module's variables. At exit, those who call this come first.
  finish_work(lock);
  if (handle) remove_module(module_of(handle));
}

SIM_API void __cudaRegisterFunction(void** handle, const char* stub, char*, const char* name, int,
                                    uint3*, uint3*, dim3*, dim3*, int*) {
  if (!handle) return;
  Lock lock(state_mutex());
  add_kernel(module_of(handle), stub, name);
}

SIM_API void __cudaRegisterVar(void** handle, char* host, char*, const char* name, int, size_t size,
                               int, int) {
  if (!handle) return;
  Lock lock(state_mutex());
  add_variable(host, {module_of(handle), {}, name, size, nullptr});
}

SIM_API void __cudaRegisterManagedVar(void** handle, void** host, char*, const char* name, int,
                                      size_t size, int, int) {
  if (!handle) return;
  Lock lock(state_mutex());
  add_variable(host, {module_of(handle), {}, name, size, host});
}

/// Called before the host first touches a __managed__ variable.
SIM_API char __cudaInitModule(void** handle) {
  return api(__func__, [&](Lock&) {
           if (handle) place_managed(*module_of(handle));
         }) == cudaSuccess;
}

SIM_API unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared,
                                             CUstream_st* stream) {
  if (call_stack.count == CallStack::kMost) return 1;
  call_stack.calls[call_stack.count++] = {grid, block, shared, stream};
  return 0;
}

SIM_API cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared,
                                               void* stream) {
  if (call_stack.count == 0) return remember(cudaErrorMissingConfiguration);
  const CallConfiguration& c = call_stack.calls[--call_stack.count];
  *grid = c.grid;
  *block = c.block;
  *shared = c.shared;
  *static_cast<cudaStream_t*>(stream) = c.stream;
  return cudaSuccess;
}

SIM_API cudaError_t __cudaGetKernel(cudaKernel_t* handle, const void* stub) {
  return api(__func__,
             [&](Lock&) { *handle = reinterpret_cast<cudaKernel_t>(&find_kernel(stub)); });
}

SIM_API cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** args,
                                       size_t shared, cudaStream_t stream) {
  return cudaLaunchKernel(kernel, grid, block, args, shared, stream);
}

SIM_API cudaError_t __cudaLaunchKernel_ptsz(cudaKernel_t kernel, dim3 grid, dim3 block, void** args,
                                            size_t shared, cudaStream_t stream) {
  PerThreadDefault scope;
  return cudaLaunchKernel(kernel, grid, block, args, shared, stream);
}
