#include "simulator/code/instruction.h"

namespace sim {

bool Instruction::has(std::string_view modifier) const {
  bool found = false;
  for (size_t k = 0; k < text_.modifiers.size(); ++k)
    if (text_.modifiers[k] == modifier) look_at(k), found = true;
  return found;
}

std::string_view Instruction::first() const {
  return text_.modifiers.empty() ? std::string_view() : look_at(0);
}

std::optional<ptx::Type> Instruction::type(int position) const {
  std::optional<size_t> last;
  for (size_t k = 0; k < text_.modifiers.size(); ++k) {
    if (!ptx::type_named(text_.modifiers[k])) continue;
    last = k;
    if (position-- == 0) break;
  }
  if (!last) return std::nullopt;
  return ptx::type_named(look_at(*last));
}

int Instruction::types() const {
  int n = 0;
  for (const std::string& m : text_.modifiers) n += ptx::type_named(m).has_value();
  return n;
}

std::optional<std::string> Instruction::unknown() const {
  for (size_t k = 0; k < text_.modifiers.size(); ++k) {
    const bool known = k < 64 && (known_ >> k & 1);
    if (!known && !is_ignored(opcode, text_.modifiers[k])) return text_.modifiers[k];
  }
  return std::nullopt;
}

}  // namespace sim
