// Where bytes of device memory that count as not written came from, when a kernel stored what it
// had loaded without anyone having written it: the load is what a report names.
#pragma once
#include <cstdint>
#include <memory>

#include "simulator/report/fault.h"

namespace sim {

/// Of one byte. Some ten thousand are kept, later ones have none.
void remember_origin(uint64_t address, std::shared_ptr<const Fault> fault);
/// Nothing where the byte was never stored to.
std::shared_ptr<const Fault> origin_of(uint64_t address);
void forget_origins(uint64_t address, uint64_t bytes);

}  // namespace sim
