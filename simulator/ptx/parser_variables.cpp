// Variables of the module and of functions: PTX ISA, section 5.4.
#include <bit>

#include "simulator/ptx/parser.h"

namespace sim::ptx {
namespace {

constexpr uint64_t kMostAlign = 1u << 16;

}  // namespace

/// .align 8 .v2 .b8 and the like, after the space.
VariableHead Parser::variable_head(Space space) {
  VariableHead head;
  head.space = space;
  while (token_.kind == Token::Kind::dotted) {
    if (token_.is_dotted("attribute")) {
      skip_attribute(head.managed);
      continue;
    }
    const Token word = take();
    if (word.text == "align") {
      head.align = alignment();
    } else if (word.text == "ptr") {
      pointer_attributes();
    } else if (word.text == "v2" || word.text == "v4" || word.text == "v8") {
      head.width = uint32_t(word.text[1] - '0');
    } else if (const auto type = type_named(word.text); type && head.type == Type::none) {
      head.type = *type;
    } else {
      throw ParseError("expected the type of a variable; got " + describe(word), word.line);
    }
  }
  if (head.type == Type::none) fail_expected("the type of a variable");
  if (head.type == Type::pred) fail("only registers are of type .pred");
  return head;
}

/// .ptr .global .align 4: what a parameter points to.
void Parser::pointer_attributes() {
  constexpr std::string_view kSpaces[] = {"const", "global", "local", "shared", "generic"};
  for (const std::string_view space : kSpaces)
    if (token_.is_dotted(space)) {
      take();
      break;
    }
  if (!token_.is_dotted("align")) return;
  take();
  alignment();
}

uint32_t Parser::alignment() {
  const uint64_t align = number("an alignment", kMostAlign);
  if (!std::has_single_bit(align))
    fail("[.align] takes a power of two; got " + std::to_string(align));
  return uint32_t(align);
}

/// A variable of this name, without its initial value. `sizes` gets its dimensions, the elements of
/// a vector last; the first is 0 where it is left open.
Variable Parser::variable(const VariableHead& head, std::string_view name,
                          std::vector<uint64_t>& sizes) {
  Variable variable;
  variable.name = name;
  variable.space = head.space;
  variable.type = head.type;
  variable.managed = head.managed;
  variable.align = head.align ? head.align : uint32_t(size_of(head.type)) * head.width;

  sizes.clear();
  while (accept("[")) {
    if (accept("]")) {
      if (!sizes.empty()) fail("only the first size of an array may be left open");
      sizes.push_back(0);
      continue;
    }
    const Constant size = constant();
    if (!size.is_integer() || size.bits > kMostBytes)
      fail("the size of an array is an integer of at most " + std::to_string(kMostBytes));
    sizes.push_back(size.bits);
    expect("]", "the size of an array");
  }
  if (head.width > 1) sizes.push_back(head.width);
  if (sizes.size() > kMostDimensions)
    fail("an array has at most " + std::to_string(kMostDimensions) + " dimensions");

  variable.bytes = uint64_t(size_of(head.type));
  for (const uint64_t size : sizes) {
    if (size > 0 && variable.bytes > kMostBytes / size)
      fail("variable '" + variable.name + "' has more than " + std::to_string(kMostBytes) +
           " bytes");
    variable.bytes *= size;
  }
  return variable;
}

void Parser::module_variables(Space space, const Linkage& linkage) {
  const VariableHead head = variable_head(space);
  do {
    const std::string_view name = take_word("the name of a variable");
    std::vector<uint64_t> sizes;
    Variable made = variable(head, name, sizes);
    made.external = linkage.external;
    made.visible = linkage.visible;
    made.weak = linkage.weak;
    if (accept("=")) initialiser(made, sizes);
    add_variable(name, std::move(made));
  } while (accept(","));
  expect(";", "a declaration of variables");
}

/// A definition takes the place of an earlier .extern.
void Parser::add_variable(std::string_view name, Variable&& variable) {
  const auto [entry, added] =
      names_.emplace(name, ModuleName{false, uint32_t(module_.variables.size())});
  if (added) {
    module_.variables.push_back(std::move(variable));
    return;
  }
  if (entry->second.is_function) fail("'" + variable.name + "' is declared as a function too");
  Variable& known = module_.variables[entry->second.index];
  if (variable.external) return;
  if (!known.external) fail("variable '" + variable.name + "' is defined twice");
  known = std::move(variable);
}

void Parser::local_variables(Space space) {
  const VariableHead head = variable_head(space);
  do {
    const std::string_view name = take_word("the name of a variable");
    std::vector<uint64_t> sizes;
    Variable made = variable(head, name, sizes);
    if (token_.is("=")) fail("only .global and .const variables have initial values");
    declare(name, {Symbol::Kind::variable, uint32_t(function_.locals.size())});
    made.name = unique_name(name);
    function_.locals.push_back(std::move(made));
  } while (accept(","));
  expect(";", "a declaration of variables");
}

}  // namespace sim::ptx
