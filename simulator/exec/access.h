// Reaching memory from a warp: addresses of the lanes, and the checks before each access.
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <string>

#include "simulator/code/decoder.h"
#include "simulator/exec/lanes.h"
#include "simulator/exec/warp.h"
#include "simulator/memory/memory.h"
#include "simulator/run/races.h"

namespace sim {

/// Kind of fault: bytes that an asynchronous copy is to write.
inline constexpr const char* kNotWaited =
    "access to bytes of an asynchronous copy that was not waited for";
/// Shadow of shared bytes that such a copy has yet to read: they may be read and not written.
inline constexpr uint8_t kToBeRead = 7;

/// "0x10"
std::string hex(uint64_t value);

using Addresses = std::array<uint64_t, kLanes>;

/// A kernel's parameters as memory: where their generic addresses begin.
inline constexpr uint64_t kParamBase = 0x1900'0000'0000;

enum class Use : uint8_t { read, write, update };

/// Base row plus offset; lanes outside the mask hold anything.
void addresses_of(Warp& w, const Inst& i, Addresses& at);

/// Whether the numbers of the lanes follow each other in steps: what most addresses do.
template <class T>
bool in_steps(const T* number, T step) {
  T differs = 0;
  SIM_LANES differs |= number[l] ^ T(number[0] + T(l) * step);
  return differs == 0;
}

/// Whether all shadow bytes of `Bytes` of device memory have `need` of the bits `look`.
template <uint32_t Bytes>
bool all_are(const uint8_t* shadow, uint8_t look, uint8_t need) {
  static_assert(Bytes % 8 == 0);
  constexpr uint64_t kEach = 0x0101010101010101;
  uint64_t wrong = 0;
  for (uint32_t k = 0; k < Bytes; k += 8) {
    uint64_t word;
    std::memcpy(&word, shadow + k, 8);
    wrong |= (word & kEach * look) ^ kEach * need;
  }
  return wrong == 0;
}

/// `Bytes` of device memory from `at` on may be used by lanes whose accesses are `align` bytes; a
/// write marks them. False: not as a whole, and who asks lane by lane learns why.
template <uint32_t Bytes>
bool reach_run(const Warp& w, uint64_t at, uint32_t align, bool write) {
  if (!in_device_window(at) || !in_device_window(at + Bytes - 1)) return false;
  if (!w.checks()) return true;
  if (at % align != 0 || w.out_of_reach(at)) return false;
  if (Bytes <= kSummed && (*summary(at) & *summary(at + Bytes - 1))) return true;
  if (!all_are<Bytes>(shadow(at), 0xff, kReady)) {
    if (!write || !all_are<Bytes>(shadow(at), kFreed | kAddressable, kAddressable)) return false;
    std::memset(shadow(at), kReady, Bytes);
  }
  if (at % kSummed == 0 || (at + Bytes) % kSummed == 0) sum_up(at);
  return true;
}

/// Where each lane's bytes lie in the simulator's memory; a lane outside the mask has the place of
/// one that is inside.
struct Reached {
  alignas(64) std::array<uint8_t*, kLanes> to;
};

/// A write that is a race unless it leaves what is there: the store sees what it writes.
using Suspects = std::vector<Conflict>;

/// Finds the bytes of each lane after the checks: aligned, inside one allocation, not freed, for
/// reads written before, and in shared memory in no race. `at` are addresses of the space, which is
/// looked for lane by lane where it is generic: device addresses, offsets into shared memory,
/// offsets into a thread's local memory. Throws a Fault that names the first lane that fails. A
/// write marks its bytes as written; races of a write go to `suspects` where it is given.
void reach(Warp& w, const Inst& i, ptx::Space space, uint32_t mask, const Addresses& at,
           uint32_t bytes, Use use, Reached& out, Suspects* suspects = nullptr);

/// The report of a race.
[[noreturn]] void fail_race(Warp& w, const Conflict& c, uint32_t bytes, Use use);

/// After an atomic or volatile access: what came before it in the block is ordered.
void order(Warp& w, uint32_t mask, bool reads, bool writes);

}  // namespace sim
