// Names within a function: scopes, registers, and what makes a name of an inner scope unique.
#include <algorithm>
#include <charconv>

#include "simulator/ptx/parser.h"

namespace sim::ptx {
namespace {

constexpr std::string_view kMembers[] = {".x", ".y", ".z", ".w"};

/// Calls f(prefix, n) for every way to read `name` as register n of a range: %r12 may be 12 of %r
/// or 2 of %r1. Stops when f returns true.
template <class F>
void for_each_split(std::string_view name, F f) {
  constexpr size_t kMostDigits = 7;  // of kMostRange
  for (size_t digits = 1; digits <= kMostDigits && digits < name.size(); ++digits) {
    const size_t at = name.size() - digits;
    if (name[at] < '0' || name[at] > '9') return;
    if (name[at] == '0' && digits > 1) continue;
    uint32_t n = 0;
    std::from_chars(name.data() + at, name.data() + name.size(), n);
    if (f(name.substr(0, at), n)) return;
  }
}

}  // namespace

void Parser::check_new(std::string_view name) {
  if (find_in(scopes_.back(), name))
    fail("'" + std::string(name) + "' is declared twice in one scope");
}

void Parser::declare(std::string_view name, Symbol symbol) {
  check_new(name);
  scopes_.back().names.emplace(name, symbol);
}

/// The innermost declaration of a name; nullptr: none in this function.
const Symbol* Parser::find(std::string_view name) {
  for (size_t i = scopes_.size(); i-- > 0;)
    if (const Symbol* symbol = find_in(scopes_[i], name)) return symbol;
  return nullptr;
}

const Symbol* Parser::find_in(Scope& scope, std::string_view name) {
  const auto found = scope.names.find(name);
  if (found != scope.names.end()) return &found->second;
  if (scope.ranges.empty()) return nullptr;
  const Symbol* symbol = nullptr;
  for_each_split(name, [&](std::string_view prefix, uint32_t n) {
    const auto range = scope.ranges.find(prefix);
    if (range == scope.ranges.end() || n >= range->second.count) return false;
    symbol = &add_register(scope, name, range->second.type, range->second.width);
    return true;
  });
  return symbol;
}

/// .reg .v2 .f32 %a, %b<4>;
void Parser::registers() {
  take();
  Range range = register_head();
  do {
    const std::string_view name = take_word("the name of a register");
    if (accept("<")) {
      range.count = uint32_t(number("a number of registers", kMostRange));
      expect(">", "the number of registers");
      declare_range(name, range);
    } else {
      declare_single(name, range);
    }
  } while (accept(","));
  expect(";", "a declaration of registers");
}

Range Parser::register_head() {
  Range range{Type::none, 1, 0};
  while (token_.kind == Token::Kind::dotted) {
    const std::string_view word = token_.text;
    if (word == "v2" || word == "v4") {
      range.width = word == "v2" ? 2 : 4;
    } else if (const auto type = type_named(word); type && range.type == Type::none) {
      range.type = *type;
    } else {
      fail_expected("the type of a register");
    }
    take();
  }
  if (range.type == Type::none) fail_expected("the type of a register");
  return range;
}

void Parser::declare_single(std::string_view name, const Range& range) {
  check_new(name);
  Scope& scope = scopes_.back();
  add_register(scope, name, range.type, range.width);
  for_each_split(name, [&](std::string_view prefix, uint32_t n) {
    const auto [entry, added] = scope.numbered.emplace(prefix, n);
    if (!added) entry->second = std::min(entry->second, n);
    return false;
  });
}

void Parser::declare_range(std::string_view prefix, const Range& range) {
  Scope& scope = scopes_.back();
  const auto single = scope.numbered.find(prefix);
  const bool taken = single != scope.numbered.end() && single->second < range.count;
  if (taken || !scope.ranges.emplace(prefix, range).second)
    fail("registers '" + std::string(prefix) + "<" + std::to_string(range.count) +
         ">' are declared twice in one scope");
}

const Symbol& Parser::add_register(Scope& scope, std::string_view name, Type type, uint32_t width) {
  const Symbol symbol{Symbol::Kind::reg, uint32_t(function_.registers.size()), width};
  for (uint32_t i = 0; i < width; ++i) {
    std::string full(name);
    if (width > 1) full += kMembers[i];
    function_.registers.push_back({std::move(full), type});
  }
  return scope.names.emplace(name, symbol).first->second;
}

/// Names of inner scopes and of the module may come again; '#' is in no name that is written.
std::string Parser::unique_name(std::string_view name) {
  const uint32_t times = times_[name]++ + (names_.contains(name) ? 1 : 0);
  std::string unique(name);
  if (times > 0) unique += "#" + std::to_string(times);
  return unique;
}

const std::string& Parser::name_of_symbol(const Symbol& symbol, const std::string& name) const {
  switch (symbol.kind) {
    case Symbol::Kind::variable:
      return function_.locals[symbol.index].name;
    case Symbol::Kind::table:
      return function_.targets[symbol.index].name;
    case Symbol::Kind::prototype:
      return function_.prototypes[symbol.index].name;
    default:
      return name;
  }
}

}  // namespace sim::ptx
