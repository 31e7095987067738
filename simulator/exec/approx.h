// Approximate instructions. A card's results are within the error that the PTX ISA documents; ours
// are the best rounded ones, or with SIM_APPROX=perturb others within that error, which the seed
// and the operand decide, so that a program can be seen not to lean on exact bits.
#pragma once
#include <string_view>

#include "simulator/code/code.h"

namespace sim {

/// ex2, lg2, sin, cos, tanh, sqrt, rcp, rsqrt of f32, and rcp, rsqrt of f64 (20 bits, ftz); nullptr
/// for any other.
Handler approx_handler(std::string_view opcode, bool f64, bool ftz);
/// div.approx and div.full of f32: 2 ulp.
Handler approx_divide(bool full, bool ftz);

/// Between -1 and 1 for an operand's bits; 0 where nothing is perturbed.
double approximation_error(uint64_t operand);

}  // namespace sim
