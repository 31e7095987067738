#include "simulator/code/registers.h"

#include <algorithm>
#include <bit>
#include <map>

#include "simulator/code/code.h"

namespace sim {
namespace {

using ptx::Function;
using ptx::Instruction;

/// A set of registers.
class Set {
 public:
  explicit Set(size_t registers = 0) : words_((registers + 63) / 64) {}
  bool has(uint32_t r) const { return words_[r / 64] >> (r % 64) & 1; }
  void add(uint32_t r) { words_[r / 64] |= uint64_t(1) << (r % 64); }
  /// Adds what is in `from` and not in `without`; whether that was anything new.
  bool add_all(const Set& from, const Set& without) {
    uint64_t fresh = 0;
    for (size_t k = 0; k < words_.size(); ++k) {
      const uint64_t more = from.words_[k] & ~without.words_[k] & ~words_[k];
      words_[k] |= more;
      fresh |= more;
    }
    return fresh != 0;
  }
  template <class F>
  void each(F&& f) const {
    for (size_t k = 0; k < words_.size(); ++k)
      for (uint64_t rest = words_[k]; rest; rest &= rest - 1)
        f(uint32_t(k * 64 + size_t(std::countr_zero(rest))));
  }

 private:
  std::vector<uint64_t> words_;
};

/// Instructions without a branch into or out of them.
struct Stretch {
  uint32_t begin = 0, end = 0;
  std::vector<uint32_t> next;  // stretches that may follow
  Set made, in, out;           // written whole; alive where it begins and ends
};

const std::vector<uint32_t>* table_of(const Function& f, const Instruction& inst) {
  for (const auto& t : f.targets)
    if (inst.operands.size() > 1 && t.name == inst.operands[1].name) return &t.code;
  return nullptr;
}

/// Where an instruction may lead to other than the next one.
std::vector<uint32_t> targets_of(const Function& f, const Instruction& inst) {
  if (inst.opcode == "bra" && !inst.operands.empty()) return {uint32_t(inst.operands[0].value)};
  if (inst.opcode == "brx")
    if (const auto* table = table_of(f, inst)) return *table;
  return {};
}

bool leaves(const Instruction& inst) {
  return inst.opcode == "bra" || inst.opcode == "brx" || inst.opcode == "ret" ||
         inst.opcode == "exit" || inst.opcode == "trap";
}

std::vector<Stretch> stretches_of(const Function& f) {
  const auto n = uint32_t(f.code.size());
  std::vector<bool> begins(n + 1, false);
  begins[0] = true;
  for (uint32_t k = 0; k < n; ++k) {
    if (!leaves(f.code[k])) continue;
    begins[k + 1] = true;
    for (const uint32_t t : targets_of(f, f.code[k])) begins[std::min(t, n)] = true;
  }
  std::vector<Stretch> all;
  std::vector<uint32_t> at(n + 1, 0);
  for (uint32_t k = 0; k < n; ++k) {
    if (begins[k]) all.emplace_back().begin = k;
    at[k] = uint32_t(all.size() - 1);
    all.back().end = k + 1;
  }
  for (Stretch& s : all) {
    const Instruction& last = f.code[s.end - 1];
    for (const uint32_t t : targets_of(f, last))
      if (t < n) s.next.push_back(at[t]);
    if ((!leaves(last) || last.guard >= 0) && s.end < n) s.next.push_back(at[s.end]);
  }
  return all;
}

// Code that no compiler writes could take the square of its length in memory, and its cube in time.
constexpr size_t kMostSets = size_t(1) << 31;  // bits of a set of registers for each stretch
constexpr int kMostSweeps = 200;               // nested loops take one each

/// False: it takes too long.
bool find_lives(const Function& f, const std::vector<Touched>& touched, std::vector<Stretch>& all) {
  if (all.size() * f.registers.size() > kMostSets) return false;
  const Set none(f.registers.size());
  for (Stretch& s : all) {
    s.made = s.in = s.out = none;
    for (uint32_t k = s.begin; k < s.end; ++k) {
      for (const uint32_t r : touched[k].read)
        if (!s.made.has(r)) s.in.add(r);
      for (const uint32_t r : touched[k].written)
        if (f.code[k].guard < 0)
          s.made.add(r);  // under a guard the old value may stay
        else if (!s.made.has(r))
          s.in.add(r);
    }
  }
  int sweeps = 0;
  for (bool moved = true; moved;) {
    if (++sweeps > kMostSweeps) return false;
    moved = false;
    for (auto s = all.rbegin(); s != all.rend(); ++s) {
      for (const uint32_t next : s->next) s->out.add_all(all[next].in, none);
      moved |= s->in.add_all(s->out, s->made);
    }
  }
  return true;
}

/// From the first place where a register is alive to the last: reading is at 2k, writing at 2k + 1.
struct Life {
  uint32_t reg = 0, begin = ~0u, end = 0;
  void reaches(uint32_t place) { begin = std::min(begin, place), end = std::max(end, place); }
};

std::vector<Life> lives_of(const Function& f, const std::vector<Touched>& touched,
                           const std::vector<Stretch>& all) {
  std::vector<Life> lives(f.registers.size());
  for (uint32_t r = 0; r < lives.size(); ++r) lives[r].reg = r;
  for (const Stretch& s : all) {
    s.in.each([&](uint32_t r) { lives[r].reaches(2 * s.begin); });
    s.out.each([&](uint32_t r) { lives[r].reaches(2 * s.end - 1); });
    for (uint32_t k = s.begin; k < s.end; ++k) {
      const bool several = touched[k].written.size() > 1;
      for (const uint32_t r : touched[k].read) lives[r].reaches(2 * k);
      for (const uint32_t r : touched[k].written) {
        lives[r].reaches(2 * k + 1);
        if (several) lives[r].reaches(2 * k);
      }
    }
  }
  return lives;
}

}  // namespace

uint32_t row_bytes(ptx::Type type) { return kRow * uint32_t(std::max(1, ptx::size_of(type) / 4)); }

RegisterPlan separate_rows(const Function& f, uint32_t first) {
  RegisterPlan plan{{}, first};
  for (const auto& r : f.registers) {
    plan.byte.push_back(r.type == ptx::Type::pred ? 0 : plan.end);
    if (r.type != ptx::Type::pred) plan.end += row_bytes(r.type);
  }
  return plan;
}

RegisterPlan shared_rows(const Function& f, const std::vector<Touched>& touched, uint32_t first) {
  std::vector<Stretch> all = stretches_of(f);
  if (!find_lives(f, touched, all)) return separate_rows(f, first);
  std::vector<Life> lives = lives_of(f, touched, all);
  std::sort(lives.begin(), lives.end(), [](const Life& a, const Life& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.reg < b.reg;
  });
  RegisterPlan plan{std::vector<uint32_t>(f.registers.size(), 0), first};
  std::map<uint32_t, std::vector<uint32_t>> spare;  // rows by their size
  std::multimap<uint32_t, uint32_t> taken;          // by the end of the life: the register
  for (const Life& life : lives) {
    const ptx::Type type = f.registers[life.reg].type;
    if (life.begin == ~0u || type == ptx::Type::pred) continue;
    while (!taken.empty() && taken.begin()->first < life.begin) {
      const uint32_t r = taken.begin()->second;
      spare[row_bytes(f.registers[r].type)].push_back(plan.byte[r]);
      taken.erase(taken.begin());
    }
    const uint32_t size = row_bytes(type);
    auto& rows = spare[size];
    if (rows.empty()) {
      plan.byte[life.reg] = plan.end;
      plan.end += size;
    } else {
      plan.byte[life.reg] = rows.back();
      rows.pop_back();
    }
    taken.emplace(life.end, life.reg);
  }
  return plan;
}

}  // namespace sim
