// Initial values of variables: PTX ISA, section 5.4.4.
#include <bit>

#include "simulator/ptx/parser.h"

namespace sim::ptx {

/// What follows '='. An array whose first size was left open gets it from its values.
void Parser::initialiser(Variable& variable, const std::vector<uint64_t>& sizes) {
  if (variable.space != Space::global && variable.space != Space::constant)
    fail("only .global and .const variables have initial values");
  const uint64_t left = kMostInitBytes - init_bytes_;
  const bool open = !sizes.empty() && sizes[0] == 0;
  if (variable.bytes > left)
    fail("initial values take more than " + std::to_string(kMostInitBytes) + " bytes");
  uint64_t row = uint64_t(size_of(variable.type));
  for (size_t i = 1; i < sizes.size(); ++i) row *= sizes[i];
  if (row == 0) fail("an array of no bytes has no initial values");
  variable.init.resize(variable.bytes);

  if (sizes.empty()) {
    const bool braces = accept("{");
    value(variable, 0);
    if (braces) expect("}", "an initial value");
  } else {
    values(variable, sizes, 0, 0, open ? left : variable.bytes);
  }
  if (open) {
    variable.bytes = (variable.init.size() + row - 1) / row * row;
    variable.init.resize(variable.bytes);
  }
  init_bytes_ += variable.bytes;
}

/// { ... } of dimension `level`, which has `bytes` from `begin` on. Inner braces begin a row.
void Parser::values(Variable& variable, const std::vector<uint64_t>& sizes, size_t level,
                    uint64_t begin, uint64_t bytes) {
  const Depth depth(*this);
  expect("{", "'=' or a value");
  const auto size = uint64_t(size_of(variable.type));
  uint64_t row = size;
  for (size_t i = level + 1; i < sizes.size(); ++i) row *= sizes[i];

  uint64_t at = begin;
  const bool empty = accept("}");
  while (!empty) {
    const bool is_row = token_.is("{");
    const uint64_t step = is_row ? row : size;
    if (step > bytes - (at - begin)) fail("variable '" + variable.name + "' has too many values");
    if (is_row) {
      if (level + 1 >= sizes.size() || (at - begin) % row != 0) fail("a brace begins no row here");
      values(variable, sizes, level + 1, at, row);
    } else {
      value(variable, at);
    }
    at += step;
    if (accept("}")) return;
    expect(",", "an initial value");
  }
}

/// One element: a constant, the address of a symbol, or a byte of an address: 0xFF00(symbol).
void Parser::value(Variable& variable, uint64_t at) {
  const auto size = uint64_t(size_of(variable.type));
  if (variable.init.size() < at + size) variable.init.resize(at + size);
  if (token_.kind == Token::Kind::word && !token_.is_word("WARP_SZ")) {
    Relocation relocation = symbol_address();
    if (size != 4 && size != 8) fail("an address takes elements of 4 or 8 bytes");
    relocation.at = at;
    relocation.size = int(size);
    variable.relocations.push_back(std::move(relocation));
    return;
  }
  const Constant read = constant();
  if (token_.is("(")) return masked_address(variable, at, read);
  store(variable, at, read);
}

/// Little-endian, converted to the variable's type as a C compiler would.
void Parser::store(Variable& variable, uint64_t at, const Constant& value) const {
  const Type type = variable.type;
  const auto size = size_t(size_of(type));
  uint64_t bits = value.bits;
  if (value.is_integer()) {
    const bool is_signed = value.kind == Constant::Kind::signed_integer;
    const double real = is_signed ? double(int64_t(bits)) : double(bits);
    if (type == Type::f64) bits = std::bit_cast<uint64_t>(real);
    if (type == Type::f32) bits = std::bit_cast<uint32_t>(float(real));
  } else if (value.kind == Constant::Kind::real32 && size == 8) {
    bits = std::bit_cast<uint64_t>(double(std::bit_cast<float>(uint32_t(bits))));
  } else if (value.kind == Constant::Kind::real64 && size == 4) {
    bits = std::bit_cast<uint32_t>(float(std::bit_cast<double>(bits)));
  } else if (size != 4 && size != 8) {
    fail("a real number takes elements of 4 or 8 bytes");
  }
  const bool negative = value.kind == Constant::Kind::signed_integer && int64_t(value.bits) < 0;
  for (size_t i = 0; i < size; ++i) {
    const uint64_t upper = negative ? 0xff : 0;  // of .b128
    variable.init[at + i] = uint8_t(i < 8 ? bits >> (8 * i) : upper);
  }
}

/// symbol+8, generic(symbol)+8 or generic(symbol+8)
Relocation Parser::symbol_address() {
  Relocation relocation;
  const uint32_t line = token_.line;
  std::string_view name = take_word("the name of a symbol");
  if (name == "generic" && accept("(")) {
    relocation.generic = true;
    name = take_word("the name of a symbol");
    relocation.addend = offset();
    expect(")", "the symbol of generic(...)");
  }
  relocation.addend += offset();
  relocation.symbol = name;
  initial_symbols_.emplace_back(relocation.symbol, line);
  return relocation;
}

/// 0xFF(symbol), 0xFF00(symbol), ...: the bytes of an address, which must come in order.
void Parser::masked_address(Variable& variable, uint64_t at, const Constant& mask) {
  const int shift = mask.bits == 0 ? 0 : std::countr_zero(mask.bits);
  if (shift % 8 != 0 || mask.bits != uint64_t(0xff) << shift)
    fail("the mask of an address is one byte, such as 0xFF00");
  if (size_of(variable.type) != 1) fail("the bytes of an address take elements of one byte");
  expect("(", "a mask");
  Relocation relocation = symbol_address();
  expect(")", "a masked symbol");
  relocation.at = at;
  relocation.size = 1;
  if (shift == 0) return variable.relocations.push_back(std::move(relocation));

  Relocation* last = variable.relocations.empty() ? nullptr : &variable.relocations.back();
  const bool follows = last && last->symbol == relocation.symbol &&
                       last->addend == relocation.addend && last->generic == relocation.generic &&
                       last->size * 8 == shift && last->at + uint64_t(last->size) == at;
  if (!follows) fail("the bytes of an address must come in order, 0xFF first");
  ++last->size;
}

}  // namespace sim::ptx
