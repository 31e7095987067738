// The module and its directives: PTX ISA, section 11.
#include <algorithm>
#include <charconv>

#include "simulator/ptx/parser.h"

namespace sim::ptx {

namespace {

/// Reads a whole decimal number.
template <class T>
bool read(std::string_view text, T& number) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && stop == text.data() + text.size();
}

}  // namespace

Module parse(std::string_view text) { return Parser(text).run(); }

Module Parser::run() {
  header();
  while (token_.kind != Token::Kind::end) directive();
  finish();
  return std::move(module_);
}

/// .version, .target and, where it is given, .address_size.
void Parser::header() {
  if (!token_.is_dotted("version")) fail_expected("'.version' at the beginning");
  take();
  const Token version = take(Token::Kind::number, "a version such as 8.0");
  const size_t point = version.text.find('.');
  if (point == version.text.npos || !read(version.text.substr(0, point), module_.version_major) ||
      !read(version.text.substr(point + 1), module_.version_minor))
    fail("a version is written as in 8.0; got " + describe(version));

  if (!token_.is_dotted("target")) fail_expected("'.target' after .version");
  do {
    take();
    const std::string_view word = take_word("a target such as sm_80");
    if (!word.starts_with("sm_")) continue;  // debug, texmode_independent
    const size_t end = std::max<size_t>(word.find_last_of("0123456789") + 1, 3);  // sm_90a is 90
    if (!read(word.substr(3, end - 3), module_.target))
      fail("[.target] an architecture is written as in sm_80; got '" + std::string(word) + "'");
  } while (token_.is(","));
  if (module_.target == 0) fail("[.target] names no architecture such as sm_80");

  if (!token_.is_dotted("address_size")) return;
  take();
  const uint64_t bits = number("an address size");
  if (bits != 64) fail("[.address_size] only 64 is supported; got " + std::to_string(bits));
}

void Parser::directive() {
  if (accept(";")) return;
  if (token_.kind != Token::Kind::dotted) fail_expected("a directive");
  if (token_.is_dotted("file")) return file();
  if (token_.is_dotted("section")) return skip_section();
  if (token_.is_dotted("pragma")) return skip_pragma();
  if (token_.is_dotted("alias")) return alias();
  if (token_.is_dotted("loc")) return location();
  declaration();
}

/// A function or variables, after their linkage.
void Parser::declaration() {
  Linkage linkage;
  for (;;) {
    const Token word = take(Token::Kind::dotted, "a directive");
    if (word.is_dotted("extern")) {
      linkage.external = true;
    } else if (word.is_dotted("visible")) {
      linkage.visible = true;
    } else if (word.is_dotted("weak") || word.is_dotted("common")) {
      linkage.weak = true;
    } else if (word.is_dotted("entry") || word.is_dotted("func")) {
      return function(linkage, word.is_dotted("entry"));
    } else if (word.is_dotted("global")) {
      return module_variables(Space::global, linkage);
    } else if (word.is_dotted("const")) {
      return module_variables(Space::constant, linkage);
    } else if (word.is_dotted("shared")) {
      return module_variables(Space::shared, linkage);
    } else {
      throw ParseError("a module has no directive " + describe(word), word.line);
    }
  }
}

/// .file 1 "kernel.cu", time of change, size
void Parser::file() {
  take();
  const auto index = uint32_t(number("the number of a file"));
  const Token name = take(Token::Kind::string, "the name of a file in quotes");
  module_.files.insert_or_assign(index, std::string(name.text));
  while (accept(",")) number("a number after ','", ~uint64_t(0));
}

/// .section .debug_info { ... }: what debuggers read.
void Parser::skip_section() {
  take();
  take(Token::Kind::dotted, "the name of a section");
  expect("{", "the name of a section");
  for (uint64_t open = 1; open > 0;) {
    const Token token = take();
    if (token.kind == Token::Kind::end) fail("the text ends within a section");
    if (token.is("{")) ++open;
    if (token.is("}")) --open;
  }
}

void Parser::skip_pragma() {
  take();
  do take(Token::Kind::string, "a pragma in quotes");
  while (accept(","));
  expect(";", "a pragma");
}

/// .attribute(.managed, .unified(1, 2))
void Parser::skip_attribute(bool& managed) {
  take();
  expect("(", ".attribute");
  for (uint64_t open = 1; open > 0;) {
    const Token token = take();
    if (token.kind == Token::Kind::end) fail("the text ends within .attribute");
    if (token.is_dotted("managed")) managed = true;
    if (token.is("(")) ++open;
    if (token.is(")")) --open;
  }
}

/// .alias name, function;
void Parser::alias() {
  take();
  std::string name(take_word("the name of an alias")), target;
  expect(",", "the name of an alias");
  target = take_word("the function that an alias stands for");
  for (const std::string& function : {name, target}) {
    const auto found = names_.find(function);
    if (found == names_.end() || !found->second.is_function)
      fail("[.alias] takes two declared functions; '" + function + "' is none");
  }
  if (!module_.functions[names_.at(name).index].external)
    fail("[.alias] '" + name + "' has a body of its own");
  if (!aliases_.emplace(std::move(name), std::move(target)).second)
    fail("[.alias] the function has an alias already");
  expect(";", ".alias");
}

void Parser::finish() {
  for (const auto& [name, line] : initial_symbols_)
    if (!names_.contains(name)) throw ParseError("'" + name + "' is not declared", line);
  if (!aliases_.empty()) resolve_aliases();
}

namespace {

void rename(std::vector<Operand>& operands,
            const std::unordered_map<std::string, std::string>& names) {
  for (Operand& operand : operands) {
    const auto found = names.find(operand.name);
    if (operand.kind == Operand::Kind::symbol && found != names.end()) operand.name = found->second;
    rename(operand.parts, names);
  }
}

}  // namespace

/// Whoever names an alias gets the function itself, so that both have one address.
void Parser::resolve_aliases() {
  for (const auto& [name, target] : aliases_)
    if (aliases_.contains(target)) fail("[.alias] '" + target + "' is an alias itself");
  std::erase_if(module_.functions, [&](const Function& f) { return aliases_.contains(f.name); });
  for (Function& function : module_.functions)
    for (Instruction& instruction : function.code) rename(instruction.operands, aliases_);
  for (Variable& variable : module_.variables)
    for (Relocation& relocation : variable.relocations)
      if (const auto found = aliases_.find(relocation.symbol); found != aliases_.end())
        relocation.symbol = found->second;
}

}  // namespace sim::ptx
