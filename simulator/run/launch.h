// Running a kernel: what the API asks of the engine.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "simulator/report/fault.h"

namespace sim {

struct DeviceModel;  // simulator/device/model.h

/// A loaded module: PTX decoded, its global and constant variables allocated and initialised on one
/// device.
class Program;

/// Throws ptx::ParseError, or std::runtime_error for what is not supported, in one clear sentence.
std::shared_ptr<Program> load_program(std::string_view ptx_text, int device,
                                      const DeviceModel& model);

struct KernelInfo {
  std::string name;
  uint64_t static_shared = 0, local_bytes = 0, const_bytes = 0, param_bytes = 0;
  std::vector<uint64_t> param_offsets, param_sizes;
  uint32_t registers = 0;  // an estimate from the PTX, which may be too high or too low
  uint32_t max_threads = 1024, arch = 0;  // arch: of the PTX, 80
};
/// nullptr: none of that name.
const KernelInfo* find_kernel(const Program& program, std::string_view name);

/// What a thread of a kernel takes on the card.
struct Resources {
  uint32_t registers = 0;
  uint64_t local_bytes = 0;
  bool exact = false;  // as the toolkit's assembler says; else an estimate
};
/// Runs the assembler, where there is one, when a kernel is first asked for.
Resources resources_of(const Program& program, const KernelInfo& kernel, int arch);
/// What it said, where it was asked before.
std::optional<Resources> known_resources(const Program& program, const KernelInfo& kernel);

std::vector<std::string> kernel_names(const Program& program);

struct VariableInfo {
  uint64_t address = 0, bytes = 0;
};
const VariableInfo* find_variable(const Program& program, std::string_view name);

/// Variables of the module have their initial values again.
void reset_variables(const Program& program);

struct Launch {
  std::shared_ptr<Program> program;
  std::string kernel;
  Dim3 grid, block;
  uint64_t dynamic_shared = 0;
  uint64_t resident = 0;        // blocks that the card holds at once; 0: not known
  bool cooperative = false;     // the blocks wait for each other: all must be resident
  std::vector<uint8_t> params;  // param_bytes, laid out at param_offsets
};

/// Runs the kernel to its end; returns the nanoseconds that the card is estimated to take. Throws
/// Fault, with kernel, block, thread and lines filled in.
double run_kernel(const Launch& launch, const DeviceModel& model);

}  // namespace sim
