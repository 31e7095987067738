#include "simulator/code/work.h"

#include <algorithm>
#include <array>

#include "simulator/exec/tensor.h"

namespace sim {
namespace {

using ptx::Type;

template <size_t N>
bool among(std::string_view word, const std::array<std::string_view, N>& list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

constexpr std::array<std::string_view, 9> kSpecialFunctions = {"div", "sqrt", "rcp", "rsqrt", "sin",
                                                               "cos", "lg2",  "ex2", "tanh"};

/// The first type that is written, or the last: cvt.f32.f64 and mma have several.
Type written_type(const ptx::Instruction& inst, bool last) {
  Type found = Type::none;
  for (const std::string& m : inst.modifiers)
    if (const auto t = ptx::type_named(m)) {
      found = *t;
      if (!last) break;
    }
  return found;
}

bool is_pair(Type t) { return t == Type::f16x2 || t == Type::bf16x2; }
bool is_half(Type t) { return t == Type::f16 || t == Type::bf16 || is_pair(t); }
bool is_wide(Type t) {
  return t == Type::u64 || t == Type::s64 || t == Type::b64 || t == Type::f64;
}

bool starts_any(const ptx::Instruction& inst, std::string_view begin) {
  return std::any_of(inst.modifiers.begin(), inst.modifiers.end(),
                     [&](const std::string& m) { return m.starts_with(begin); });
}

Class memory_class(const ptx::Instruction& inst) {
  if (inst.opcode == "atom" || inst.opcode == "red") return Class::atomic;
  if (inst.opcode == "cp") return Class::copy;
  if (starts_any(inst, "global")) return Class::global;
  if (starts_any(inst, "shared")) return Class::shared;
  if (starts_any(inst, "local")) return Class::local;
  if (starts_any(inst, "param")) return Class::param;
  if (starts_any(inst, "const")) return Class::constant;
  return Class::memory;
}

/// The type of mma's a, on which its rate depends; wmma of f16 writes only d's and c's.
Work tensor_work(const ptx::Instruction& inst) {
  const Shape s = shape_of(Instruction(inst));
  std::array<Type, 4> types{};
  size_t n = 0;
  for (const std::string& m : inst.modifiers)
    if (const auto t = ptx::type_named(m); t && n < types.size()) types[n++] = *t;
  Work work;
  work.each = uint32_t(2 * s.m * s.n * s.k);
  switch (n == 4 ? types[1] : Type::f16) {
    case Type::tf32:
      work.unit = Unit::tensor_tf32;
      break;
    case Type::f64:
      work.unit = Unit::tensor_f64;
      break;
    case Type::s8:
    case Type::u8:
      work.unit = Unit::tensor_int8;
      break;
    default:
      work.unit = Unit::tensor_f16;
  }
  return work;
}

/// Operations of a lane; 0 for what is moved, compared or its sign changed.
uint32_t operations(const std::string& opcode) {
  if (opcode == "fma" || opcode == "mad") return 2;
  return opcode == "add" || opcode == "sub" || opcode == "mul" ? 1 : 0;
}

/// Where ptxas makes none or several of one. Counted in what it makes for sm_80 and sm_90; rounded.
uint32_t slots_of(const ptx::Instruction& inst, Class kind) {
  const std::string& op = inst.opcode;
  const Type t = written_type(inst, true);
  if (op == "mov" || op == "cvta" || kind == Class::param) return 0;
  const bool wide = is_wide(t);
  switch (kind) {
    case Class::integer:
      if (op == "div" || op == "rem") return wide ? 80 : 20;
      if ((op == "mul" || op == "mad") && wide) return 4;
      if (op == "setp" || op == "selp") return t == Type::u64 || t == Type::s64 ? 2 : 1;
      return wide ? 2 : 1;
    case Class::special:
      if (t == Type::f64) return inst.has("approx") ? 1 : 25;
      if (op == "div") return inst.has("approx") || inst.has("full") ? 3 : 10;
      return inst.has("approx") ? 2 : 8;
    default:
      return 1;
  }
}

}  // namespace

Class class_of(const ptx::Instruction& inst, Class family) {
  if (family == Class::memory) return memory_class(inst);
  if (family != Class::real) return family;
  if (among(inst.opcode, kSpecialFunctions)) return Class::special;
  const Type t = written_type(inst, true);
  return is_half(t) ? Class::half : t == Type::f64 ? Class::real64 : Class::real;
}

std::string_view name_of(Class kind) {
  constexpr std::array<std::string_view, kClasses> names = {
      "integer", "f32",    "f64",    "f16",    "special", "convert",  "move",
      "control", "global", "shared", "local",  "param",   "constant", "generic memory",
      "atomic",  "copy",   "sync",   "tensor", "other"};
  return names[size_t(kind)];
}

std::string_view name_of(Unit unit) {
  constexpr std::array<std::string_view, kUnits> names = {
      "none", "f32", "f64", "f16", "tensor f16", "tensor tf32", "tensor f64", "tensor int8"};
  return names[size_t(unit)];
}

Work work_of(const ptx::Instruction& inst, Class kind) {
  if (kind == Class::tensor) return tensor_work(inst);
  Work work;
  work.slots = slots_of(inst, kind);
  const Type t = written_type(inst, true);
  if (kind == Class::real || kind == Class::real64 || kind == Class::half) {
    work.unit = kind == Class::real ? Unit::f32 : kind == Class::real64 ? Unit::f64 : Unit::f16;
    work.each = operations(inst.opcode) * (is_pair(t) ? 2 : 1);
  }
  constexpr std::array<std::string_view, 7> past = {"cg",      "cv",      "volatile", "relaxed",
                                                    "acquire", "release", "bulk"};
  work.past_l1 = inst.opcode == "st" || kind == Class::atomic ||
                 std::any_of(inst.modifiers.begin(), inst.modifiers.end(),
                             [&](const std::string& m) { return among(m, past); });
  return work;
}

}  // namespace sim
