// A function of the runtime library that is not simulated.
#pragma once

namespace sim {

/// Says so in one sentence and ends the program with kFaultExit.
[[noreturn]] void missing(const char* function);

}  // namespace sim
