// Any bytes as PTX: either ParseError, or a module whose indices and names all lead somewhere.
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>

#include "simulator/ptx/module.h"

namespace {

using namespace sim::ptx;

void check(bool holds) {
  if (!holds) std::abort();
}

using Names = std::set<std::string>;

void check_operand(const Function& function, const Names& module, const Names& local,
                   const Operand& operand) {
  const auto known = [&] { return local.contains(operand.name) || module.contains(operand.name); };
  using Kind = Operand::Kind;
  if (operand.kind == Kind::reg || (operand.kind == Kind::address && operand.base_is_reg))
    check(operand.value < function.registers.size());
  if (operand.kind == Kind::label) check(operand.value < function.code.size());
  if (operand.kind == Kind::symbol) check(known());
  if (operand.kind == Kind::address && !operand.name.empty()) check(known());
  for (const Operand& part : operand.parts) check_operand(function, module, local, part);
}

void check_function(const Function& function, const Names& module, size_t calls) {
  Names local;
  for (const auto* variables : {&function.results, &function.params})
    for (const Variable& variable : *variables) local.insert(variable.name);
  for (const Variable& variable : function.locals) check(local.insert(variable.name).second);
  for (const BranchTargets& table : function.targets) {
    check(local.insert(table.name).second);
    for (const uint32_t target : table.code) check(target < function.code.size());
  }
  for (const Prototype& prototype : function.prototypes) check(local.insert(prototype.name).second);
  for (const Instruction& instruction : function.code) {
    check(instruction.guard < int(function.registers.size()));
    check(instruction.where.call <= calls);
    for (const Operand& operand : instruction.operands)
      check_operand(function, module, local, operand);
  }
  check(function.external == function.code.empty());
}

void check_module(const Module& module) {
  Names names;
  for (const Function& function : module.functions) check(names.insert(function.name).second);
  for (size_t k = 0; k < module.calls.size(); ++k)
    check(module.calls[k].at.call <= k && module.calls[k].other <= k);
  for (const Variable& variable : module.variables) {
    check(names.insert(variable.name).second);
    check(variable.init.empty() || variable.init.size() == variable.bytes);
  }
  for (const Variable& variable : module.variables)
    for (const Relocation& relocation : variable.relocations) {
      check(names.contains(relocation.symbol));
      check(relocation.size >= 1 && relocation.size <= 8);
      check(relocation.at + uint64_t(relocation.size) <= variable.bytes);
    }
  for (const Function& function : module.functions)
    check_function(function, names, module.calls.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    check_module(parse(std::string_view(reinterpret_cast<const char*>(data), size)));
  } catch (const ParseError&) {
  }
  return 0;
}
