// Loops that do nothing but ask an mbarrier again: who is in one, and whose phase never ends, stays
// there for ever.
#pragma once
#include <cstdint>

#include "simulator/ptx/module.h"

namespace sim {

/// Whether a thread to which this mbarrier.test_wait or .try_wait said that the phase goes on
/// executes it again, for the same phase of the same mbarrier, whatever else happens, and until
/// then does nothing that others see and nothing that depends on what others do. In doubt false.
bool asks_until_over(const ptx::Function& function, uint32_t instruction);

}  // namespace sim
