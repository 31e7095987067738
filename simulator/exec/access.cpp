#include "simulator/exec/access.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "simulator/exec/async.h"
#include "simulator/exec/counters.h"
#include "simulator/run/block.h"
#include "simulator/run/global_races.h"
#include "simulator/run/state.h"

namespace sim {

std::string hex(uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

namespace {

std::string words(Use use, uint32_t bytes) {
  const char* verb = use == Use::read    ? "read of "
                     : use == Use::write ? "write of "
                                         : "atomic update of ";
  return verb + std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
}

/// All shadow bytes of an access allow it. Nearly always they are all kReady, which is looked for
/// first.
bool allowed(const uint8_t* shadow, uint32_t bytes, Use use) {
  const uint8_t want = use == Use::write ? kAddressable : kReady;
  uint64_t word = 0;
  if (bytes <= 8) {
    std::memcpy(&word, shadow, bytes);
    if (word == uint64_t(0x0303030303030303) >> (64 - 8 * bytes)) return true;
  }
  uint8_t all = 0xff, any = 0;
  for (uint32_t k = 0; k < bytes; ++k) all &= shadow[k], any |= shadow[k];
  if (any < kFreed) return (all & want) == want;
  return use == Use::read && std::all_of(shadow, shadow + bytes, [](uint8_t mark) {
           return mark == kReady || mark == kToBeRead;
         });
}

/// Returns where the access is a load of what nobody wrote, which may stay without effect.
void fail_global(Warp& w, int lane, uint64_t at, uint32_t bytes, Use use) {
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
    bool freed = false, unmapped = false, pending = false;
    for (uint32_t k = 0; k < bytes; ++k)
      pending |= s[k] == kPending, freed |= s[k] == kFreed, unmapped |= !(s[k] & kAddressable);
    fault.kind = pending    ? kNotWaited
                 : freed    ? "use after free"
                 : unmapped ? "out of bounds"
                            : "read of uninitialised memory";
    fault.details = what + ", " + describe_address(at);
    const bool unwritten = !pending && !freed && !unmapped;
    if (unwritten && use == Use::read && w.load_undefined(w.at(fault, lane), lane, s)) return;
  }
  throw w.at(fault, lane);
}

/// "the asynchronous copy that thread (1,0,0) began at a.cu:12, PTX line 9"
std::string describe(Warp& w, const AsyncCopies::Copy& copy) {
  return "the asynchronous copy that thread " + text_of(w.block().thread_at(copy.thread)) +
         " began" + w.place_of(copy.line);
}

/// Shared bytes that an asynchronous copy has yet to write or to read.
void fail_copy(Warp& w, int lane, uint64_t at, uint32_t bytes, Use use, const uint8_t* marks) {
  const uint8_t* memory = w.block().shared().data();
  const std::string what = words(use, bytes) + " at " + hex(at) + " of shared memory, which ";
  for (uint64_t k = at; k < at + bytes; ++k) {
    if (marks[k] == kPending)
      if (const auto* copy = w.block().async().writer_of(memory + k))
        throw w.at(
            {kNotWaited,
             what + describe(w, *copy) +
                 " is to write: either a wait for the copy is missing before this access, or "
                 "the copy began too early, and a barrier is missing before it"},
            lane);
    if (marks[k] == kToBeRead && use != Use::read)
      if (const auto* copy = w.block().async().reader_of(memory + k))
        throw w.at({"source of an asynchronous copy written before it was read",
                    what + describe(w, *copy) +
                        " has yet to read: cp.async.bulk.wait_group.read by that thread, and a "
                        "barrier after it, are missing before this access"},
                   lane);
  }
}

void fail_block(Warp& w, int lane, const char* space, uint64_t at, uint32_t bytes, uint64_t size,
                Use use, const uint8_t* marks) {
  const std::string what = words(use, bytes) + " at " + hex(at) + " of " + space + " memory";
  if (at % bytes != 0)
    throw w.at(
        {"misaligned address", what + ": the address is no multiple of " + std::to_string(bytes)},
        lane);
  if (at + bytes > size || at + bytes < at)
    throw w.at({"out of bounds", what + ", which has " + std::to_string(size) + " bytes here"},
               lane);
  if (std::strcmp(space, "shared") == 0) fail_copy(w, lane, at, bytes, use, marks);
  const bool pending = std::find(marks + at, marks + at + bytes, kPending) != marks + at + bytes;
  const char* why = pending || std::strcmp(space, "shared") != 0
                        ? ""
                        : ", which no thread has written yet: a barrier may be missing";
  const Fault fault =
      w.at({pending ? kNotWaited : "read of uninitialised memory", what + why}, lane);
  if (pending || use != Use::read || !w.load_undefined(fault, lane, marks + at)) throw fault;
}

[[noreturn]] void fail_reach(const Warp& w, int lane, uint64_t at, uint32_t bytes, Use use) {
  const std::string here = std::to_string(w.device());
  const auto a = find_allocation(at);
  const std::string there = a ? std::to_string(a->device) : "another";
  throw w.at({"access to another device's memory",
              words(use, bytes) + " at " + hex(at) + " by device " + here + ", of device " + there +
                  ": " + describe_address(at) + "; it needs " +
                  (owner_of(at) < kFirstPool
                       ? "cudaDeviceEnablePeerAccess(" + there + ", 0) on device " + here
                       : "cudaMemPoolSetAccess for device " + here)},
             lane);
}

/// The lanes' addresses, where lanes outside the mask have that of one inside.
void fill_lanes(uint32_t mask, const Addresses& at, Addresses& out) {
  const uint64_t first = at[size_t(std::countr_zero(mask))];
  SIM_LANES out[size_t(l)] = choose(mask >> l & 1, at[size_t(l)], first);
}

/// Whether the shadow of every lane's bytes allows what is asked for: `need` of the bits `look`.
template <class Word>
bool all_are(const uint8_t* shadow, const Addresses& at, uint8_t look, uint8_t need) {
  constexpr auto kEach = Word(0x0101010101010101);
  Word wrong = 0;
  for (int l = 0; l < kLanes; ++l) {
    Word word;
    std::memcpy(&word, shadow + at[size_t(l)], sizeof word);
    wrong |= (word & Word(kEach * look)) ^ Word(kEach * need);
  }
  return wrong == 0;
}
template <class Word>
void set_ready(uint8_t* shadow, const Addresses& at) {
  constexpr auto kAll = Word(0x0303030303030303);
  for (int l = 0; l < kLanes; ++l) std::memcpy(shadow + at[size_t(l)], &kAll, sizeof kAll);
}

template <class Word>
bool ready(uint8_t* shadow, const Addresses& at, Use use) {
  if (all_are<Word>(shadow, at, 0xff, kReady)) return true;
  constexpr uint8_t kOther = kFreed | kAddressable;  // kPending is both
  if (use != Use::write || !all_are<Word>(shadow, at, kOther, kAddressable)) return false;
  set_ready<Word>(shadow, at);
  return true;
}
/// Whether every lane may use its bytes, which a write marks; false also for odd sizes, where it
/// was not looked for.
bool ready(uint8_t* shadow, const Addresses& at, uint32_t bytes, Use use) {
  switch (bytes) {
    case 1:
      return ready<uint8_t>(shadow, at, use);
    case 2:
      return ready<uint16_t>(shadow, at, use);
    case 4:
      return ready<uint32_t>(shadow, at, use);
    case 8:
      return ready<uint64_t>(shadow, at, use);
    case 16:
      return ready<uint64_t>(shadow, at, use) && ready<uint64_t>(shadow + 8, at, use);
    default:
      return false;
  }
}

bool device_ready(const Addresses& at, uint32_t bytes, Use use) {
  uint8_t known = 1;
  for (int l = 0; l < kLanes; ++l) known &= *summary(at[size_t(l)]);
  if (known && bytes <= 16) return true;
  if (!ready(shadow(0), at, bytes, use)) return false;
  sum_up(at[0]);
  return true;
}

/// The same lane by lane: says what is wrong, and marks what is written.
void check_global(Warp& w, uint32_t mask, const Addresses& at, uint32_t bytes, Use use) {
  each_lane(mask, [&](int l) {
    const uint64_t a = at[size_t(l)];
    const bool inside = in_device_window(a) && in_device_window(a + bytes - 1);
    if (!inside || (w.checks() && (a % bytes != 0 || !allowed(shadow(a), bytes, use))))
      fail_global(w, l, a, bytes, use);
    if (w.out_of_reach(a)) fail_reach(w, l, a, bytes, use);
    if (w.checks() && use != Use::read) std::memset(shadow(a), kReady, bytes);
  });
}

void look_between_blocks(Warp& w, const Inst& i, uint32_t mask, const Addresses& at, uint32_t bytes,
                         Use use, Suspects* suspects) {
  Suspects found;
  const bool judges = suspects && use == Use::write;
  const bool strong = i.strong || use == Use::update;
  GlobalRaces::get().touch(w, mask, at, bytes, use, strong, judges ? *suspects : found);
  if (strong && use != Use::read) GlobalRaces::get().release(w.block().number());
  if (!found.empty()) fail_race(w, found.front(), bytes, use);
}

void reach_global(Warp& w, const Inst& i, uint32_t mask, const Addresses& at, uint32_t bytes,
                  Use use, Reached& out, Suspects* suspects) {
  if (w.counter()) count_access(w, {.global = mask}, at, bytes, use);
  alignas(64) Addresses full;
  fill_lanes(mask, at, full);
  uint64_t outside = 0, low = 0;
  SIM_LANES {
    const uint64_t a = full[size_t(l)] - kDeviceBase;
    outside |= a | (a + bytes - 1);
    low |= a;
  }
  bool fine = outside < kWindow;
  if (fine && w.checks()) fine = low % bytes == 0 && device_ready(full, bytes, use);
  if (fine && w.several_devices())
    for (int l = 0; l < kLanes; ++l) fine = fine && !w.out_of_reach(full[size_t(l)]);
  if (!fine) check_global(w, mask, full, bytes, use);
  if (w.block().launch().global_races) look_between_blocks(w, i, mask, full, bytes, use, suspects);
  SIM_LANES out.to[size_t(l)] = raw(full[size_t(l)]);
}

void look_for_races(Warp& w, const Inst& i, uint32_t mask, const Addresses& at, uint32_t bytes,
                    Use use, Suspects* suspects) {
  Races& races = w.block().races();
  const Touch touch{w.number(), mask, bytes, w.line_of(i), i.strong || use == Use::update,
                    at.data()};
  if (use == Use::read) {
    Conflict c;
    if (races.read(touch, c)) fail_race(w, c, bytes, use);
    return;
  }
  Suspects found;
  races.write(touch, suspects ? *suspects : found);
  if (!found.empty()) fail_race(w, found.front(), bytes, use);
}

void reach_shared(Warp& w, const Inst& i, uint32_t mask, const Addresses& at, uint32_t bytes,
                  Use use, Reached& out, Suspects* suspects) {
  if (w.counter()) count_access(w, {.shared = mask}, at, bytes, use);
  auto& memory = w.block().shared();
  uint8_t* marks = w.block().shared_shadow().data();
  const uint64_t size = memory.size();
  alignas(64) Addresses full;
  fill_lanes(mask, at, full);
  uint64_t high = 0;
  uint32_t top = 0, low = 0;
  SIM_LANES {
    const uint64_t a = full[size_t(l)];
    high |= a >> 32;
    top = std::max(top, uint32_t(a));
    low |= uint32_t(a);
  }
  bool fine = high == 0 && uint64_t(top) + bytes <= size;
  if (w.checks()) fine = fine && low % bytes == 0 && ready(marks, full, bytes, use);
  if (!fine)
    each_lane(mask, [&](int l) {
      const uint64_t a = full[size_t(l)];
      if (a + bytes > size || a + bytes < a ||
          (w.checks() && (a % bytes != 0 || !allowed(marks + a, bytes, use))))
        fail_block(w, l, "shared", a, bytes, size, use, marks);
      if (w.checks() && use != Use::read) std::memset(marks + a, kReady, bytes);
    });
  if (w.checks()) look_for_races(w, i, mask, full, bytes, use, suspects);
  SIM_LANES out.to[size_t(l)] = memory.data() + full[size_t(l)];
}

void reach_local(Warp& w, uint32_t mask, const Addresses& at, uint32_t bytes, Use use,
                 Reached& out) {
  if (w.counter()) count_access(w, {.local = mask}, at, bytes, use);
  each_lane(mask, [&](int l) {
    const uint64_t a = at[size_t(l)], size = w.local_bytes(l);
    if (a + bytes > size || a + bytes < a ||
        (w.checks() && (a % bytes != 0 || !allowed(w.local_shadow(l, a), bytes, use))))
      fail_block(w, l, "local", a, bytes, size, use, w.local_shadow(l, 0));
    if (use != Use::read) std::memset(w.local_shadow(l, a), kReady, bytes);
    out.to[size_t(l)] = w.local(l, a);
  });
}

void reach_param(Warp& w, uint32_t mask, const Addresses& at, uint32_t bytes, Use use,
                 Reached& out) {
  auto& params = w.block().launch().launch->params;
  each_lane(mask, [&](int l) {
    const uint64_t a = at[size_t(l)];
    if (use != Use::read)
      throw w.at(
          {"write to a kernel's parameters", words(use, bytes) + " at byte " + std::to_string(a)},
          l);
    if (a + bytes > params.size() || a + bytes < a)
      throw w.at({"out of bounds", words(use, bytes) + " at byte " + std::to_string(a) +
                                       " of the kernel's parameters, which have " +
                                       std::to_string(params.size())},
                 l);
    out.to[size_t(l)] = const_cast<uint8_t*>(params.data()) + a;
  });
}

/// Who looks only at lanes of one space sees places in the others too.
void fill_places(uint32_t mask, Reached& out) {
  uint8_t* first = out.to[size_t(std::countr_zero(mask))];
  SIM_LANES if (!(mask >> l & 1)) out.to[size_t(l)] = first;
}

/// Lanes by the space of their generic address.
void reach_generic(Warp& w, const Inst& i, uint32_t mask, const Addresses& at, uint32_t bytes,
                   Use use, Reached& out, Suspects* suspects) {
  const auto within = [&](uint64_t base) {
    return mask & lanes_where([&](int l) { return at[size_t(l)] - base < kSpaceWindow; });
  };
  const uint32_t global =
      mask & lanes_where([&](int l) { return at[size_t(l)] - kDeviceBase < kWindow; });
  if (global == mask) return reach_global(w, i, mask, at, bytes, use, out, suspects);
  const uint32_t shared = within(kSharedBase), local = within(kLocalBase),
                 param = within(kParamBase);
  const uint32_t others = mask & ~(shared | local | param);
  Addresses offset;
  const auto from = [&](uint64_t base) -> const Addresses& {
    SIM_LANES offset[size_t(l)] = at[size_t(l)] - base;
    return offset;
  };
  Reached part;
  const auto take = [&](uint32_t lanes) {
    each_lane(lanes, [&](int l) { out.to[size_t(l)] = part.to[size_t(l)]; });
  };
  if (others) reach_global(w, i, others, at, bytes, use, part, suspects), take(others);
  if (shared)
    reach_shared(w, i, shared, from(kSharedBase), bytes, use, part, suspects), take(shared);
  if (local) reach_local(w, local, from(kLocalBase), bytes, use, part), take(local);
  if (param) reach_param(w, param, from(kParamBase), bytes, use, part), take(param);
  fill_places(mask, out);
}

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

void reach(Warp& w, const Inst& i, ptx::Space space, uint32_t mask, const Addresses& at,
           uint32_t bytes, Use use, Reached& out, Suspects* suspects) {
  using ptx::Space;
  switch (space) {
    case Space::generic:
      return reach_generic(w, i, mask, at, bytes, use, out, suspects);
    case Space::shared:
      return reach_shared(w, i, mask, at, bytes, use, out, suspects);
    case Space::local:
      reach_local(w, mask, at, bytes, use, out);
      return fill_places(mask, out);
    case Space::param: {
      Addresses offset;
      SIM_LANES offset[size_t(l)] =
          at[size_t(l)] - (at[size_t(l)] - kParamBase < kSpaceWindow ? kParamBase : 0);
      reach_param(w, mask, offset, bytes, use, out);
      return fill_places(mask, out);
    }
    default:
      return reach_global(w, i, mask, at, bytes, use, out, suspects);
  }
}

void fail_race(Warp& w, const Conflict& c, uint32_t bytes, Use use) {
  if (c.between_blocks)
    throw w.at({"race in global memory", words(use, bytes) + " that holds " + hex(c.at) + ", " +
                                             describe_address(c.at) + ", which block " +
                                             text_of(w.block().index_of(c.thread)) +
                                             (c.written ? " wrote" : " read") +
                                             " in the same launch: nothing orders the two blocks"},
               c.lane);
  std::string what = words(use, bytes) + " that holds byte " + hex(c.at) +
                     " of shared memory, which thread " + text_of(w.block().thread_at(c.thread)) +
                     " ";
  what += c.together  ? "writes in the same instruction, with another value"
          : c.written ? "wrote"
                      : "read";
  if (!c.together && c.line) what += (c.written ? "" : ", the last time") + w.place_of(c.line);
  const bool same_warp = c.thread / kLanes == w.number();
  if (!c.together)
    what +=
        same_warp ? ": no __syncwarp or barrier is between them" : ": no barrier is between them";
  throw w.at({"race in shared memory", what}, c.lane);
}

void order(Warp& w, uint32_t mask, bool reads, bool writes) {
  if (reads && w.block().launch().global_races) GlobalRaces::get().acquire(w.block().number());
  if (Races* races = w.block().races_or_none())
    races->order(w.number(), mask, (w.alive() & ~mask) == 0, reads, writes);
}

}  // namespace sim
