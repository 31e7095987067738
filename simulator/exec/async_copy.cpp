// cp.async and cp.async.bulk: PTX ISA, sections 9.7.9.25.3 and 9.7.9.25.4. An instruction checks
// both places, leaves the destination as if never written, and hands the copy to AsyncCopies.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "simulator/exec/access.h"
#include "simulator/exec/async.h"
#include "simulator/exec/counters.h"
#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"
#include "simulator/memory/memory.h"
#include "simulator/run/block.h"

namespace sim {

namespace {

using ptx::Operand;
using ptx::Space;
using ptx::Type;
using Copy = AsyncCopies::Copy;

struct Form {
  Inst to, from, barrier;  // addresses
  Space to_space = Space::shared, from_space = Space::global;
  uint32_t bytes = 0;
  Row size;  // bytes that are read (cp.async), or copied (bulk)
  bool sized = false;
  uint16_t ignore = kNoPredicate;  // lanes that take zeros
  bool ignore_negated = false;
};

uint32_t thread_of(const Warp& w, int lane) { return w.number() * kLanes + uint32_t(lane); }

/// Nobody may touch the destination until the copy has landed; gives its shadow.
uint8_t* wait_for(Warp& w, const Form& f, uint64_t at, const uint8_t* to, uint32_t bytes) {
  if (!w.checks()) return nullptr;
  if (f.to_space != Space::shared) {
    mark(at, bytes, kPending);
    return shadow(at);
  }
  uint8_t* marks = w.block().shared_shadow().data() + (to - w.block().shared().data());
  std::memset(marks, kPending, bytes);
  return marks;
}

/// Nobody may write a source in shared memory until the copy has read it; gives its shadow.
uint8_t* keep_source(Warp& w, const Form& f, const uint8_t* from, uint32_t bytes) {
  if (!w.checks() || f.from_space != Space::shared) return nullptr;
  uint8_t* marks = w.block().shared_shadow().data() + (from - w.block().shared().data());
  std::memset(marks, kToBeRead, bytes);
  return marks;
}

/// Bytes that a lane's copy reads.
uint32_t filled(Warp& w, const Form& f, int lane) {
  if (f.ignore != kNoPredicate &&
      ((w.predicate(f.ignore) >> lane & 1) != uint32_t(f.ignore_negated)))
    return 0;
  if (!f.sized) return f.bytes;
  const uint32_t size = w.row(f.size)[lane];
  if (size > f.bytes)
    throw w.at({"cp.async misused", "it reads at most " + std::to_string(f.bytes) + " bytes; got " +
                                        std::to_string(size)},
               lane);
  return size;
}

/// A source that is read in part is checked byte by byte.
void reach_part(Warp& w, const Form& f, Addresses at, int lane, uint32_t bytes, Reached& memory) {
  if (at[size_t(lane)] % f.bytes != 0)
    throw w.at({"misaligned address", "the source of cp.async is no multiple of its size"}, lane);
  if (w.counter()) count_run(w, at[size_t(lane)], bytes, Use::read);
  const Uncounted bytewise(w);
  Reached one;
  for (uint32_t k = bytes; k-- > 0;) {
    Addresses byte = at;
    byte[size_t(lane)] += k;
    reach(w, f.from, f.from_space, 1u << lane, byte, 1, Use::read, one);
  }
  memory.to[size_t(lane)] = one.to[size_t(lane)];
}

/// A thread may still use the bytes that a copy writes, or did not wait for the copy. Where nobody
/// wrote them before, it can only have wanted what the copy brings.
[[noreturn]] void fail_copy_race(Warp& w, const Conflict& c, uint32_t bytes, bool fresh,
                                 const std::string& wait) {
  if (c.written || c.between_blocks) fail_race(w, c, bytes, Use::write);
  const std::string what = "this copy writes byte " + hex(c.at) +
                           " of shared memory, which thread " +
                           text_of(w.block().thread_at(c.thread)) + " read, the last time" +
                           w.place_of(c.line) + ", and nothing orders the two: ";
  if (fresh) throw w.at({kNotWaited, what + wait + " is missing before that read"}, c.lane);
  throw w.at({"race in shared memory",
              what + "either that read wants what the copy brings, and " + wait +
                  " is missing before it; or it wants what was there, and a barrier is missing "
                  "before the copy"},
             c.lane);
}

/// Whether nobody has written the 16 bytes that end at begin + left.
bool fresh_shared(Warp& w, uint64_t begin, uint32_t left) {
  const auto& marks = w.block().shared_shadow();
  const uint64_t at = begin + left - 16;
  if (!w.checks() || at + 16 > marks.size()) return false;
  return std::all_of(&marks[at], &marks[at] + 16, [](uint8_t m) { return m == kAddressable; });
}

void copy_async(Warp& w, const Inst& i, uint32_t mask) {
  const auto& f = *static_cast<const Form*>(i.extra);
  Addresses to_at, from_at;
  addresses_of(w, f.to, to_at);
  addresses_of(w, f.from, from_at);
  uint32_t size[kLanes], whole = 0;
  each_lane(mask, [&](int l) {
    size[l] = filled(w, f, l);
    whole |= uint32_t(size[l] == f.bytes) << l;
  });
  Reached to, from = {};
  Suspects races;
  reach(w, f.to, f.to_space, mask, to_at, f.bytes, Use::write, to, &races);
  if (!races.empty()) fail_copy_race(w, races.front(), f.bytes, false, "cp.async.wait_group");
  if (whole) reach(w, f.from, f.from_space, whole, from_at, f.bytes, Use::read, from);
  each_lane(mask & ~whole, [&](int l) {
    if (size[l]) reach_part(w, f, from_at, l, size[l], from);
  });
  each_lane(mask, [&](int l) {
    uint8_t* begin = to.to[size_t(l)];
    uint8_t* marks = wait_for(w, f, to_at[size_t(l)], begin, f.bytes);
    w.block().async().begin(
        AsyncCopies::plain, thread_of(w, l),
        {from.to[size_t(l)], begin, marks, f.bytes, size[l], thread_of(w, l), w.line_of(i)});
  });
}

/// Where a bulk copy of one lane reads or writes.
uint8_t* reach_bulk(Warp& w, const Inst& address, Space space, int lane, uint32_t bytes, Use use,
                    uint64_t& begin) {
  Addresses at;
  addresses_of(w, address, at);
  begin = at[size_t(lane)];
  if (w.counter()) {
    if (space == Space::shared)
      count_shared_run(w, bytes);
    else
      count_run(w, begin, bytes, use);
  }
  const Uncounted piecewise(w);
  Reached memory;
  for (uint32_t left = bytes; left > 0; left -= 16) {  // the last that is asked for is the first
    at[size_t(lane)] = begin + left - 16;
    const bool fresh = use == Use::write && space == Space::shared && fresh_shared(w, begin, left);
    Suspects races;
    reach(w, address, space, 1u << lane, at, 16, use, memory, &races);
    if (!races.empty()) fail_copy_race(w, races.front(), 16, fresh, "a wait at its mbarrier");
  }
  return memory.to[size_t(lane)];
}

void copy_bulk(Warp& w, const Inst& i, uint32_t mask) {
  const auto& f = *static_cast<const Form*>(i.extra);
  const bool counted = f.to_space == Space::shared;  // by an mbarrier
  Reached barriers;
  if (counted) reach_mbarriers(w, f.barrier, mask, barriers);
  each_lane(mask, [&](int l) {
    const uint32_t bytes = w.row(f.size)[l];
    if (bytes % 16 != 0)
      throw w.at({"misaligned address",
                  "cp.async.bulk copies a multiple of 16 bytes; got " + std::to_string(bytes)},
                 l);
    if (bytes == 0) return;
    uint64_t to_at = 0, from_at = 0;
    const uint8_t* from = reach_bulk(w, f.from, f.from_space, l, bytes, Use::read, from_at);
    uint8_t* to = reach_bulk(w, f.to, f.to_space, l, bytes, Use::write, to_at);
    const Copy copy{from,
                    to,
                    wait_for(w, f, to_at, to, bytes),
                    bytes,
                    bytes,
                    thread_of(w, l),
                    w.line_of(i),
                    keep_source(w, f, from, bytes)};
    if (counted)
      w.block().async().begin_for(barriers.to[size_t(l)], copy);
    else
      w.block().async().begin(AsyncCopies::bulk, thread_of(w, l), copy);
  });
}

template <AsyncCopies::Kind K>
void commit(Warp& w, const Inst&, uint32_t mask) {
  each_lane(mask, [&](int l) { w.block().async().commit(K, thread_of(w, l)); });
}

/// i.option: copies in no group are waited for too.
template <AsyncCopies::Kind K>
void wait(Warp& w, const Inst& i, uint32_t mask) {
  each_lane(mask, [&](int l) {
    if (i.option) w.block().async().commit(K, thread_of(w, l));
    if (K == AsyncCopies::bulk)
      w.block().async().read(w, thread_of(w, l), size_t(i.offset), w.line_of(i));
    w.block().async().wait(w, K, thread_of(w, l), size_t(i.offset));
  });
}

/// The sources of bulk copies have been read and may change; what is written lands later.
void wait_read(Warp& w, const Inst& i, uint32_t mask) {
  each_lane(mask, [&](int l) {
    w.block().async().read(w, thread_of(w, l), size_t(i.offset), w.line_of(i));
  });
}

/// Without .noinc the phase expects this arrival beside those of mbarrier.init.
void arrive_when_landed(Warp& w, const Inst& i, uint32_t mask) {
  const auto& f = *static_cast<const Form*>(i.extra);
  Reached barriers;
  reach_mbarriers(w, f.barrier, mask, barriers);
  each_lane(mask, [&](int l) {
    uint8_t* barrier = barriers.to[size_t(l)];
    if (!i.option) expect_arrival(w, barrier, l);
    w.block().async().arrive_later(thread_of(w, l), barrier);
  });
}

void keep(Decoder& d, Inst& i, Form form) {
  auto kept = std::make_shared<const Form>(std::move(form));
  i.extra = kept.get();
  d.code().extras.push_back(std::move(kept));
}

/// What follows the size: bytes that are read, or a predicate of lanes that take zeros.
void read_fill(Decoder& d, const Instruction& inst, Form& f) {
  size_t end = inst.operands.size();
  if (inst.has("L2::cache_hint")) --end;
  if (end < 4) return;
  const Operand& o = inst.operands[3];
  if (d.type_of(o) == Type::pred) {
    f.ignore = d.predicate(o);
    f.ignore_negated = o.negated;
  } else {
    f.size = d.source(o, Type::u32);
    f.sized = true;
  }
}

void decode_copy(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 3, 5);
  if (!(inst.has("shared") || inst.has("shared::cta")) || !inst.has("global"))
    d.unsupported(inst, "it copies from global to shared memory");
  Form f;
  d.address(inst.operands[0], Space::shared, f.to);
  d.address(inst.operands[1], Space::global, f.from);
  f.bytes = uint32_t(inst.operands[2].value);
  const bool known = f.bytes == 4 || f.bytes == 8 || f.bytes == 16;
  if (inst.operands[2].kind != Operand::Kind::integer || !known ||
      (inst.has("cg") && f.bytes != 16))
    d.unsupported(inst, "it copies 4, 8 or 16 bytes, .cg 16");
  read_fill(d, inst, f);
  i.run = copy_async;
  keep(d, i, std::move(f));
}

void decode_bulk(Decoder& d, const Instruction& inst, Inst& i) {
  if (inst.has("tensor"))
    d.unsupported(inst,
                  "copies by tensor maps are not simulated yet; cp.async.bulk without .tensor is");
  if (inst.has("multicast::cluster"))
    d.unsupported(inst, "clusters of more than one block are not simulated");
  if (inst.has("prefetch") && inst.has("L2") && inst.has("global")) {
    i.run = [](Warp&, const Inst&, uint32_t) {};
    return;
  }
  const bool counted = inst.has("mbarrier::complete_tx::bytes"), grouped = inst.has("bulk_group"),
             global = inst.has("global"), cta = inst.has("shared::cta"),
             cluster = inst.has("shared::cluster");
  const bool to_shared = counted && !grouped && global + cta + cluster == 2,
             to_global = grouped && !counted && global && cta && !cluster;
  if (!to_shared && !to_global)
    d.unsupported(inst, "it copies to shared memory with an mbarrier, or to global with a group");
  Form f;
  f.to_space = to_shared ? Space::shared : Space::global;
  f.from_space = to_shared && global ? Space::global : Space::shared;
  d.address(inst.operands[0], f.to_space, f.to);
  d.address(inst.operands[1], f.from_space, f.from);
  f.size = d.source(inst.operands[2], Type::u32);
  if (f.to_space == Space::shared)
    d.address(inst.operands[3], Space::shared, f.barrier);
  else if (inst.has("cp_mask"))
    d.unsupported(inst, "a mask of bytes is not simulated");
  i.run = copy_bulk;
  keep(d, i, std::move(f));
}

void decode_mbarrier_arrive(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 1, 1);
  Form f;
  decode_mbarrier_address(d, inst, inst.operands[0], f.barrier);
  if (!inst.has("arrive")) d.unsupported(inst, "this form is not simulated");
  d.type(inst, {Type::b64});
  i.option = inst.has("noinc");
  i.run = arrive_when_landed;
  keep(d, i, std::move(f));
}

