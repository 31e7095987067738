// What the toolkit's assembler says of a module: registers, spills, shared memory of each kernel.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace sim {

struct StaticFigures {
  uint32_t registers = 0;
  uint64_t stack = 0, spill_stores = 0, spill_loads = 0;  // bytes of a thread
  uint64_t shared = 0, constant = 0;                      // bytes
  uint32_t barriers = 0;
};

/// By mangled name, from the report of `ptxas -v`.
std::map<std::string, StaticFigures> read_ptxas_report(std::string_view text);

struct AssembledModule {
  std::map<std::string, StaticFigures> kernels;  // by mangled name
  std::string failed;                            // a sentence, where it could not be assembled
};
/// Assembles a module, or one kernel of it, with SIM_PTXAS, or the ptxas of the toolkit that the
/// simulator was built with, or of PATH.
AssembledModule assemble_module(const std::string& ptx, int arch, const std::string& kernel = "");

struct Assembled {
  std::optional<StaticFigures> figures;
  std::string failed;  // a sentence, where there are none
};
/// One kernel alone.
Assembled assemble(const std::string& ptx, const std::string& kernel, int arch);

/// The same, once in a process. `module`: a hash of the text.
const Assembled& assembled(const std::string& ptx, size_t module, const std::string& kernel,
                           int arch);
/// What the former said, or nullptr: it was not called.
const Assembled* assembled_before(size_t module, const std::string& kernel);

}  // namespace sim
