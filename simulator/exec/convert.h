// The parts of cvt that stand in convert_narrow.cpp.
#pragma once
#include "simulator/code/decoder.h"

namespace sim {

/// Pairs of e4m3 or e5m2. False: the instruction names neither.
bool decode_fp8(Decoder& d, const Instruction& inst, Inst& i);
void decode_cvt_pack(Decoder& d, const Instruction& inst, Inst& i);

}  // namespace sim
