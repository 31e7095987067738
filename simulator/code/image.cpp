#include "simulator/code/image.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "simulator/code/decoder.h"
#include "simulator/report/fault.h"

namespace sim {
namespace {

/// Functions that the code of `f` names, by call or by address.
std::vector<const ptx::Function*> named_in(const ptx::Function& f, const Symbols& symbols) {
  std::vector<const ptx::Function*> found;
  const auto look = [&](const auto& self, const ptx::Operand& o) -> void {
    if (o.kind == ptx::Operand::Kind::symbol)
      if (const auto it = symbols.functions.find(o.name); it != symbols.functions.end())
        found.push_back(it->second);
    for (const ptx::Operand& part : o.parts) self(self, part);
  };
  for (const auto& inst : f.code)
    for (const auto& o : inst.operands) look(look, o);
  return found;
}

/// Functions whose address a variable holds: tables of virtual functions.
std::vector<const ptx::Function*> named_in_variables(const ptx::Module& module,
                                                     const Symbols& symbols) {
  std::vector<const ptx::Function*> found;
  for (const auto& v : module.variables)
    for (const auto& r : v.relocations)
      if (const auto it = symbols.functions.find(r.symbol); it != symbols.functions.end())
        found.push_back(it->second);
  return found;
}

bool calls_indirectly(const ptx::Function& f) {
  return std::any_of(f.code.begin(), f.code.end(), [](const ptx::Instruction& i) {
    return i.opcode == "call" && !i.operands.empty() &&
           std::any_of(i.operands.begin(), i.operands.end(),
                       [](const ptx::Operand& o) { return o.kind == ptx::Operand::Kind::reg; });
  });
}

void lay_out_params(Image& image, const ptx::Function& kernel) {
  for (const ptx::Variable& p : kernel.params) {
    const uint64_t align = std::max<uint32_t>(p.align, 1);
    image.param_bytes = (image.param_bytes + align - 1) / align * align;
    image.param_offsets.push_back(image.param_bytes);
    image.param_sizes.push_back(p.bytes);
    image.param_bytes += p.bytes;
  }
}

/// Everything that `kernel` may call, and its shared variables, are known before anything is
/// decoded.
std::vector<const ptx::Function*> reachable(const ptx::Module& module, const Symbols& symbols,
                                            const ptx::Function& kernel) {
  std::vector<const ptx::Function*> all = {&kernel};
  bool tables = false;
  const auto add = [&](const std::vector<const ptx::Function*>& more) {
    for (const auto* f : more)
      if (!f->external && std::find(all.begin(), all.end(), f) == all.end()) all.push_back(f);
  };
  for (size_t k = 0; k < all.size(); ++k) {
    add(named_in(*all[k], symbols));
    if (calls_indirectly(*all[k]) && !std::exchange(tables, true))
      add(named_in_variables(module, symbols));
  }
  return all;
}

/// Bytes of one lane's access, the least that it can be.
uint32_t bytes_of(const ptx::Instruction& inst) {
  if (inst.opcode == "ldmatrix" || inst.opcode == "stmatrix") return 16;
  if (inst.opcode == "mbarrier") return 8;
  if (inst.opcode == "cp") {  // cp.async TO, FROM, BYTES
    const bool known = !inst.has("bulk") && inst.operands.size() > 2 &&
                       inst.operands[2].kind == ptx::Operand::Kind::integer;
    return known ? uint32_t(std::clamp<uint64_t>(inst.operands[2].value, 4, 16)) : 16;
  }
  uint32_t bytes = 16;
  for (const std::string& m : inst.modifiers)
    if (const auto t = ptx::type_named(m); t && ptx::size_of(*t) > 0)
      bytes = std::min(bytes, uint32_t(ptx::size_of(*t)));
  if (inst.opcode == "wmma") return bytes;  // element by element, in some layouts
  for (const uint32_t count : {2u, 4u, 8u})
    if (inst.has("v" + std::to_string(count))) bytes *= count;
  return bytes;
}

/// The smallest access to what may be shared memory.
uint32_t shared_unit(const ptx::Function& f) {
  uint32_t unit = 16;
  for (const auto& inst : f.code) {
    static const std::set<std::string_view> kAccesses = {
        "ld", "st", "atom", "red", "cp", "ldmatrix", "stmatrix", "mbarrier", "wmma"};
    if (!kAccesses.contains(inst.opcode)) continue;
    const bool elsewhere = inst.opcode != "cp" && (inst.has("global") || inst.has("param") ||
                                                   inst.has("const") || inst.has("local"));
    if (!elsewhere) unit = std::min(unit, bytes_of(inst));
  }
  return unit;
}

void add_names(const std::vector<ptx::Operand>& operands, std::set<std::string_view>& names) {
  for (const ptx::Operand& o : operands) {
    if (!o.name.empty()) names.insert(o.name);
    add_names(o.parts, names);
  }
}

/// All that the instructions of functions name.
std::set<std::string_view> names_in(const std::vector<const ptx::Function*>& functions) {
  std::set<std::string_view> names;
  for (const auto* f : functions)
    for (const auto& inst : f->code) add_names(inst.operands, names);
  return names;
}

constexpr uint64_t kMostShared = uint64_t(1) << 31;  // a launch compares it with what a card has

uint64_t align_up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

}  // namespace

std::unique_ptr<Image> make_image(const ptx::Module& module, const Symbols& symbols,
                                  const ptx::Function& kernel,
                                  const std::vector<std::string>& dynamic) {
  if (std::any_of(kernel.cluster.begin(), kernel.cluster.end(), [](uint32_t n) { return n > 1; }))
    throw Unsupported(".reqnctapercluster of " + readable_name(kernel.name) + " at line " +
                      std::to_string(kernel.line) +
                      " of the PTX: clusters of more than one block are not simulated");
  auto image = std::make_unique<Image>();
  image->module = &module;
  image->name = kernel.name;
  lay_out_params(*image, kernel);
  const auto functions = reachable(module, symbols, kernel);
  Symbols here = symbols;
  // A module's shared variables take room in the kernels that name them alone.
  const std::set<std::string_view> used = names_in(functions);
  for (const ptx::Variable& v : module.variables) {
    if (v.space != ptx::Space::shared || v.bytes == 0 || !used.contains(v.name)) continue;
    image->static_shared = align_up(image->static_shared, std::max<uint32_t>(v.align, 1));
    here.places[v.name] = {v.space, image->static_shared, v.bytes};
    image->static_shared += v.bytes;
  }
  for (const auto* f : functions)
    for (const auto& v : f->locals) {
      if (v.space != ptx::Space::shared) continue;
      image->static_shared = align_up(image->static_shared, std::max<uint32_t>(v.align, 1));
      here.shared_of[f][v.name] = {v.space, image->static_shared, v.bytes};
      image->static_shared += v.bytes;
      if (image->static_shared > kMostShared)
        throw Unsupported(kernel.name + " at line " + std::to_string(kernel.line) +
                          " of the PTX: its shared variables take more than " +
                          std::to_string(kMostShared) + " bytes");
    }
  for (const std::string& name : dynamic)
    here.places[name] = {ptx::Space::shared, align_up(image->static_shared, 16), 0};
  for (const auto* f : functions) {
    auto& code = image->codes[f];  // a call may have made it, empty
    if (!code) code = std::make_unique<Code>();
    Decoder(*f, here, *image).run(*code);
    image->shared_unit = std::min(image->shared_unit, shared_unit(*f));
    if (const auto it = symbols.function_address.find(f->name);
        it != symbols.function_address.end())
      image->by_address[it->second] = code.get();
  }
  if (!dynamic.empty()) image->static_shared = align_up(image->static_shared, 16);
  image->entry = image->codes.at(&kernel).get();
  return image;
}

}  // namespace sim
