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

namespace {

/// What other modules have too goes on with one of these; false: with none.
template <class T>
bool leave(T& registered, Module* module) {
  std::erase(registered.others, module);
  if (registered.module != module) return true;
  if (registered.others.empty()) return false;
  registered.module = registered.others.front();
  registered.others.erase(registered.others.begin());
  return true;
}

}  // namespace

void remove_module(Module* module) {
  Registry& r = registry();
  std::erase_if(r.kernels, [&](const auto& k) {
    if (leave(*k.second, module)) return false;
    r.handles.erase(k.second.get());
    return true;
  });
  for (auto it = r.variables.begin(); it != r.variables.end();)
    it = leave(it->second, module) ? std::next(it) : r.variables.erase(it);
  std::erase_if(r.modules, [&](const auto& m) { return m.get() == module; });
}

void reset_modules(int device) {
  for (const auto& module : registry().modules)
    if (const auto it = module->programs.find(device); it != module->programs.end() && it->second)
      reset_variables(*it->second);
  for (const auto& [stub, kernel] : registry().kernels) kernel->dynamic_shared.erase(device);
}

/// A template's stub may be registered by several modules: each has its code, so the first will do
/// until it goes.
void add_kernel(Module* module, const void* function, const char* name) {
  auto [it, added] = registry().kernels.try_emplace(function);
  if (!added) return it->second->others.push_back(module);
  it->second = std::make_unique<Kernel>();
  it->second->module = module;
  it->second->function = function;
  it->second->name = name;
  registry().handles[it->second.get()] = it->second.get();
}

void add_variable(const void* host, Variable variable) {
  Module* const module = variable.module;
  const auto [it, added] = registry().variables.try_emplace(host, std::move(variable));
  if (!added) it->second.others.push_back(module);
}

std::shared_ptr<Program> program_of(Module& module, int device) {
  std::shared_ptr<Program>& program = module.programs[device];
  if (program) return program;
  if (!module.ptx.empty()) return program = load_program(module.ptx, device, device_model());
  try {
    const std::vector<PtxImage> images = ptx_images(module.container);
    const PtxImage& image = pick(images, uint32_t(device_model().arch()));
    program = load_program(image.text, device, device_model());
  } catch (const ContainerError& error) {
    std::fprintf(stderr, "sim: %s\n",
                 module.relocatable
                     ? "the device code is relocatable (-rdc=true), which only nvlink "
                       "can put together: compile it without -rdc; kernels that launch "
                       "kernels, which need it, are not simulated"
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
