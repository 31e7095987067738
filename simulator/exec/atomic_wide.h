// The forms of atom, red and mov that stand in atomic_wide.cpp. False: the instruction is none of
// them.
#pragma once
#include "simulator/code/decoder.h"

namespace sim {

bool decode_wide_atomic(Decoder& d, const Instruction& inst, Inst& i);
bool decode_wide_mov(Decoder& d, const Instruction& inst, Inst& i);

}  // namespace sim
