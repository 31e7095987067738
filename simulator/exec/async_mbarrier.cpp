// mbarrier: PTX ISA, section 9.7.13.15. Lanes go one after another. A wait lets land what its
// barrier counts, and where that is not enough other warps go first.
#include <cstring>
#include <string>

#include "simulator/exec/access.h"
#include "simulator/exec/async.h"
#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"
#include "simulator/memory/memory.h"
#include "simulator/run/block.h"

namespace sim {

using ptx::Operand;
using ptx::Space;
using ptx::Type;

namespace {

enum Option : uint8_t { kGeneric = 4, kDrop = 8, kNoComplete = 16, kParity = 32, kExpects = 64 };

[[noreturn]] void misused(const Warp& w, int lane, const std::string& why) {
  throw w.at({"mbarrier misused", why}, lane);
}

MbarrierState state_of(const uint8_t* barrier) { return mbarrier_at(barrier); }
void keep(uint8_t* barrier, const MbarrierState& state) {
  const uint64_t word = state.word();
  std::memcpy(barrier, &word, sizeof word);
}

void reach_word(Warp& w, const Inst& i, uint32_t mask, Use use, Reached& memory) {
  Addresses at;
  addresses_of(w, i, at);
  reach(w, i, i.option & kGeneric ? Space::generic : Space::shared, mask, at, 8, use, memory);
  const auto& shared = w.block().shared();
  each_lane(mask, [&](int l) {
    const uint8_t* to = memory.to[size_t(l)];
    if (to < shared.data() || to >= shared.data() + shared.size())
      misused(w, l, "an mbarrier lies in shared memory");
  });
}

void init(Warp& w, const Inst& i, uint32_t mask) {
  Reached memory;
  reach_word(w, i, mask, Use::write, memory);
  each_lane(mask, [&](int l) {
    const uint32_t count = w.row(i.b)[l];
    if (count == 0 || count > kMaxArrivals)
      misused(w, l, "it expects 1 to 1048575 arrivals; got " + std::to_string(count));
    keep(memory.to[size_t(l)], {count, count, 0, false});
  });
}

/// The word can be used as memory again; as an mbarrier it was never written.
void inval(Warp& w, const Inst& i, uint32_t mask) {
  Reached memory;
  reach_word(w, i, mask, Use::update, memory);
  if (!w.checks()) return;
  each_lane(mask, [&](int l) {
    const auto at = memory.to[size_t(l)] - w.block().shared().data();
    std::memset(w.block().shared_shadow().data() + at, kAddressable, 8);
  });
}

/// What the lanes did before is ordered before what waits for the mbarrier does then.
void hand_on(Warp& w, uint32_t mask, const Reached& memory, bool waits) {
  Races* races = w.block().races_or_none();
  if (!races) return;
  const bool all = (w.alive() & ~mask) == 0;
  uint64_t before = ~uint64_t(0);
  each_lane(mask, [&](int l) {
    const auto at = uint64_t(memory.to[size_t(l)] - w.block().shared().data());
    if (at == before) return;
    before = at;
    if (waits)
      races->wait_at(at, w.number(), mask, all);
    else
      races->arrive_at(at, w.number(), mask, all);
  });
}

/// The state that is returned is the one before.
void arrive(Warp& w, const Inst& i, uint32_t mask) {
  Reached memory;
  reach_word(w, i, mask, Use::update, memory);
  hand_on(w, mask, memory, false);
  auto* d = w.row<uint64_t>(i.d);
  each_lane(mask, [&](int l) {
    const uint32_t given = w.row(i.b)[l];
    MbarrierState s = state_of(memory.to[size_t(l)]);
    d[l] = s.word();
    const uint32_t count = i.option & kExpects ? 1 : given;
    if (count == 0 || count > kMaxArrivals)
      misused(w, l, "1 to 1048575 threads arrive; got " + std::to_string(count));
    if ((i.option & kNoComplete) && count >= s.pending)
      misused(w, l, ".noComplete completes the phase");
    if (i.option & kExpects)
      if (const char* wrong = s.expect(given)) misused(w, l, wrong);
    if (i.option & kDrop) {
      if (count > s.expected) misused(w, l, "more threads leave than it expects");
      s.expected -= count;
    }
    if (const char* wrong = s.arrive(count)) misused(w, l, wrong);
    keep(memory.to[size_t(l)], s);
  });
}

/// expect_tx and complete_tx, Sign -1.
template <int Sign>
void transactions(Warp& w, const Inst& i, uint32_t mask) {
  Reached memory;
  reach_word(w, i, mask, Use::update, memory);
  each_lane(mask, [&](int l) {
    MbarrierState s = state_of(memory.to[size_t(l)]);
    if (const char* wrong = s.expect(Sign * int64_t(w.row(i.b)[l]))) misused(w, l, wrong);
    keep(memory.to[size_t(l)], s);
  });
}

/// True where the phase of a state, or of a parity, is over.
void wait(Warp& w, const Inst& i, uint32_t mask) {
  Reached memory;
  reach_word(w, i, mask, Use::read, memory);
  uint32_t over = 0;
  each_lane(mask, [&](int l) {
    uint8_t* barrier = memory.to[size_t(l)];
    w.block().async().wait_at(w, barrier);
    const bool phase = i.option & kParity ? w.row(i.b)[l] & 1 : w.row<uint64_t>(i.b)[l] >> 63;
    const bool ended = state_of(barrier).phase != phase;
    over |= uint32_t(ended) << l;
    AsyncCopies::Asked& asked = w.block().async().asked(w.number() * kLanes + uint32_t(l));
    if (ended)
      asked = {};
    else
      asked = {w.code().function, i.source, barrier, phase};
  });
  write_predicate(w.predicate(i.p), mask, over);
  if (over) hand_on(w, over, memory, true);
  if (over != mask) w.yield();
}

void pending_count(Warp& w, const Inst& i, uint32_t mask) {
  const auto* state = w.row<uint64_t>(i.a);
  write_lanes<uint32_t>(w.row(i.d), mask, [&](int l) { return uint32_t(state[l] & kMaxArrivals); });
}

void decode_arrive(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 2, 3);
  i.d = d.target(inst.operands[0], Type::b64);
  decode_mbarrier_address(d, inst, inst.operands[1], i);
  const bool expects = inst.has("expect_tx");
  if ((expects || inst.has("noComplete")) && inst.operands.size() != 3)
    d.unsupported(inst, "it has a count");
  i.b =
      inst.operands.size() == 3 ? d.source(inst.operands[2], Type::u32) : d.constant(1, Type::u32);
  i.option |= uint8_t((inst.first() == "arrive_drop" ? kDrop : 0) |
                      (inst.has("noComplete") ? kNoComplete : 0) | (expects ? kExpects : 0));
  i.run = arrive;
}

void decode_wait(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 3, 4);  // the fourth is how long to wait
  i.p = d.predicate(inst.operands[0]);
  decode_mbarrier_address(d, inst, inst.operands[1], i);
  const bool parity = inst.has("parity");
  i.b = d.source(inst.operands[2], parity ? Type::u32 : Type::b64);
  if (parity) i.option |= kParity;
  i.run = wait;
}

}  // namespace

