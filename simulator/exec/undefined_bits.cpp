#include "simulator/exec/undefined_bits.h"

#include <algorithm>
#include <string_view>

#include "simulator/exec/lanes.h"

namespace sim {

uint64_t UndefinedRegisters::of(uint32_t reg, int lane) const {
  const auto it = bits_.find(reg);
  return it == bits_.end() ? 0 : it->second[size_t(lane)];
}

uint32_t UndefinedRegisters::lanes(uint32_t reg) const {
  const auto it = bits_.find(reg);
  if (it == bits_.end()) return 0;
  return lanes_where([&](int l) { return it->second[size_t(l)] != 0; });
}

void UndefinedRegisters::set(uint32_t reg, int lane, uint64_t bits) {
  auto it = bits_.find(reg);
  if (it == bits_.end()) {
    if (bits == 0) return;
    it = bits_.emplace(reg, std::array<uint64_t, kLanes>{}).first;
  }
  it->second[size_t(lane)] = bits;
  if (bits == 0 && lanes(reg) == 0) bits_.erase(it);
}

namespace {

using ptx::Type;
using In = std::span<const Partly>;
constexpr uint64_t kAll = ~uint64_t(0);

Type type_of(const ptx::Instruction& text, bool first = false) {
  Type found = Type::none;
  for (const auto& m : text.modifiers)
    if (const auto t = ptx::type_named(m); t && (!first || found == Type::none)) found = *t;
  return found;
}

bool is_whole(Type t) { return t >= Type::u8 && t <= Type::s64; }
bool is_signed(Type t) {
  return t == Type::s8 || t == Type::s16 || t == Type::s32 || t == Type::s64;
}
bool is_pair(Type t, const ptx::Instruction& text) {
  return t == Type::f16x2 || t == Type::bf16x2 || text.has("u16x2") || text.has("s16x2");
}

/// As LOP3 has it: which function of three bits, where those that are undefined may be 0 or 1.
uint64_t logic(uint8_t table, In in) {
  uint64_t ones = 0, zeros = 0;
  for (int k = 0; k < 8; ++k) {
    uint64_t possible = kAll;
    for (size_t input = 0; input < 3; ++input) {
      const Partly p = input < in.size() ? in[input] : Partly{};
      possible &= p.undefined | ((k >> (2 - input) & 1) ? p.value : ~p.value);
    }
    ((table >> k & 1) ? ones : zeros) |= possible;
  }
  return ones & zeros;
}

/// All bits above the highest of `bits` are as that one.
uint64_t extended(uint64_t u, uint64_t bits, bool by_sign) {
  u &= low_bits(bits);
  return by_sign && bits > 0 && (u >> (bits - 1) & 1) ? u | ~low_bits(bits) : u;
}

uint64_t upward(uint64_t u) { return u ? ~((u & -u) - 1) : 0; }

uint64_t shift(const ptx::Instruction& text, In in, uint64_t width) {
  if (in[1].undefined) return kAll;
  const uint64_t n = std::min<uint64_t>(uint32_t(in[1].value), width);
  if (text.opcode == "shl") return n >= 64 ? 0 : in[0].undefined << n;
  const uint64_t u = extended(in[0].undefined, width, is_signed(type_of(text)));
  if (n >= 64) return u >> 63 ? kAll : 0;
  return is_signed(type_of(text)) ? uint64_t(int64_t(u) >> n) : u >> n;
}

uint64_t funnel(const ptx::Instruction& text, In in) {
  if (in[2].undefined) return kAll;
  const auto wanted = uint32_t(in[2].value);
  const uint32_t n = text.has("clamp") ? std::min<uint32_t>(wanted, 32) : wanted & 31;
  const uint64_t both = in[1].undefined << 32 | (in[0].undefined & low_bits(32));
  return text.has("l") ? (both << n) >> 32 : both >> n;
}

uint64_t extract(const ptx::Instruction& text, In in, uint64_t width) {
  if (in[1].undefined || in[2].undefined) return kAll;
  const uint64_t from = in[1].value & 0xff, length = in[2].value & 0xff;
  const uint64_t u = extended(in[0].undefined, width, is_signed(type_of(text)));
  const uint64_t moved = from >= 64 ? (u >> 63 ? kAll : 0) : uint64_t(int64_t(u) >> from);
  return extended(moved, std::min(length, width), is_signed(type_of(text)));
}

uint64_t insert(In in) {
  if (in[2].undefined || in[3].undefined) return kAll;
  const uint64_t to = in[2].value & 0xff, field = low_bits(in[3].value & 0xff);
  if (to >= 64) return in[1].undefined;
  return ((in[0].undefined & field) << to) | (in[1].undefined & ~(field << to));
}

/// prmt without a mode: four nibbles choose bytes, the highest bit of one repeats the byte's sign.
uint64_t bytes_chosen(const ptx::Instruction& text, In in) {
  const bool has_mode = text.modifiers.size() > 1;
  if (in[2].undefined || has_mode) return kAll;
  const uint64_t both = in[1].undefined << 32 | (in[0].undefined & low_bits(32));
  uint64_t out = 0;
  for (uint64_t k = 0; k < 4; ++k) {
    const uint64_t choice = in[2].value >> 4 * k;
    uint64_t byte = both >> 8 * (choice & 7) & 0xff;
    if (choice & 8) byte = byte >> 7 ? 0xff : 0;
    out |= byte << 8 * k;
  }
  return out;
}

uint64_t converted(const ptx::Instruction& text, In in) {
  const Type to = type_of(text, true), from = type_of(text);
  if (to == Type::f16x2 || to == Type::bf16x2)
    return in.size() == 2 ? (in[0].undefined ? 0xffff0000u : 0u) | (in[1].undefined ? 0xffffu : 0u)
                          : kAll;
  const auto bits = [](Type t) { return uint64_t(ptx::size_of(t)) * 8; };
  const uint64_t read =
      from == Type::none ? in[0].undefined : in[0].undefined & low_bits(bits(from));
  if (read == 0) return 0;
  if (!is_whole(to) || !is_whole(from) || text.has("sat")) return kAll;
  return extended(extended(read, bits(from), is_signed(from)), bits(to), is_signed(to));
}

}  // namespace

uint64_t undefined_result(const ptx::Instruction& text, std::span<const Partly> in) {
  uint64_t any = 0;
  for (const Partly& p : in) any |= p.undefined;
  if (any == 0) return 0;
  const std::string_view op = text.opcode;
  const Type t = type_of(text);
  const uint64_t width = uint64_t(ptx::size_of(t)) * 8;
  const auto has = [&](size_t n) { return in.size() >= n; };
  if (op == "mov") return any;
  if (op == "cvt" && !text.has("pack")) return converted(text, in);
  if (op == "not") return logic(0x0f, in);
  if (op == "and") return logic(0xf0 & 0xcc, in);
  if (op == "or") return logic(0xf0 | 0xcc, in);
  if (op == "xor") return logic(0xf0 ^ 0xcc, in);
  if (op == "lop3" && has(4)) return logic(uint8_t(in[3].value), in.first(3));
  if ((op == "shl" || op == "shr") && has(2)) return shift(text, in, width);
  if (op == "shf" && has(3)) return funnel(text, in);
  if (op == "bfe" && has(3)) return extract(text, in, width);
  if (op == "bfi" && has(4)) return insert(in);
  if (op == "prmt" && has(3)) return bytes_chosen(text, in);
  if (is_pair(t, text) && op != "set" && op != "setp")
    return (any & 0xffff0000u ? 0xffff0000u : 0u) | (any & 0xffffu ? 0xffffu : 0u);
  const bool sums =
      op == "add" || op == "sub" || op == "neg" || ((op == "mul" || op == "mad") && text.has("lo"));
  if (sums && is_whole(t) && !text.has("sat")) return upward(any);
  return kAll;
}

}  // namespace sim
