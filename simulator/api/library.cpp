// Libraries of device code that the program loads itself: PTX text or nvcc's container.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <unordered_set>

#include "simulator/api/api.h"
#include "simulator/api/registry.h"
#include "simulator/container/fatbin.h"
#include "simulator/device/model.h"

using namespace sim;

namespace {

std::unordered_set<const void*>& libraries() {
  static auto* const all = new std::unordered_set<const void*>;
  return *all;
}

Module& library_of(cudaLibrary_t handle) {
  check(libraries().contains(handle), cudaErrorInvalidResourceHandle);
  return *reinterpret_cast<Module*>(handle);
}

constexpr uint32_t kContainer = 0xba55ed50, kWrapper = 0x466243b1;

uint32_t first_word(const char* code) {
  uint32_t word = 0;
  std::memcpy(&word, code, strnlen(code, sizeof word));
  return word;
}

void load(cudaLibrary_t* out, const PtxImage& image) {
  Module* module = add_module(nullptr);
  module->ptx = image.text;
  try {
    program_of(*module, current_device());
  } catch (const ApiError&) {
    remove_module(module);
    throw;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sim: %s\n", error.what());
    remove_module(module);
    fail(cudaErrorInvalidPtx);
  }
  libraries().insert(module);
  *out = reinterpret_cast<cudaLibrary_t>(module);
}

/// `code` of a container's first bytes, or of text.
void load(cudaLibrary_t* out, const char* code) {
  const uint32_t word = first_word(code);
  if (std::memcmp(code,
                  "\x7f"
                  "ELF",
                  4) == 0) {
    std::fprintf(stderr, "sim: a library of machine code can't be run; load PTX\n");
    fail(cudaErrorNoKernelImageForDevice);
  }
  if (word != kContainer && word != kWrapper) return load(out, PtxImage{code, 0});
  try {
    load(out, pick(ptx_images(static_cast<const void*>(code)), uint32_t(device_model().arch())));
  } catch (const ContainerError& error) {
    std::fprintf(stderr, "sim: %s\n", error.what());
    fail(cudaErrorNoKernelImageForDevice);
  }
}

std::vector<std::string> names_of(Module& library) {
  return kernel_names(*program_of(library, current_device()));
}

cudaKernel_t kernel_handle(Module& library, const std::string& name) {
  return reinterpret_cast<cudaKernel_t>(&library_kernel(library, name));
}

void get_variable(void** pointer, size_t* bytes, cudaLibrary_t library, const char* name) {
  check(name && (pointer || bytes), cudaErrorInvalidValue);
  const VariableInfo* v = find_variable(*program_of(library_of(library), current_device()), name);
  check(v, cudaErrorSymbolNotFound);
  if (pointer) *pointer = reinterpret_cast<void*>(v->address);
  if (bytes) *bytes = v->bytes;
}

}  // namespace

SIM_API cudaError_t cudaLibraryLoadData(cudaLibrary_t* library, const void* code, cudaJitOption*,
                                        void**, unsigned, cudaLibraryOption*, void**, unsigned) {
  return api(__func__, [&](Lock&) {
    check(library && code, cudaErrorInvalidValue);
    load(library, static_cast<const char*>(code));
  });
}

SIM_API cudaError_t cudaLibraryLoadFromFile(cudaLibrary_t* library, const char* path,
                                            cudaJitOption*, void**, unsigned, cudaLibraryOption*,
                                            void**, unsigned) {
  return api(__func__, [&](Lock&) {
    check(library && path, cudaErrorInvalidValue);
    std::ifstream file(path, std::ios::binary);
    check(bool(file), cudaErrorFileNotFound);
    std::vector<char> bytes(std::istreambuf_iterator<char>(file), {});
    bytes.insert(bytes.end(), 16, 0);  // text ends, and a container's first words may be read
    load(library, bytes.data());
  });
}

SIM_API cudaError_t cudaLibraryUnload(cudaLibrary_t library) {
  return api(__func__, [&](Lock& lock) {
    Module& module = library_of(library);
    Executor::get().wait_all(lock, -1);
    libraries().erase(library);
    remove_module(&module);
  });
}

SIM_API cudaError_t cudaLibraryGetKernel(cudaKernel_t* kernel, cudaLibrary_t library,
                                         const char* name) {
  return api(__func__, [&](Lock&) {
    check(kernel && name, cudaErrorInvalidValue);
    Module& module = library_of(library);
    check(find_kernel(*program_of(module, current_device()), name), cudaErrorSymbolNotFound);
    *kernel = kernel_handle(module, name);
  });
}

SIM_API cudaError_t cudaLibraryGetKernelCount(unsigned* count, cudaLibrary_t library) {
  return api(__func__, [&](Lock&) {
    check(count, cudaErrorInvalidValue);
    *count = unsigned(names_of(library_of(library)).size());
  });
}

SIM_API cudaError_t cudaLibraryEnumerateKernels(cudaKernel_t* kernels, unsigned count,
                                                cudaLibrary_t library) {
  return api(__func__, [&](Lock&) {
    check(kernels && count > 0, cudaErrorInvalidValue);
    Module& module = library_of(library);
    const std::vector<std::string> names = names_of(module);
    for (size_t i = 0; i < std::min<size_t>(count, names.size()); i++)
      kernels[i] = kernel_handle(module, names[i]);
  });
}

SIM_API cudaError_t cudaLibraryGetGlobal(void** pointer, size_t* bytes, cudaLibrary_t library,
                                         const char* name) {
  return api(__func__, [&](Lock&) { get_variable(pointer, bytes, library, name); });
}

SIM_API cudaError_t cudaLibraryGetManaged(void** pointer, size_t* bytes, cudaLibrary_t library,
                                          const char* name) {
  return api(__func__, [&](Lock&) { get_variable(pointer, bytes, library, name); });
}

/// Only system-wide functions of the driver have one.
SIM_API cudaError_t cudaLibraryGetUnifiedFunction(void**, cudaLibrary_t library, const char*) {
  return api(__func__, [&](Lock&) {
    library_of(library);
    fail(cudaErrorSymbolNotFound);
  });
}
