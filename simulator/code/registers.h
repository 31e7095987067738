// Which row of a frame holds which register of a function. A function of nvcc names a new register
// for nearly every value; registers whose lives do not meet share a row, so that a warp's frame
// stays in the host's first-level cache.
#pragma once
#include <cstdint>
#include <vector>

#include "simulator/ptx/module.h"

namespace sim {

/// What an instruction reads and writes: indices into Function::registers, predicates left out.
struct Touched {
  std::vector<uint32_t> read, written;
};

struct RegisterPlan {
  std::vector<uint32_t> byte;  // of each register's row in the frame; 0 for predicates
  uint32_t end = 0;            // bytes of the frame
};

/// Bytes of the row of a register.
uint32_t row_bytes(ptx::Type type);

/// Every register in a row of its own, from byte `first` on.
RegisterPlan separate_rows(const ptx::Function& function, uint32_t first);

/// Rows shared by life: `touched` has an element for each instruction. A row holds the 32 lanes
/// apart, so lanes that are at different places of the code do not disturb each other. Rows of 32
/// and of 64 bits are never exchanged, so a result may take the row of an operand that ends there,
/// lane by lane; an instruction of several results keeps its operands apart from them.
RegisterPlan shared_rows(const ptx::Function& function, const std::vector<Touched>& touched,
                         uint32_t first);

}  // namespace sim
