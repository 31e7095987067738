// What the program's start-up code registered: modules with their kernels and variables.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "simulator/run/launch.h"

namespace sim {

struct Module {
  const void* container = nullptr;
  std::string ptx;  // of a library that the program loaded itself; it has no container
  std::map<int, std::shared_ptr<Program>> programs;  // by device; loaded at first use
  bool relocatable = false;                          // linked by nvlink
};

struct Kernel {
  Module* module = nullptr;
  std::vector<Module*> others;     // that registered the same stub
  const void* function = nullptr;  // the host's stub
  std::string name;
  std::map<int, int> dynamic_shared;  // by device: what cudaFuncSetAttribute allowed
  int carveout = -1;
};

struct Variable {
  Module* module = nullptr;
  std::vector<Module*> others = {};  // that registered the same host variable
  std::string name;
  uint64_t bytes = 0;
  void** managed = nullptr;  // where the host keeps the address of a __managed__ variable
};

Module* add_module(const void* container);
void remove_module(Module* module);
/// Variables of all modules on a device have their initial values again; attributes are forgotten.
void reset_modules(int device);
void add_kernel(Module* module, const void* function, const char* name);
void add_variable(const void* host, Variable variable);

/// The kernel's program on a device. cudaErrorNoKernelImageForDevice without PTX in the module.
std::shared_ptr<Program> program_of(Module& module, int device);
/// By the host's stub or by handle. cudaErrorInvalidDeviceFunction for anything else.
Kernel& find_kernel(const void* function);
struct LoadedKernel {
  Kernel& kernel;
  std::shared_ptr<Program> program;
  const KernelInfo& info;
};
LoadedKernel load_kernel(const void* function, int device);
/// A kernel of a library, by the name that its program has; made once.
Kernel& library_kernel(Module& library, const std::string& name);
/// cudaErrorInvalidSymbol for an address that is no variable's.
VariableInfo load_variable(const void* symbol, int device);
/// The address of the bytes of a variable that a copy asks for. cudaErrorInvalidValue past its end.
uint64_t part_of_symbol(const void* symbol, size_t bytes, size_t offset, int device);
/// Writes the addresses of a module's __managed__ variables to where the host looks for them.
void place_managed(Module& module);

}  // namespace sim
