// Barriers and fences: PTX ISA, section 9.7.13. Memory is the host's own and its order is strong
// enough, so fences only say where other warps may go first.
#include <atomic>
#include <bit>

#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"
#include "simulator/run/block.h"
#include "simulator/run/races.h"

namespace sim {
namespace {

using ptx::Operand;
using ptx::Type;

/// The same barrier and number of threads in all lanes that take part.
uint32_t uniform(Warp& w, Row row, uint32_t mask, const char* what) {
  const auto* a = w.row(row);
  const int first = std::countr_zero(mask);
  each_lane(mask, [&](int l) {
    if (a[l] != a[first])
      throw w.at({"barrier misused", std::string("lanes of one warp give different ") + what}, l);
  });
  return a[first];
}

/// Barrier and number of threads that an instruction gives; 0 threads: all of the block.
struct Given {
  uint32_t barrier = 0, threads = 0;
};
Given given(Warp& w, const Inst& i, uint32_t mask) {
  const int lane = std::countr_zero(mask);
  Given g{uniform(w, i.a, mask, "barriers"), 0};
  if (g.barrier > 15)
    throw w.at({"barrier misused", "there are barriers 0 to 15; got " + std::to_string(g.barrier)},
               lane);
  if (i.option & 1) {
    g.threads = uniform(w, i.b, mask, "numbers of threads");
    if (g.threads == 0 || g.threads % kLanes != 0)
      throw w.at({"barrier misused",
                  "its number of threads is a multiple of 32; got " + std::to_string(g.threads)},
                 lane);
  }
  return g;
}

constexpr uint8_t kAligned = 2;  // beside 1: a number of threads is given

/// An aligned barrier is one instruction of the whole warp: false, until all its lanes have come.
bool gathered(Warp& w, const Inst& i, uint32_t mask) {
  return !(i.option & kAligned) || w.wait_for_lanes(w.alive(), mask);
}

void bar_sync(Warp& w, const Inst& i, uint32_t mask) {
  if (!gathered(w, i, mask)) return;
  const Given g = given(w, i, mask);
  w.wait_at_barrier(g.barrier, mask);
  w.block().arrive(g.barrier, w.number(), uint32_t(std::popcount(mask)), g.threads);
}

void bar_arrive(Warp& w, const Inst& i, uint32_t mask) {
  if (!gathered(w, i, mask)) return;
  const Given g = given(w, i, mask);
  w.block().arrive(g.barrier, w.number(), uint32_t(std::popcount(mask)), g.threads);
}

enum class Reduce { popc, all, any };

/// bar.red runs twice: the first time it votes and waits, the second time it reads what all voted.
template <Reduce R>
void bar_red(Warp& w, const Inst& i, uint32_t mask) {
  const bool second = w.second_time();
  if (!second && !gathered(w, i, mask)) return;
  const Given g = given(w, i, mask);
  if (!second) {
    const uint32_t p = w.frame().predicates[size_t(i.offset)] ^ (i.p_negated ? ~0u : 0u);
    w.wait_at_barrier(g.barrier, mask, true);
    w.block().arrive(g.barrier, w.number(), uint32_t(std::popcount(mask)), g.threads,
                     uint32_t(std::popcount(p & mask)));
    return;
  }
  const Vote vote = w.block().last_vote(g.barrier);
  if (R == Reduce::popc)
    write_lanes<uint32_t>(w.row(i.d), mask, [&](int) { return vote.yes; });
  else
    write_predicate(w.predicate(i.p), mask,
                    (R == Reduce::all ? vote.yes == vote.all : vote.yes > 0) ? ~0u : 0u);
}

/// A cluster of one block: who waits has arrived.
void cluster_arrive(Warp& w, const Inst&, uint32_t mask) {
  if (w.block().at_cluster(w.number()) & mask)
    throw w.at({"barrier misused", "a thread arrives at the cluster's barrier twice"},
               std::countr_zero(w.block().at_cluster(w.number()) & mask));
  w.block().arrive_at_cluster(w.number(), mask);
}
void cluster_wait(Warp& w, const Inst&, uint32_t mask) {
  const uint32_t early = w.block().at_cluster(w.number()) & mask;
  if (early) w.wait_at_barrier(kClusterBarrier, early);
}

void decode_cluster(Decoder& d, const Instruction& inst, Inst& i) {
  expect_operands(d, inst, 0, 0);
  const bool arrives = inst.has("arrive");
  if (!arrives && !inst.has("wait")) d.unsupported(inst, "it arrives or waits");
  i.run = arrives ? Handler(cluster_arrive) : Handler(cluster_wait);
}

void warp_sync(Warp& w, const Inst& i, uint32_t mask) {
  if (const Meeting* m = w.meeting()) return w.lanes_met(m->lanes);
  const auto* named = w.row(i.a);
  const uint32_t first = named[std::countr_zero(mask)];
  uint32_t others = 0;  // tiles of a warp name themselves alone
  each_lane(mask, [&](int l) {
    if (!(named[l] >> l & 1))
      throw w.at({"lanes missing", "a thread executes an instruction whose mask does not name it"},
                 l);
    others |= uint32_t(named[l] != first) << l;
  });
  if (others) w.stay(others), mask &= ~others;
  if (w.wait_for_lanes(first, mask, true)) w.lanes_met(mask);
}

void read_barrier(Decoder& d, const Instruction& inst, Inst& i, size_t at, size_t end) {
  i.a = at < end ? d.source(inst.operands[at], Type::u32) : d.constant(0, Type::u32);
  if (at + 1 < end) {
    i.b = d.source(inst.operands[at + 1], Type::u32);
    i.option |= 1;
  }
}

void decode_bar(Decoder& d, const Instruction& inst, Inst& i) {
  const size_t n = inst.operands.size();
  if (inst.opcode == "bar" || inst.has("aligned")) i.option |= kAligned;
  if (inst.has("cluster")) return decode_cluster(d, inst, i);
  if (inst.has("warp") && inst.has("sync")) {
    expect_operands(d, inst, 1, 1);
    i.a = d.source(inst.operands[0], Type::u32);
    i.run = warp_sync;
  } else if (inst.has("red")) {
    const bool popc = inst.has("popc"), all = inst.has("and");
    if (!popc && !all && !inst.has("or")) d.unsupported(inst, "it reduces by popc, and or or");
    d.type(inst, {popc ? Type::u32 : Type::pred});
    const Operand& vote = inst.operands[n - 1];
    if (popc)
      i.d = d.target(inst.operands[0], Type::u32);
    else
      i.p = d.predicate(inst.operands[0]);
    i.offset = d.predicate(vote);
    i.p_negated = vote.negated;
    read_barrier(d, inst, i, 1, n - 1);
    i.run = popc  ? Handler(bar_red<Reduce::popc>)
            : all ? Handler(bar_red<Reduce::all>)
                  : Handler(bar_red<Reduce::any>);
  } else if (inst.has("sync") || inst.has("arrive")) {
    read_barrier(d, inst, i, 0, n);
    i.run = inst.has("sync") ? Handler(bar_sync) : Handler(bar_arrive);
  } else {
    d.unsupported(inst, "this form is not simulated");
  }
}

/// The forms of fence and membar: the host's fence is stronger than each, and there is no proxy,
/// for all accesses go the same way.
void decode_fence(Decoder&, const Instruction& inst, Inst& i) {
  for (const std::string_view form :
       {"sc", "acq_rel", "acquire", "release", "mbarrier_init", "proxy", "alias", "async",
        "async.global", "async::generic", "global", "shared::cta", "shared::cluster",
        "sync_restrict::shared::cta", "sync_restrict::shared::cluster"})
    inst.has(form);
  i.run = [](Warp&, const Inst&, uint32_t) { std::atomic_thread_fence(std::memory_order_seq_cst); };
}

constexpr Entry kTable[] = {
    {"bar", decode_bar, Class::sync,
     ".sync .arrive .red, 16 barriers, with and without a number of threads; .warp.sync"},
    {"barrier", decode_bar, Class::sync,
     "as bar; .cluster.arrive and .wait for clusters of one block"},
    {"membar", decode_fence, Class::sync, "all levels"},
    {"fence", decode_fence, Class::sync,
     "all forms but .proxy.tensormap, as there are no tensor maps"},
};

}  // namespace

std::span<const Entry> sync_table() { return kTable; }

}  // namespace sim
