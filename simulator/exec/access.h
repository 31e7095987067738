// Reaching memory from a warp: addresses of the lanes, and the checks before each access.
#pragma once
#include <array>
#include <cstdint>

#include "simulator/code/decoder.h"
#include "simulator/exec/warp.h"

namespace sim {

using Addresses = std::array<uint64_t, kLanes>;

/// A kernel's parameters as memory: where their generic addresses begin.
inline constexpr uint64_t kParamBase = 0x1900'0000'0000;

enum class Use : uint8_t { read, write, update };

/// Base row plus offset; lanes outside the mask hold anything.
void addresses_of(Warp& w, const Inst& i, Addresses& at);

/// Whether all lanes take part and their accesses lie one behind the other: what most are.
inline bool neighbours(uint32_t mask, const Addresses& at, uint32_t bytes) {
  if (mask != kAllLanes) return false;
  uint64_t differs = 0;
  for (int l = 0; l < kLanes; ++l) differs |= at[size_t(l)] ^ (at[0] + uint64_t(l) * bytes);
  return differs == 0;
}

/// `bytes` of device memory from an aligned address on may be used so; a write marks them. False:
/// not as a whole, and who asks lane by lane learns why.
bool reach_run(const Warp& w, uint64_t at, uint32_t bytes, uint32_t align, Use use);

/// Where lanes' bytes lie in the simulator's memory, after the checks: aligned, inside one
/// allocation, not freed, and for reads written before. `at` are addresses of the space: device
/// addresses, offsets into shared memory, offsets into a thread's local memory. Throws a Fault that
/// names the first lane that fails. A write marks its bytes as written.
void reach_global(Warp& w, uint32_t mask, const Addresses& at, uint32_t bytes, Use use);
void reach_shared(Warp& w, uint32_t mask, const Addresses& at, uint32_t bytes, Use use);
void reach_local(Warp& w, uint32_t mask, const Addresses& at, uint32_t bytes, Use use);

/// One lane's memory of any space, which is where a generic address leads.
struct Reached {
  std::array<uint8_t*, kLanes> to;
};
/// Checks as above, the space found lane by lane where it is generic, and gives each lane its
/// bytes.
void reach(Warp& w, const Inst& i, ptx::Space space, uint32_t mask, const Addresses& at,
           uint32_t bytes, Use use, Reached& out);

}  // namespace sim
