#include "simulator/exec/warp.h"

#include <algorithm>
#include <bit>

#include "simulator/exec/counters.h"
#include "simulator/exec/undefined.h"
#include "simulator/run/block.h"
#include "simulator/run/state.h"

namespace sim {
namespace {

constexpr uint32_t kNever = 0xffffffff;
constexpr uint32_t kSpins = 64;       // backward branches of a group before the others go first
constexpr uint64_t kStack = 1 << 20;  // bytes of local memory of a lane

}  // namespace

Warp::Warp(Block& block, uint32_t number) : block_(block), number_(number) {
  const LaunchState& launch = block.launch();
  checks_ = launch.checks;
  several_devices_ = launch.several_devices;
  device_ = launch.device;
  const uint32_t first = number * kLanes;
  specials_.resize(size_t(kSpecials_) * kLanes);
  const Dim3 size = launch.launch->block, grid = launch.launch->grid;
  for (uint32_t l = 0; l < kLanes; ++l) {
    const auto set = [&](Special s, uint32_t v) { specials_[s * kLanes + l] = v; };
    const Dim3 t = block.thread_at(first + l);
    set(kTidX, t.x), set(kTidY, t.y), set(kTidZ, t.z);
    set(kNtidX, size.x), set(kNtidY, size.y), set(kNtidZ, size.z);
    set(kNctaidX, grid.x), set(kNctaidY, grid.y), set(kNctaidZ, grid.z);
    set(kLaneId, l), set(kWarpId, number), set(kNwarpId, (block.threads() + 31) / 32);
    const uint32_t eq = 1u << l, lt = eq - 1;
    set(kLaneMaskEq, eq), set(kLaneMaskLt, lt), set(kLaneMaskLe, lt | eq);
    set(kLaneMaskGt, ~(lt | eq)), set(kLaneMaskGe, ~lt);
    set(kNsmId, launch.sms), set(kGridId, launch.grid_id);
    set(kDynamicShared, uint32_t(launch.launch->dynamic_shared));
    set(kTotalShared, uint32_t(launch.shared_bytes));
  }
  base_[kSpecials] = reinterpret_cast<std::byte*>(specials_.data());
}

void Warp::start() {
  const uint32_t lanes = std::min<uint32_t>(kLanes, block_.threads() - number_ * kLanes);
  alive_ = lanes == kLanes ? kAllLanes : (1u << lanes) - 1;
  const auto set = [&](Special s, uint32_t v) {
    std::fill_n(specials_.begin() + std::ptrdiff_t(s) * kLanes, kLanes, v);
  };
  const Dim3 b = block_.index();
  set(kCtaidX, b.x), set(kCtaidY, b.y), set(kCtaidZ, b.z);
  set(kSmId, uint32_t(block_.number() % block_.launch().sms));
  executed = 0;
  undefined_.reset();
  spins_ = turns_ = 0;
  may_meet_ = false, meeting_ = nullptr;
  while (!frames_.empty()) spare_.push_back(std::move(frames_.back())), frames_.pop_back();
  groups_.clear();
  groups_.push_back({push(*block_.launch().image->entry, nullptr, alive_), 0, alive_});
}

Frame* Warp::push(const Code& code, Frame* caller, uint32_t mask) {
  auto it =
      std::find_if(spare_.begin(), spare_.end(), [&](const auto& f) { return f->code == &code; });
  if (it == spare_.end()) {
    auto fresh = std::make_unique<Frame>();
    fresh->code = &code;
    fresh->storage.resize(code.register_bytes + 64);
    auto at = reinterpret_cast<uintptr_t>(fresh->storage.data());
    fresh->registers = reinterpret_cast<std::byte*>((at + 63) & ~uintptr_t(63));
    fresh->predicates.resize(code.predicates);
    fresh->predicates[kTruePredicate] = kAllLanes;
    fresh->params.resize(size_t(code.param_bytes) * kLanes);
    if (Tally* tally = block_.tally()) fresh->counters = tally->of(code);
    spare_.push_back(std::move(fresh));
    it = spare_.end() - 1;
  }
  Frame* f = it->get();
  frames_.push_back(std::move(*it));
  spare_.erase(it);
  f->caller = caller;
  f->depth = caller ? caller->depth + 1 : 0;
  f->mask = mask;
  f->dynamic.clear();
  f->undefined.clear();
  f->local_base = caller ? caller->local_base + caller->code->local_bytes : 0;
  if (caller && !caller->dynamic.empty())
    f->local_base += *std::max_element(caller->dynamic.begin(), caller->dynamic.end());
  const uint64_t end = f->local_base + code.local_bytes;
  for (int l = 0; l < kLanes; ++l) {
    if (!(mask >> l & 1) || code.local_bytes == 0) continue;
    auto& memory = local_[size_t(l)];
    auto& shadow = local_shadow_[size_t(l)];
    if (memory.size() < end) memory.resize(end), shadow.resize(end);
    std::fill(shadow.begin() + std::ptrdiff_t(f->local_base), shadow.begin() + std::ptrdiff_t(end),
              uint8_t(1));
  }
  return f;
}

uint64_t Warp::extend_local(int lane, uint64_t bytes, uint64_t align) {
  Frame& f = *group_->frame;
  f.dynamic.resize(kLanes);
  uint64_t& taken = f.dynamic[size_t(lane)];
  const uint64_t base = f.local_base + f.code->local_bytes;
  const uint64_t at = (base + taken + align - 1) / align * align;
  if (bytes > kStack || at + bytes > kStack)
    throw this->at({"stack overflow", "alloca of " + std::to_string(bytes) +
                                          " bytes passes 1 MiB of local memory a thread"},
                   lane);
  taken = (at + bytes + 15) / 16 * 16 - base;  // frames of calls begin aligned
  auto& memory = local_[size_t(lane)];
  auto& shadow = local_shadow_[size_t(lane)];
  if (memory.size() < base + taken) memory.resize(base + taken), shadow.resize(base + taken);
  std::fill(shadow.begin() + std::ptrdiff_t(at), shadow.begin() + std::ptrdiff_t(at + bytes),
            uint8_t(1));
  return at;
}

void Warp::drop(Frame* frame) {
  const auto it =
      std::find_if(frames_.begin(), frames_.end(), [&](const auto& f) { return f.get() == frame; });
  spare_.push_back(std::move(*it));
  frames_.erase(it);
}

void Warp::merge() {
  for (size_t i = 0; i < groups_.size(); ++i)
    for (size_t j = i + 1; j < groups_.size();) {
      Group &a = groups_[i], &b = groups_[j];
      const bool same = a.frame == b.frame && a.pc == b.pc && a.wait == b.wait &&
                        a.barrier == b.barrier && a.wait_mask == b.wait_mask;
      if (!same) {
        ++j;
        continue;
      }
      a.mask |= b.mask;
      a.turn = std::min(a.turn, b.turn);
      if (a.wait == Wait::lanes) a.wait = Wait::none;  // looks again who is here
      groups_.erase(groups_.begin() + std::ptrdiff_t(j));
    }
}

void Warp::choose() {
  group_ = nullptr;
  if (groups_.size() > 1) merge();
  if (may_meet_) meet(), group_ = nullptr;
  Group* best = nullptr;
  const auto before = [](const Group& a, const Group& b) {
    if (a.turn != b.turn) return a.turn < b.turn;
    if (a.frame->depth != b.frame->depth) return a.frame->depth > b.frame->depth;
    return a.pc < b.pc;
  };
  for (Group& g : groups_)
    if (g.wait == Wait::none && (!best || before(g, *best))) best = &g;
  if (best) enter(*best);
}

void Warp::enter(Group& g) {
  group_ = &g;
  pc = g.pc;
  counters = g.frame->counters;
  base_[kRegisters] = g.frame->registers;
  base_[kConstants] =
      reinterpret_cast<std::byte*>(const_cast<uint32_t*>(g.frame->code->constants.data()));
  stop_ = kNever;
  for (const Group& other : groups_)
    if (&other != &g && other.frame == g.frame && other.pc > pc) stop_ = std::min(stop_, other.pc);
}

Warp::~Warp() = default;

bool Warp::load_undefined(const Fault& fault, int lane, const uint8_t* shadow) {
  const Code& code = *group_->frame->code;
  if (!undefined_) undefined_ = std::make_unique<Undefined>(block_.module());
  stop_ = 0;  // from here on the warp runs with an eye on them
  const ptx::Instruction& text = code.function->code[code.insts[pc - 1].source];
  return undefined_->load(*this, text, lane, shadow, fault);
}

void Warp::run_group() {
  const Inst* insts = group_->frame->code->insts.data();
  const uint32_t* predicates = group_->frame->predicates.data();
  Counter* const counts = counters;
  uint64_t count = 0;
  do {
    const Inst& inst = insts[pc++];
    uint32_t mask = group_->mask;
    if (inst.guard != kNoPredicate)
      mask &= inst.guard_negated ? ~predicates[inst.guard] : predicates[inst.guard];
    ++count;
    if (counts) counts[pc - 1].ran(group_->mask, mask);
    if (mask) inst.run(*this, inst, mask);
  } while (pc < stop_);
  executed += count;
}

/// The same, an instruction at a time, until no undefined value is left.
void Warp::run_undefined() {
  const Inst& inst = group_->frame->code->insts[pc++];
  const auto& predicates = group_->frame->predicates;
  uint32_t mask = group_->mask;
  if (inst.guard != kNoPredicate)
    mask &= inst.guard_negated ? ~predicates[inst.guard] : predicates[inst.guard];
  ++executed;
  if (counters) counters[pc - 1].ran(group_->mask, mask);
  const bool stores = undefined_->before(*this, inst, mask);
  if (mask) inst.run(*this, inst, mask);
  if (stores) undefined_->after(*this, inst);
}

Ran Warp::run(uint32_t share) {
  share_ = share;
  const auto defined = [](const auto& frame) { return frame->undefined.empty(); };
  if (undefined_ && std::all_of(frames_.begin(), frames_.end(), defined)) undefined_.reset();
  for (;;) {
    choose();
    if (!group_) return done() ? Ran::done : Ran::blocked;
    if (!undefined_) {
      run_group();
    } else {
      do run_undefined();
      while (pc < stop_);
    }
    if (group_) save();
    if (share_ <= 0) return done() ? Ran::done : Ran::yielded;
  }
}

Group& Warp::split(uint32_t mask, uint32_t at) {
  Group other = *group_;
  group_->mask &= ~mask;
  other.mask = mask;
  other.pc = at;
  const auto index = group_ - groups_.data();
  groups_.push_back(other);
  group_ = &groups_[size_t(index)];
  return groups_.back();
}

void Warp::branch(uint32_t taken, uint32_t target) {
  if (target < pc) {
    --share_;
    if (groups_.size() > 1 && ++spins_ > kSpins) {
      spins_ = 0;
      group_->turn = ++turns_;
    }
    if (share_ <= 0 || groups_.size() > 1) stop_ = 0;
  }
  if (taken == group_->mask) {
    pc = target;
    if (groups_.size() > 1) stop_ = 0;
    return;
  }
  if (Counter* c = counter()) ++c->splits;
  split(taken, target);
  stop_ = 0;
}

void Warp::stay(uint32_t mask) {
  if (Counter* c = counter()) c->lanes -= uint64_t(std::popcount(mask));
  split(mask, pc - 1);
  stop_ = 0;
}

void Warp::call(const Inst& inst, const Code& callee, uint32_t mask) {
  Frame* caller = group_->frame;
  if (caller->local_base + caller->code->local_bytes + callee.local_bytes > kStack ||
      caller->depth > 20000)
    throw at({"stack overflow", "calls are nested too deeply for 1 MiB of local memory a thread"},
             std::countr_zero(mask));
  if (mask != group_->mask) {  // the others go on behind the call
    save();
    split(group_->mask & ~mask, pc);
  }
  Frame* f = push(callee, caller, mask);
  f->return_pc = pc;
  f->call = &inst;
  group_->frame = f;
  pc = 0;
  stop_ = 0;
}

void Warp::ret(uint32_t mask) {
  Frame* f = group_->frame;
  if (!f->caller) return exit(mask);
  if (mask != group_->mask) split(group_->mask & ~mask, pc);
  f->mask &= ~mask;
  group_->frame = f->caller;
  pc = f->return_pc;
  if (f->mask == 0) drop(f);
  stop_ = 0;
}

void Warp::exit(uint32_t mask) {
  for (Frame* f = group_->frame; f;) {
    Frame* up = f->caller;
    f->mask &= ~mask;
    if (f->mask == 0 && up) drop(f);
    f = up;
  }
  alive_ &= ~mask;
  if (mask == group_->mask) {
    groups_.erase(groups_.begin() + (group_ - groups_.data()));
    group_ = nullptr;
  } else {
    group_->mask &= ~mask;
  }
  for (Group& g : groups_)
    if (g.wait == Wait::lanes) g.wait = Wait::none;  // who waited for these looks again
  stop_ = 0;
  block_.threads_ended(uint32_t(std::popcount(mask)));
}

void Warp::wait_at_barrier(uint32_t barrier, uint32_t mask, bool again) {
  if (mask != group_->mask) split(group_->mask & ~mask, pc);
  group_->wait = Wait::barrier;
  group_->barrier = barrier;
  group_->again = again;
  if (again) {
    if (Counter* c = counter()) c->did_not(mask);
    --pc;
  }
  stop_ = 0;
}

uint32_t Warp::release_barrier(uint32_t barrier) {
  uint32_t lanes = 0;
  for (Group& g : groups_) {
    if (g.wait != Wait::barrier || g.barrier != barrier) continue;
    g.wait = Wait::none, g.barrier = 0;
    lanes |= g.mask;
  }
  return lanes;
}

}  // namespace sim
