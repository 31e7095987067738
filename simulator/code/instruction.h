// An instruction as it is decoded: it notes which of its modifiers and operands were looked at, so
// that one which nobody knows is refused instead of passed over.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "simulator/ptx/module.h"

namespace sim {

class Operands {
 public:
  explicit Operands(const std::vector<ptx::Operand>& list) : list_(list) {}

  /// Throws std::out_of_range where there are not so many.
  const ptx::Operand& operator[](size_t k) const {
    if (k < 64) known_ |= uint64_t(1) << k;
    return list_.at(k);
  }
  size_t size() const { return list_.size(); }
  /// Their number is right, so one that is not looked at may be passed over.
  void count() const { counted_ = true; }
  /// All were looked at, or counted.
  bool known() const {
    for (size_t k = 0; k < list_.size() && !counted_; ++k)
      if (k >= 64 || !(known_ >> k & 1)) return false;
    return true;
  }

 private:
  const std::vector<ptx::Operand>& list_;
  mutable uint64_t known_ = 0;
  mutable bool counted_ = false;
};

class Instruction {
 public:
  explicit Instruction(const ptx::Instruction& text)
      : opcode(text.opcode), operands(text.operands), text_(text) {}

  const std::string& opcode;
  const Operands operands;
  std::string text() const { return text_.text(); }
  uint32_t line() const { return text_.line; }

  /// Whether a modifier is written. Who asks knows what to do where it is.
  bool has(std::string_view modifier) const;
  /// The first modifier, which says of many opcodes what they do; "" where there is none.
  std::string_view first() const;
  /// The first modifier from the left that f takes; "" where it takes none.
  template <class F>
  std::string_view find(F&& f) const {
    for (size_t k = 0; k < text_.modifiers.size(); ++k)
      if (f(std::string_view(text_.modifiers[k]))) return look_at(k);
    return {};
  }

  /// The modifier that is a type, at a position among those from the left; past the last, and of
  /// -1, it is the last. Nothing where no modifier is one.
  std::optional<ptx::Type> type(int position) const;
  int types() const;

  /// A modifier that was never asked for and that can't be ignored either.
  std::optional<std::string> unknown() const;

 private:
  std::string_view look_at(size_t k) const {
    if (k < 64) known_ |= uint64_t(1) << k;
    return text_.modifiers[k];
  }

  const ptx::Instruction& text_;
  mutable uint64_t known_ = 0;  // by modifier; one past the 64th stays unknown
};

/// Modifiers that change nothing on a software GPU, though a card needs them (ignored.cpp).
bool is_ignored(std::string_view opcode, std::string_view modifier);

}  // namespace sim
