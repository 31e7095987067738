// Host code that touches device memory: on a card a segmentation fault, here one with a report.
#pragma once

namespace sim {

/// Takes over SIGSEGV. Faults outside of device memory go to the handler that was there before.
void watch_host_access();

}  // namespace sim
