// Places of the .cu source in the words of a report. A line of an inlined function stands in a
// header as often as not; the calls that it was inlined by lead to the line of the .cu.
#pragma once
#include <string>
#include <vector>

#include "simulator/ptx/module.h"

namespace sim::ptx {

/// "a.cu:12"; nothing where no line is known.
std::string place_of(const Module& module, const Location& where);

/// The calls in whose place it stands, the innermost first: "a.cu:40"; "a.cu:40 or a.cu:39" where
/// the PTX leaves open which.
std::vector<std::string> calls_of(const Module& module, const Location& where);

/// For a sentence: "helper.h:40 (called at a.cu:7), PTX line 35". Of several calls it is the
/// innermost that a .cu makes, or else the outermost.
std::string brief_place_of(const Module& module, const Instruction& instruction);

}  // namespace sim::ptx
