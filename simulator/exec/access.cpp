#include "simulator/exec/access.h"

#include <cstdio>
#include <cstring>

#include "simulator/exec/lanes.h"
#include "simulator/memory/memory.h"
#include "simulator/run/block.h"
#include "simulator/run/state.h"

namespace sim {
namespace {

std::string hex(uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

std::string words(Use use, uint32_t bytes) {
  const char* verb = use == Use::read    ? "read of "
                     : use == Use::write ? "write of "
                                         : "atomic update of ";
  return verb + std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
}

/// All shadow bytes of an access allow it. Nearly always they are all kReady, which is looked for
/// first.
inline bool allowed(const uint8_t* shadow, uint32_t bytes, uint8_t want) {
  uint64_t word = 0;
  if (bytes <= 8) {
    std::memcpy(&word, shadow, bytes);
    if (word == uint64_t(0x0303030303030303) >> (64 - 8 * bytes)) return true;
  }
  uint8_t all = 0xff, any = 0;
  for (uint32_t k = 0; k < bytes; ++k) all &= shadow[k], any |= shadow[k];
  return (all & want) == want && any < kFreed;
}

[[noreturn]] void fail_global(const Warp& w, int lane, uint64_t at, uint32_t bytes, Use use) {
  Fault fault;
  const std::string what = words(use, bytes) + " at " + hex(at);
  if (at % bytes != 0) {
    fault = {"misaligned address",
             what + ": the address is no multiple of " + std::to_string(bytes)};
  } else if (!in_device_window(at) || !in_device_window(at + bytes - 1)) {
    fault = {"out of bounds", what + ", which is no device memory: " +
                                  (at < 65536 ? "a null pointer" : "a host pointer, or none")};
  } else {
    const uint8_t* s = shadow(at);
    bool freed = false, unmapped = false;
    for (uint32_t k = 0; k < bytes; ++k)
      freed |= s[k] >= kFreed, unmapped |= !(s[k] & kAddressable);
    fault.kind = freed      ? "use after free"
                 : unmapped ? "out of bounds"
                            : "read of uninitialised memory";
    fault.details = what + ", " + describe_address(at);
  }
  throw w.at(fault, lane);
}

[[noreturn]] void fail_block(const Warp& w, int lane, const char* space, uint64_t at,
                             uint32_t bytes, uint64_t size, Use use) {
  const std::string what = words(use, bytes) + " at " + hex(at) + " of " + space + " memory";
  if (at % bytes != 0)
    throw w.at(
        {"misaligned address", what + ": the address is no multiple of " + std::to_string(bytes)},
        lane);
  if (at + bytes > size || at + bytes < at)
    throw w.at({"out of bounds", what + ", which has " + std::to_string(size) + " bytes here"},
               lane);
  throw w.at({"read of uninitialised memory", what}, lane);
}

uint8_t wanted(Use use) { return use == Use::write ? kAddressable : kReady; }

}  // namespace

void addresses_of(Warp& w, const Inst& i, Addresses& at) {
  if (i.option & 1) {
    const auto* base = w.row<uint64_t>(i.a);
    SIM_LANES at[size_t(l)] = base[l] + uint64_t(i.offset);
  } else {
    const auto* base = w.row(i.a);
    SIM_LANES at[size_t(l)] = uint32_t(base[l] + uint32_t(i.offset));
  }
}

bool reach_run(const Warp& w, uint64_t at, uint32_t bytes, uint32_t align, Use use) {
  if (!in_device_window(at) || !in_device_window(at + bytes - 1)) return false;
  if (!w.checks()) return true;
  if (at % align != 0) return false;
  uint8_t* s = shadow(at);
  uint64_t unready = 0;
  for (uint32_t k = 0; k + 8 <= bytes; k += 8) {
    uint64_t word;
    std::memcpy(&word, s + k, 8);
    unready |= word ^ 0x0303030303030303;
  }
  if (unready == 0) return true;
  if (use != Use::write || !allowed(s, bytes, kAddressable)) return false;
  std::memset(s, kReady, bytes);
  return true;
}

void reach_global(Warp& w, uint32_t mask, const Addresses& at, uint32_t bytes, Use use) {
  if (!w.checks()) return;
  each_lane(mask, [&](int l) {
    const uint64_t a = at[size_t(l)];
    if (a % bytes != 0 || !in_device_window(a) || !in_device_window(a + bytes - 1) ||
        !allowed(shadow(a), bytes, wanted(use)))
      fail_global(w, l, a, bytes, use);
    if (use != Use::read) std::memset(shadow(a), kReady, bytes);
  });
}

void reach_shared(Warp& w, uint32_t mask, const Addresses& at, uint32_t bytes, Use use) {
  if (!w.checks()) return;
  auto& marks = w.block().shared_shadow();
  const uint64_t size = marks.size();
  each_lane(mask, [&](int l) {
    const uint64_t a = at[size_t(l)];
    if (a % bytes != 0 || a + bytes > size || a + bytes < a ||
        !allowed(marks.data() + a, bytes, wanted(use)))
      fail_block(w, l, "shared", a, bytes, size, use);
    if (use != Use::read) std::memset(marks.data() + a, kReady, bytes);
  });
}

void reach_local(Warp& w, uint32_t mask, const Addresses& at, uint32_t bytes, Use use) {
  each_lane(mask, [&](int l) {
    const uint64_t a = at[size_t(l)], size = w.local_bytes(l);
    if (a + bytes > size || a + bytes < a ||
        (w.checks() && (a % bytes != 0 || !allowed(w.local_shadow(l, a), bytes, wanted(use)))))
      fail_block(w, l, "local", a, bytes, size, use);
    if (use != Use::read) std::memset(w.local_shadow(l, a), kReady, bytes);
  });
}

namespace {

/// Lanes by the space of their generic address.
struct Spaces {
  uint32_t shared = 0, local = 0, param = 0, global = 0;
};
Spaces spaces_of(uint32_t mask, const Addresses& at) {
  Spaces s;
  each_lane(mask, [&](int l) {
    const uint64_t a = at[size_t(l)];
    const uint32_t bit = 1u << l;
    if (a - kSharedBase < kSpaceWindow)
      s.shared |= bit;
    else if (a - kLocalBase < kSpaceWindow)
      s.local |= bit;
    else if (a - kParamBase < kSpaceWindow)
      s.param |= bit;
    else
      s.global |= bit;
  });
  return s;
}

void check_unguarded(Warp& w, uint32_t mask, const Addresses& at, uint32_t bytes, Use use) {
  each_lane(mask, [&](int l) {  // without checks: what would crash the simulator itself
    const uint64_t a = at[size_t(l)];
    if (!in_device_window(a) || !in_device_window(a + bytes - 1)) fail_global(w, l, a, bytes, use);
  });
}

}  // namespace

void reach(Warp& w, const Inst&, ptx::Space space, uint32_t mask, const Addresses& at,
           uint32_t bytes, Use use, Reached& out) {
  using ptx::Space;
  Spaces s;
  Addresses offset = at;
  if (space == Space::generic) {
    s = spaces_of(mask, at);
    SIM_LANES {
      const uint64_t a = at[size_t(l)];
      offset[size_t(l)] = a - kSharedBase < kSpaceWindow  ? a - kSharedBase
                          : a - kLocalBase < kSpaceWindow ? a - kLocalBase
                          : a - kParamBase < kSpaceWindow ? a - kParamBase
                                                          : a;
    }
  } else if (space == Space::shared) {
    s.shared = mask;
  } else if (space == Space::local) {
    s.local = mask;
  } else if (space == Space::param) {
    s.param = mask;
    SIM_LANES if (at[size_t(l)] - kParamBase < kSpaceWindow) offset[size_t(l)] =
        at[size_t(l)] - kParamBase;
  } else {
    s.global = mask;
  }
  if (s.global) {
    if (w.checks())
      reach_global(w, s.global, offset, bytes, use);
    else
      check_unguarded(w, s.global, offset, bytes, use);
    each_lane(s.global, [&](int l) { out.to[size_t(l)] = raw(offset[size_t(l)]); });
  }
  if (s.shared) {
    auto& memory = w.block().shared();
    if (w.checks()) reach_shared(w, s.shared, offset, bytes, use);
    each_lane(s.shared, [&](int l) {
      const uint64_t a = offset[size_t(l)];
      if (a + bytes > memory.size() || a + bytes < a)
        fail_block(w, l, "shared", a, bytes, memory.size(), use);
      out.to[size_t(l)] = memory.data() + a;
    });
  }
  if (s.local) {
    reach_local(w, s.local, offset, bytes, use);
    each_lane(s.local, [&](int l) { out.to[size_t(l)] = w.local(l, offset[size_t(l)]); });
  }
  if (s.param) {
    auto& params = w.block().launch().launch->params;
    each_lane(s.param, [&](int l) {
      const uint64_t a = offset[size_t(l)];
      if (use != Use::read)
        throw w.at(
            {"write to a kernel's parameters", words(use, bytes) + " at byte " + std::to_string(a)},
            l);
      if (a + bytes > params.size() || a + bytes < a)
        fail_block(w, l, "parameter", a, bytes, params.size(), use);
      out.to[size_t(l)] = const_cast<uint8_t*>(params.data()) + a;
    });
  }
}

}  // namespace sim
