// All ways through the code from a wait that failed are followed, with what is known of registers
// since: its predicate is false, and so is what is computed from it. Where each way comes back to
// the wait, the loop has no other exit. Sleeps and clocks of a loop that waits politely lead to
// branches of which nothing is known: both ways are followed.
#include "simulator/exec/wait_loop.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace sim {
namespace {

using ptx::Instruction;
using ptx::Operand;
using Known = std::map<uint64_t, uint64_t>;  // registers and their values

constexpr size_t kMostSteps = 4096;

bool among(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// It writes registers alone, which the first operand names.
bool is_pure(const Instruction& inst) {
  if (inst.opcode == "ld")  // of what no other block and not the host can write
    return inst.has("shared") || inst.has("shared::cta") || inst.has("local") ||
           inst.has("param") || inst.has("const");
  return among(inst.opcode,
               {"mov", "add", "sub",  "mul",  "mad", "min", "max",  "abs",  "neg",  "and",
                "or",  "xor", "not",  "cnot", "shl", "shr", "bfe",  "bfi",  "clz",  "popc",
                "div", "rem", "prmt", "lop3", "cvt", "set", "setp", "selp", "cvta", "slct"});
}
/// It changes nothing but the time.
bool is_idle(const Instruction& inst) {
  return among(inst.opcode, {"nanosleep", "fence", "membar"});
}

template <class F>
void each_register(const Operand& o, F&& visit) {
  if (o.kind == Operand::Kind::reg || (o.kind == Operand::Kind::address && o.base_is_reg))
    visit(o.value);
  for (const Operand& part : o.parts) each_register(part, visit);
}

std::optional<uint64_t> value_of(const Operand& o, const Known& known) {
  if (o.kind == Operand::Kind::integer) return o.value;
  if (o.kind != Operand::Kind::reg) return std::nullopt;
  const auto it = known.find(o.value);
  if (it == known.end()) return std::nullopt;
  return o.negated ? uint64_t(!it->second) : it->second;
}

/// What an instruction computes, of the few forms in which a predicate is carried on; all numbers
/// are 0 or 1.
std::optional<uint64_t> result_of(const Instruction& inst, const Known& known) {
  const auto& o = inst.operands;
  const auto of = [&](size_t k) { return k < o.size() ? value_of(o[k], known) : std::nullopt; };
  const auto a = of(1), b = of(2);
  if (inst.opcode == "selp") {
    const auto p = of(3);
    return p ? (*p ? a : b) : std::nullopt;
  }
  if (inst.opcode == "mov" || inst.opcode == "cvt") return a;
  if (inst.opcode == "not" && inst.has("pred") && a) return !*a;
  if (!a || !b) return std::nullopt;
  if (inst.opcode == "and") return *a & *b;
  if (inst.opcode == "or") return *a | *b;
  if (inst.opcode == "xor") return *a ^ *b;
  const bool integers = inst.has("s16") || inst.has("u16") || inst.has("b16") || inst.has("s32") ||
                        inst.has("u32") || inst.has("b32") || inst.has("s64") || inst.has("u64") ||
                        inst.has("b64");
  if (inst.opcode != "setp" || !integers || o.size() != 3) return std::nullopt;
  if (inst.has("eq")) return *a == *b;
  if (inst.has("ne")) return *a != *b;
  return std::nullopt;
}

class Ways {
 public:
  Ways(const ptx::Function& function, uint32_t wait) : code_(function.code), wait_(wait) {}

  bool all_come_back() {
    const Instruction& wait = code_[wait_];
    if (wait.guard >= 0 || wait.operands.size() < 3) return false;
    if (wait.operands[0].kind != Operand::Kind::reg) return false;
    follow(wait_ + 1, {{wait.operands[0].value, 0}});
    while (!open_.empty()) {
      if (seen_.size() > kMostSteps) return false;
      const auto [at, known] = std::move(open_.back());
      open_.pop_back();
      if (!step(at, known)) return false;
    }
    return repeats(wait.operands[1], {}) && repeats(wait.operands[2], {});
  }

 private:
  void follow(uint64_t at, Known known) {
    if (at == wait_) return;
    if (seen_.emplace(at, known).second) open_.emplace_back(at, std::move(known));
  }

  /// False: the thread does something else there, or may.
  bool step(uint64_t at, Known known) {
    if (at >= code_.size()) return false;
    const Instruction& inst = code_[at];
    std::optional<bool> runs = true;
    if (inst.guard >= 0) {
      const auto it = known.find(uint64_t(inst.guard));
      runs = it == known.end() ? std::nullopt
                               : std::optional<bool>((it->second != 0) != inst.guard_negated);
    }
    parts_ |= !runs;
    if (inst.opcode == "bra") {
      if (inst.operands.size() != 1 || inst.operands[0].kind != Operand::Kind::label) return false;
      if (runs.value_or(true)) follow(inst.operands[0].value, known);
      if (!runs.value_or(false)) follow(at + 1, std::move(known));
      return true;
    }
    if (runs.value_or(true) && !is_idle(inst)) {
      if (!is_pure(inst) || inst.operands.empty()) return false;
      constexpr uint64_t kUnknown = 2;
      const uint64_t result = runs ? result_of(inst, known).value_or(kUnknown) : kUnknown;
      each_register(inst.operands[0], [&](uint64_t reg) {
        written_[reg].insert(at);
        known.erase(reg);
      });
      if (result < kUnknown && inst.operands[0].kind == Operand::Kind::reg)
        known[inst.operands[0].value] = result;
    }
    follow(at + 1, std::move(known));
    return true;
  }

  /// Whether an operand of the wait has the same value each time: nothing on the ways writes it, or
  /// one instruction does, from what nothing writes.
  bool repeats(const Operand& o, std::set<uint64_t> within) const {
    bool same = true;
    each_register(o, [&](uint64_t reg) {
      const auto it = written_.find(reg);
      if (it == written_.end()) return;
      same = same && !parts_ && it->second.size() == 1 && within.insert(reg).second;
      if (!same) return;
      const Instruction& inst = code_[*it->second.begin()];
      same = inst.opcode != "ld";
      for (size_t k = 1; k < inst.operands.size(); ++k)
        same = same && inst.operands[k].kind != Operand::Kind::special &&
               repeats(inst.operands[k], within);
    });
    return same;
  }

  const std::vector<Instruction>& code_;
  const uint64_t wait_;
  std::vector<std::pair<uint64_t, Known>> open_;
  std::set<std::pair<uint64_t, Known>> seen_;
  std::map<uint64_t, std::set<uint64_t>> written_;  // registers, and where
  bool parts_ = false;                              // a branch of which nothing is known
};

}  // namespace

bool asks_until_over(const ptx::Function& function, uint32_t instruction) {
  return Ways(function, instruction).all_come_back();
}

}  // namespace sim
