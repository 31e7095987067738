// A kernel made ready: the code of every function that it may call, and where the variables lie.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "simulator/code/code.h"

namespace sim {

/// Where a symbol lies, as the code sees it.
struct Place {
  ptx::Space space = ptx::Space::global;
  uint64_t address = 0;  // global, constant: a device address; shared: an offset
  uint64_t bytes = 0;
};

/// Functions as values: a device address that no memory has.
inline constexpr uint64_t kCodeBase = 0x0800'0000'0000;
inline constexpr uint64_t kCodeStep = 16;

/// What the decoder needs to know of the module.
struct Symbols {
  std::unordered_map<std::string, Place> places;  // module variables
  std::unordered_map<std::string, const ptx::Function*> functions;
  std::unordered_map<std::string, uint64_t> function_address;
  /// Shared variables that functions declare, once they are laid out for a kernel.
  std::unordered_map<const ptx::Function*, std::unordered_map<std::string, Place>> shared_of;
};

struct Image {
  const ptx::Module* module = nullptr;
  std::string name;
  const Code* entry = nullptr;
  std::unordered_map<const ptx::Function*, std::unique_ptr<Code>> codes;
  std::unordered_map<uint64_t, const Code*> by_address;
  uint64_t static_shared = 0;
  uint32_t shared_unit = 16;          // bytes of the smallest access to shared memory
  bool uses_reserved_shared = false;  // the part of shared memory that no program declares
  std::vector<uint64_t> param_offsets, param_sizes;
  uint64_t param_bytes = 0;
};

/// Decodes a kernel and all that it may reach. Shared arrays without a size (`dynamic`) begin
/// behind the others. Throws std::runtime_error that names an instruction which is not supported.
std::unique_ptr<Image> make_image(const ptx::Module& module, const Symbols& symbols,
                                  const ptx::Function& kernel,
                                  const std::vector<std::string>& dynamic);

}  // namespace sim
