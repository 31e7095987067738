#include "simulator/tests/fake_engine.h"

#include <gtest/gtest.h>

#include <sstream>

#include "simulator/container/fatbin.h"
#include "simulator/memory/memory.h"

extern "C" {
void** __cudaRegisterFatBinary(void*);
void __cudaUnregisterFatBinary(void**);
void __cudaRegisterFunction(void**, const char*, char*, const char*, int, uint3*, uint3*, dim3*,
                            dim3*, int*);
void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int);
void __cudaRegisterManagedVar(void**, void**, char*, const char*, int, size_t, int, int);
}

namespace sim {

class Program {
 public:
  std::map<std::string, KernelInfo, std::less<>> kernels;
  std::map<std::string, VariableInfo, std::less<>> variables;
  ~Program() {
    for (auto& [name, v] : variables) release(v.address);
  }
};

namespace {

KernelInfo read_kernel(std::istringstream& words) {
  KernelInfo info;
  info.arch = 80;
  words >> info.name >> info.static_shared >> info.registers >> info.max_threads;
  for (uint64_t bytes; words >> bytes;) {
    info.param_bytes = (info.param_bytes + bytes - 1) / bytes * bytes;
    info.param_offsets.push_back(info.param_bytes);
    info.param_sizes.push_back(bytes);
    info.param_bytes += bytes;
  }
  return info;
}

}  // namespace

std::shared_ptr<Program> load_program(std::string_view text, int device, const DeviceModel&) {
  auto program = std::make_shared<Program>();
  std::istringstream lines{std::string(text)};
  for (std::string line, word; std::getline(lines, line);) {
    std::istringstream words(line);
    if (!(words >> word)) continue;
    if (word == "kernel") {
      KernelInfo info = read_kernel(words);
      program->kernels[info.name] = info;
    } else {
      std::string name;
      uint64_t bytes = 0;
      words >> name >> bytes;
      const bool managed = word == "managed";
      const auto kind = managed ? MemoryKind::managed : MemoryKind::variable;
      program->variables[name] = {*allocate(bytes, device, kind, name, ~uint64_t(0), true), bytes};
    }
  }
  return program;
}

const KernelInfo* find_kernel(const Program& program, std::string_view name) {
  auto it = program.kernels.find(name);
  return it == program.kernels.end() ? nullptr : &it->second;
}

Resources resources_of(const Program&, const KernelInfo& kernel, int) {
  return {kernel.registers, kernel.local_bytes, true};
}
std::optional<Resources> known_resources(const Program&, const KernelInfo&) { return std::nullopt; }

void reset_variables(const Program& program) {
  for (const auto& [name, v] : program.variables) std::memset(raw(v.address), 0, v.bytes);
}

std::vector<std::string> kernel_names(const Program& program) {
  std::vector<std::string> names;
  for (const auto& [name, info] : program.kernels) names.push_back(name);
  return names;
}

const VariableInfo* find_variable(const Program& program, std::string_view name) {
  auto it = program.variables.find(name);
  return it == program.variables.end() ? nullptr : &it->second;
}

double run_kernel(const Launch& launch, const DeviceModel&) {
  if (auto it = fake::bodies().find(launch.kernel); it != fake::bodies().end()) it->second(launch);
  return 3000;
}

std::vector<PtxImage> ptx_images(const void* container) {
  return {{static_cast<const char*>(container), 80}};
}
const PtxImage& pick(const std::vector<PtxImage>& images, uint32_t) { return images.front(); }

}  // namespace sim

namespace fake {

/// A fork of a process that has called the API can't call it, so a test that ends its process
/// starts a new one.
class NewProcesses : public testing::Environment {
 public:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};
static const auto* const new_processes = testing::AddGlobalTestEnvironment(new NewProcesses);

std::map<std::string, Body>& bodies() {
  static std::map<std::string, Body> all;
  return all;
}

Module::Module(std::string text) : text_(std::move(text)) {
  wrapper_.container = text_.c_str();
  handle = __cudaRegisterFatBinary(&wrapper_);
}

Module::~Module() { __cudaUnregisterFatBinary(handle); }

void Module::kernel(const void* stub, const char* name) {
  __cudaRegisterFunction(handle, static_cast<const char*>(stub), nullptr, name, -1, nullptr,
                         nullptr, nullptr, nullptr, nullptr);
}

void Module::variable(void* host, const char* name, size_t bytes) {
  __cudaRegisterVar(handle, static_cast<char*>(host), nullptr, name, 0, bytes, 0, 0);
}

void Module::managed(void** host, const char* name, size_t bytes) {
  __cudaRegisterManagedVar(handle, host, nullptr, name, 0, bytes, 0, 0);
}

// Each does something else, so that the linker cannot fold them into one address.
static int called = 0;
void Fixture::add() { called = 1; }
void Fixture::set() { called = 2; }
void Fixture::nothing() { called = 3; }
void Fixture::unknown() { called = 4; }
int Fixture::number = 0;
int* Fixture::managed = nullptr;

namespace {

void write(uint64_t address, int value) {
  *sim::raw<int>(address) = value;
  std::memset(sim::shadow(address), sim::kReady, sizeof value);
}

template <class F>
void stub(Module& module, F* function, const char* name) {
  module.kernel(reinterpret_cast<const void*>(function), name);
}

}  // namespace

Fixture::Fixture()
    : module(
          "kernel add 0 32 1024 8 4\n"
          "kernel set 1024 32 256 8 4\n"
          "kernel nothing 0 255 1024\n"
          "variable number 4\nmanaged shared_number 4\n") {
  stub(module, &add, "add");
  stub(module, &set, "set");
  stub(module, &nothing, "nothing");
  stub(module, &unknown, "unknown");
  module.variable(&number, "number", sizeof number);
  module.managed(reinterpret_cast<void**>(&managed), "shared_number", sizeof(int));
  bodies()["add"] = [](const sim::Launch& l) {
    const auto p = param<uint64_t>(l, 0);
    write(p, *sim::raw<int>(p) + param<int>(l, 8));
  };
  bodies()["set"] = [](const sim::Launch& l) { write(param<uint64_t>(l, 0), param<int>(l, 8)); };
}

Fixture::~Fixture() {
  cudaDeviceSynchronize();
  cudaGetLastError();
  bodies().clear();
  managed = nullptr;
}

cudaError_t Fixture::launch(void (*function)(), int* p, int n, cudaStream_t stream) {
  void* args[] = {&p, &n};
  return cudaLaunchKernel(reinterpret_cast<const void*>(function), 1, 32, args, 0, stream);
}

}  // namespace fake