MbarrierState mbarrier_at(const uint8_t* barrier) {
  uint64_t word;
  std::memcpy(&word, barrier, sizeof word);
  return MbarrierState::from(word);
}

std::string describe_mbarrier(Block& block, const uint8_t* barrier) {
  const MbarrierState s = mbarrier_at(barrier);
  const auto at = uint64_t(barrier - block.shared().data());
  const auto bytes = [](int64_t n) { return std::to_string(n) + (n == 1 ? " byte" : " bytes"); };
  const std::string arrivals =
      std::to_string(s.pending) + " of " + std::to_string(s.expected) + " arrivals";
  return "the phase of parity " + std::to_string(int(s.phase)) + " of the mbarrier at " + hex(at) +
         " of shared memory: " +
         (s.owed >= 0 ? arrivals + " and " + bytes(s.owed) + " of copies are missing"
                      : arrivals + " are missing, and copies brought " + bytes(-s.owed) +
                            " more than were expected");
}

void reach_mbarriers(Warp& w, const Inst& i, uint32_t mask, Reached& memory) {
  reach_word(w, i, mask, Use::update, memory);
}

void decode_mbarrier_address(Decoder& d, const Instruction& inst, const Operand& o, Inst& i) {
  const bool shared = inst.has("shared") || inst.has("shared::cta") || inst.has("shared::cluster");
  const Space space = d.address(o, shared ? Space::shared : Space::generic, i);
  if (space == Space::generic) i.option |= kGeneric;
  i.strong = true;
}

void expect_arrival(Warp& w, uint8_t* barrier, int lane) {
  MbarrierState s = state_of(barrier);
  if (++s.pending > kMaxArrivals) misused(w, lane, "it expects more than 1048575 arrivals");
  keep(barrier, s);
}

void decode_mbarrier(Decoder& d, const Instruction& inst, Inst& i) {
  const std::string_view op = inst.first();
  d.type(inst, {Type::b64});
  if (op == "arrive" || op == "arrive_drop") return decode_arrive(d, inst, i);
  if (op == "test_wait" || op == "try_wait") return decode_wait(d, inst, i);
  if (op == "pending_count") {
    expect_operands(d, inst, 2, 2);
    i.d = d.target(inst.operands[0], Type::u32);
    i.a = d.source(inst.operands[1], Type::b64);
    i.run = pending_count;
    return;
  }
  const bool invalidates = op == "inval";
  expect_operands(d, inst, invalidates ? 1 : 2, invalidates ? 1 : 2);
  decode_mbarrier_address(d, inst, inst.operands[0], i);
  if (!invalidates) i.b = d.source(inst.operands[1], Type::u32);
  i.run = invalidates           ? Handler(inval)
          : op == "init"        ? Handler(init)
          : op == "expect_tx"   ? Handler(transactions<1>)
          : op == "complete_tx" ? Handler(transactions<-1>)
                                : nullptr;
  if (!i.run) d.unsupported(inst, "this form is not simulated");
}

}  // namespace sim
