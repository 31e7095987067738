#include "simulator/api/registry.h"

#include <cstdio>
#include <unordered_map>
#include <vector>

#include "simulator/container/fatbin.h"
#include "simulator/device/model.h"
#include "simulator/report/api_error.h"

namespace sim {
namespace {

struct Registry {
  std::vector<std::unique_ptr<Module>> modules;
  std::unordered_map<const void*, std::unique_ptr<Kernel>> kernels;  // by host stub
  std::unordered_map<const void*, Kernel*> handles;                  // by what __cudaGetKernel gave
  std::unordered_map<const void*, Variable> variables;               // by host address
};

Registry& registry() {
  static auto* const r = new Registry;
  return *r;
}

}  // namespace

Module* add_module(const void* container) {
  auto module = std::make_unique<Module>();
  module->container = container;
  registry().modules.push_back(std::move(module));
  return registry().modules.back().get();
}

void remove_module(Module* module) {
  Registry& r = registry();
  std::erase_if(r.handles, [&](const auto& h) { return h.second->module == module; });
  std::erase_if(r.kernels, [&](const auto& k) { return k.second->module == module; });
  std::erase_if(r.variables, [&](const auto& v) { return v.second.module == module; });
  std::erase_if(r.modules, [&](const auto& m) { return m.get() == module; });
}

/// A template's stub may be registered by several modules; each has its code, so the first will do.
void add_kernel(Module* module, const void* function, const char* name) {
  auto [it, added] = registry().kernels.try_emplace(function);
  if (!added) return;
  it->second = std::make_unique<Kernel>();
  it->second->module = module;
  it->second->function = function;
  it->second->name = name;
  registry().handles[it->second.get()] = it->second.get();
}

void add_variable(const void* host, Variable variable) {
  registry().variables.try_emplace(host, std::move(variable));
}

std::shared_ptr<Program> program_of(Module& module, int device) {
  std::shared_ptr<Program>& program = module.programs[device];
  if (program) return program;
  if (!module.ptx.empty()) return program = load_program(module.ptx, device, device_model());
  try {
    const std::vector<PtxImage> images = ptx_images(module.container);
    const PtxImage& image = pick(images, uint32_t(device_model().arch()));
    program = load_program(image.text, device, device_model());
    module.arch = image.arch;
  } catch (const ContainerError& error) {
    std::fprintf(stderr, "sim: %s\n",
                 module.relocatable
                     ? "the device code is relocatable (-rdc=true), which only nvlink "
                       "can put together; compile it without -rdc"
                     : error.what());
    fail(cudaErrorNoKernelImageForDevice);
  }
  return program;
}

Kernel& find_kernel(const void* function) {
  Registry& r = registry();
  if (auto it = r.kernels.find(function); it != r.kernels.end()) return *it->second;
  auto it = r.handles.find(function);
  check(it != r.handles.end(), cudaErrorInvalidDeviceFunction);
  return *it->second;
}

Kernel& library_kernel(Module& library, const std::string& name) {
  Registry& r = registry();
  for (const auto& [key, kernel] : r.kernels)
    if (kernel->module == &library && kernel->name == name) return *kernel;
  auto kernel = std::make_unique<Kernel>();
  Kernel& made = *kernel;
  made.module = &library;
  made.function = &made;
  made.name = name;
  r.kernels[&made] = std::move(kernel);
  return made;
}

LoadedKernel load_kernel(const void* function, int device) {
  Kernel& kernel = find_kernel(function);
  std::shared_ptr<Program> program = program_of(*kernel.module, device);
  const KernelInfo* info = find_kernel(*program, kernel.name);
  check(info, cudaErrorInvalidDeviceFunction);
  return {kernel, std::move(program), *info};
}

VariableInfo load_variable(const void* symbol, int device) {
  auto it = registry().variables.find(symbol);
  check(it != registry().variables.end(), cudaErrorInvalidSymbol);
  const Variable& v = it->second;
  const VariableInfo* info = find_variable(*program_of(*v.module, device), v.name);
  check(info, cudaErrorInvalidSymbol);
  return *info;
}

void place_managed(Module& module) {
  for (auto& [host, v] : registry().variables) {
    if (v.module != &module || !v.managed || *v.managed) continue;
    const VariableInfo* info = find_variable(*program_of(module, 0), v.name);
    check(info, cudaErrorInvalidSymbol);
    *v.managed = reinterpret_cast<void*>(info->address);
  }
}

}  // namespace sim