void decode_cp(Decoder& d, const Instruction& inst, Inst& i) {
  if (inst.first() != "async") d.unsupported(inst, "reducing copies are not simulated");
  const bool bulk = inst.has("bulk");
  const bool commits = inst.has("commit_group"), waits = inst.has("wait_group"),
             all = inst.has("wait_all");
  if (commits || waits || all) {
    i.kind = Class::sync;
    expect_operands(d, inst, waits ? 1 : 0, waits ? 1 : 0);
    if (waits && inst.operands[0].kind != Operand::Kind::integer)
      d.unsupported(inst, "its number of groups is a constant");
  }
  if (commits) {
    i.run = bulk ? Handler(commit<AsyncCopies::bulk>) : Handler(commit<AsyncCopies::plain>);
  } else if (waits || all) {
    if (waits) i.offset = int64_t(inst.operands[0].value);
    i.option = all;
    if (bulk && inst.has("read"))
      i.run = wait_read;
    else
      i.run = bulk ? Handler(wait<AsyncCopies::bulk>) : Handler(wait<AsyncCopies::plain>);
  } else if (bulk) {
    decode_bulk(d, inst, i);
  } else if (inst.has("mbarrier")) {
    decode_mbarrier_arrive(d, inst, i);
  } else {
    decode_copy(d, inst, i);
  }
}

constexpr Entry kTable[] = {
    {"cp", decode_cp, Class::memory,
     ".async 4 8 16 bytes with a size or a predicate to fill with zeros, groups, .mbarrier.arrive; "
     ".async.bulk between "
     "shared and global memory with an mbarrier or groups (.wait_group.read); not .tensor, "
     ".cp_mask, "
     "nor the reducing cp.reduce"},
    {"mbarrier", decode_mbarrier, Class::sync,
     ".init .inval .arrive .arrive_drop (.expect_tx .noComplete) .expect_tx .complete_tx "
     ".test_wait .try_wait "
     "(.parity) .pending_count"},
};

}  // namespace

std::span<const Entry> async_table() { return kTable; }

}  // namespace sim
