// A module loaded on a device: its variables in memory, and its kernels decoded when they are first
// asked for.
#include <algorithm>
#include <cstring>
#include <functional>
#include <mutex>
#include <set>

#include "simulator/device/model.h"
#include "simulator/memory/memory.h"
#include "simulator/profile/ptxas.h"
#include "simulator/run/program.h"

namespace sim {
namespace {

using ptx::Space;

/// Puts a variable's initial value and the addresses in it into memory.
void initialise(const ptx::Variable& v, uint64_t address, const Symbols& symbols) {
  std::memset(raw(address), 0, v.bytes);
  if (!v.init.empty())
    std::memcpy(raw(address), v.init.data(), std::min<size_t>(v.init.size(), v.bytes));
  for (const ptx::Relocation& r : v.relocations) {
    uint64_t value = 0;
    if (const auto it = symbols.places.find(r.symbol); it != symbols.places.end())
      value = it->second.address;
    else if (const auto f = symbols.function_address.find(r.symbol);
             f != symbols.function_address.end())
      value = f->second;
    else
      throw std::runtime_error("the initial value of " + v.name + " names " + r.symbol +
                               ", which the module does not have");
    value += uint64_t(r.addend);
    std::memcpy(raw(address + r.at), &value, size_t(r.size));
  }
}

/// Of __constant__ variables that the kernel and what it calls name.
uint64_t constant_bytes(const Image& image, const Symbols& symbols) {
  std::set<std::string> named;
  const auto look = [&](const auto& self, const ptx::Operand& o) -> void {
    if (!o.name.empty()) named.insert(o.name);
    for (const ptx::Operand& part : o.parts) self(self, part);
  };
  for (const auto& [function, code] : image.codes)
    for (const ptx::Instruction& inst : function->code)
      for (const ptx::Operand& o : inst.operands) look(look, o);
  uint64_t bytes = 0;
  for (const auto& [name, place] : symbols.places)
    if (place.space == Space::constant && named.contains(name)) bytes += place.bytes;
  return bytes;
}

/// Rows of 32 bits that live at once, and some for addresses and constants, which the card's code
/// has in registers too: within a third of what ptxas says, mostly.
uint32_t estimated_registers(const Image& image) {
  constexpr uint32_t kBeside = 6, kMost = 255;
  uint32_t rows = 0;
  for (const auto& [function, code] : image.codes)
    rows = std::max(rows, (code->register_bytes - kSinkBytes) / kRow);
  return std::min(rows + kBeside, kMost);
}

/// What lets a block of so many threads fit, as every card has 65536 for one.
uint32_t registers_for(uint32_t threads) {
  return std::max(65536 / std::max(threads, 1u) / 8 * 8, 16u);
}

}  // namespace

Program::Program(std::string_view text, int device)
    : text(text),
      hash(std::hash<std::string>{}(this->text)),
      module(ptx::parse(text)),
      device(device) {
  open_memory();
  uint64_t shared = 0;
  for (const ptx::Variable& v : module.variables) {
    if (v.space == Space::shared) {
      const uint64_t align = std::max<uint32_t>(v.align, 1);
      // an array without a size is the dynamic part: it begins where the static one ends
      if (v.bytes == 0) continue;
      shared = (shared + align - 1) / align * align;
      symbols.places[v.name] = {Space::shared, shared, v.bytes};
      shared += v.bytes;
    } else {
      const auto at = allocate(std::max<uint64_t>(v.bytes, 1), device,
                               v.managed ? MemoryKind::managed : MemoryKind::variable, v.name,
                               ~uint64_t(0), true);
      if (!at) throw std::runtime_error("no memory is left for the variable " + v.name);
      symbols.places[v.name] = {v.space, *at, v.bytes};
      variables[v.name] = {*at, v.bytes};
    }
  }
  for (const ptx::Function& f : module.functions) {
    if (!f.external || !symbols.functions.contains(f.name)) symbols.functions[f.name] = &f;
    symbols.function_address.emplace(f.name,
                                     kCodeBase + symbols.function_address.size() * kCodeStep);
  }
  for (const ptx::Variable& v : module.variables)
    if (v.space == Space::shared && v.bytes == 0) dynamic.push_back(v.name);
  reset();
}

void Program::reset() const {
  for (const ptx::Variable& v : module.variables)
    if (v.space != Space::shared) initialise(v, symbols.places.at(v.name).address, symbols);
}

/// Launches that have not run hold the program.
Program::~Program() {
  for (const auto& [name, v] : variables) release(v.address);
}

const Kernel* Program::kernel(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  if (const auto it = kernels_.find(std::string(name)); it != kernels_.end())
    return it->second.get();
  const auto found = symbols.functions.find(std::string(name));
  if (found == symbols.functions.end() || !found->second->entry) return nullptr;
  auto made = std::make_unique<Kernel>();
  made->image = make_image(module, symbols, *found->second, dynamic);
  KernelInfo& info = made->info;
  info.name = name;
  info.static_shared = made->image->static_shared;
  info.param_bytes = made->image->param_bytes;
  info.param_offsets = made->image->param_offsets;
  info.param_sizes = made->image->param_sizes;
  info.arch = module.target;
  for (const auto& [f, code] : made->image->codes)
    info.local_bytes = std::max<uint64_t>(info.local_bytes, code->local_bytes);
  info.const_bytes = constant_bytes(*made->image, symbols);
  info.registers = estimated_registers(*made->image);
  for (const auto& t : {found->second->max_threads, found->second->required_threads})
    if (!t.empty()) {
      uint32_t threads = 1;
      for (const uint32_t n : t) threads *= n;
      info.max_threads = std::min(info.max_threads, threads);
      info.registers = std::min(info.registers, registers_for(threads));
    }
  return (kernels_[std::string(name)] = std::move(made)).get();
}

std::shared_ptr<Program> load_program(std::string_view text, int device, const DeviceModel&) {
  return std::make_shared<Program>(text, device);
}

const KernelInfo* find_kernel(const Program& program, std::string_view name) {
  const Kernel* k = program.kernel(name);
  return k ? &k->info : nullptr;
}

void reset_variables(const Program& program) { program.reset(); }

Resources resources_of(const Program& program, const KernelInfo& kernel, int arch) {
  const Assembled& told = assembled(program.text, program.hash, kernel.name, arch);
  if (!told.figures) return {kernel.registers, kernel.local_bytes, false};
  return {told.figures->registers, told.figures->stack, true};
}

std::optional<Resources> known_resources(const Program& program, const KernelInfo& kernel) {
  const Assembled* told = assembled_before(program.hash, kernel.name);
  if (!told || !told->figures) return std::nullopt;
  return Resources{told->figures->registers, told->figures->stack, true};
}

std::vector<std::string> kernel_names(const Program& program) {
  std::vector<std::string> names;
  for (const ptx::Function& f : program.module.functions)
    if (f.entry && !f.external) names.push_back(f.name);
  return names;
}

const VariableInfo* find_variable(const Program& program, std::string_view name) {
  const auto it = program.variables.find(std::string(name));
  return it == program.variables.end() ? nullptr : &it->second;
}

}  // namespace sim
