// The forms of atom, red and mov that stand in atomic_wide.cpp. False: the instruction is none of
// them.
#pragma once
#include <cstdint>

#include "simulator/code/decoder.h"

namespace sim {

/// What atom.add.f32 and red.add.f32 do in global memory: subnormal numbers are zero, as the PTX
/// ISA says of current implementations. In shared memory, and in all other types, they count.
uint32_t flushed_sum(uint32_t a, uint32_t b);

bool decode_wide_atomic(Decoder& d, const Instruction& inst, Inst& i);
bool decode_wide_mov(Decoder& d, const Instruction& inst, Inst& i);

}  // namespace sim
