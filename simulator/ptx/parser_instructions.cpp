// Instructions and their operands: PTX ISA, sections 4.3, 6 and 9.
#include <algorithm>
#include <iterator>

#include "simulator/ptx/parser.h"

namespace sim::ptx {
namespace {

constexpr std::string_view kVectorSpecials[] = {
    "%tid",       "%ntid",       "%ctaid",         "%nctaid",
    "%clusterid", "%nclusterid", "%cluster_ctaid", "%cluster_nctaid",
};
constexpr std::string_view kSpecials[] = {
    "%laneid",
    "%warpid",
    "%nwarpid",
    "%smid",
    "%nsmid",
    "%gridid",
    "%is_explicit_cluster",
    "%cluster_ctarank",
    "%cluster_nctarank",
    "%lanemask_eq",
    "%lanemask_le",
    "%lanemask_lt",
    "%lanemask_ge",
    "%lanemask_gt",
    "%clock",
    "%clock_hi",
    "%clock64",
    "%globaltimer",
    "%globaltimer_lo",
    "%globaltimer_hi",
    "%reserved_smem_offset_begin",
    "%reserved_smem_offset_end",
    "%reserved_smem_offset_cap",
    "%total_smem_size",
    "%aggr_smem_size",
    "%dynamic_smem_size",
    "%current_graph_exec",
};
constexpr std::string_view kNumberedSpecials[] = {"%envreg", "%pm", "%reserved_smem_offset_"};

/// 0 to 3 for x to w, or r to a; -1 for any other word.
int member_of(std::string_view name) {
  const size_t at = name.size() == 1 ? std::string_view("xyzwrgba").find(name) : name.npos;
  return at == name.npos ? -1 : int(at % 4);
}

/// %tid and the like, which have members x to w.
bool is_special_vector(std::string_view name) {
  return std::find(std::begin(kVectorSpecials), std::end(kVectorSpecials), name) !=
         std::end(kVectorSpecials);
}

bool is_special(std::string_view name) {
  if (is_special_vector(name)) return true;
  if (std::find(std::begin(kSpecials), std::end(kSpecials), name) != std::end(kSpecials))
    return true;
  for (const std::string_view prefix : kNumberedSpecials) {
    if (!name.starts_with(prefix)) continue;
    std::string_view number = name.substr(prefix.size());
    if (prefix == "%pm" && number.ends_with("_64")) number.remove_suffix(3);
    if (!number.empty() && number.size() < 3 &&
        number.find_first_not_of("0123456789") == number.npos)
      return true;
  }
  return false;
}

}  // namespace

/// @%p or @!%p
void Parser::guard(Instruction& instruction) {
  take();
  instruction.guard_negated = accept("!");
  const std::string_view name = take_word("a predicate after '@'");
  const Symbol* symbol = find(name);
  if (!symbol || symbol->kind != Symbol::Kind::reg ||
      function_.registers[symbol->index].type != Type::pred)
    fail("'" + std::string(name) + "' is no predicate register");
  instruction.guard = int(symbol->index);
}

/// What follows an opcode, up to the semicolon.
void Parser::instruction(Instruction&& instruction, std::string_view opcode) {
  const bool branch = opcode == "bra";
  const bool call = opcode == "call";
  instruction.opcode = opcode;
  while (token_.kind == Token::Kind::dotted) instruction.modifiers.emplace_back(take().text);
  if (!token_.is(";")) {
    do instruction.operands.push_back(operand(call));
    while (accept(","));
  }
  if (!token_.is(";")) fail_expected("',' or ';' after an operand of " + instruction.text());
  if (branch &&
      (instruction.operands.size() != 1 || instruction.operands[0].kind != Operand::Kind::label))
    fail("[bra] takes one label");
  for (Operand& operand : instruction.operands) collect(operand, instruction.line, branch);
  function_.code.push_back(std::move(instruction));
  take();
}

/// Notes the names that are resolved later; their operands keep their place in memory from here on.
void Parser::collect(Operand& operand, uint32_t line, bool branch) {
  if (operand.kind == Operand::Kind::label)
    scopes_.back().references.push_back({operand.name, line, &operand, nullptr, branch});
  for (Operand& part : operand.parts) collect(part, line, branch);
}

Operand Parser::operand(bool call) {
  Operand first = single(call);
  if (!accept("|")) return first;
  Operand pair;
  pair.kind = Operand::Kind::pair;
  pair.parts.push_back(std::move(first));
  pair.parts.push_back(single(call));
  for (const Operand& part : pair.parts)
    if (part.kind != Operand::Kind::reg && part.kind != Operand::Kind::sink)
      fail("both sides of '|' are registers or _");
  return pair;
}

Operand Parser::single(bool call) {
  const Depth depth(*this);
  if (token_.is("{")) return group(Operand::Kind::vector, "}", call);
  if (token_.is("(") && call) return group(Operand::Kind::list, ")", call);
  if (token_.is("[")) return address();
  if (token_.kind == Token::Kind::word && !token_.is_word("WARP_SZ")) return named();
  if (!token_.is("!")) return constant_operand();
  take();
  if (token_.kind != Token::Kind::word) fail_expected("a predicate after '!'");
  Operand predicate = named();
  if (predicate.kind != Operand::Kind::reg ||
      function_.registers[predicate.value].type != Type::pred)
    fail("'!' takes a predicate register");
  predicate.negated = true;
  return predicate;
}

/// {a, b} or, of a call, (a, b)
Operand Parser::group(Operand::Kind kind, std::string_view close, bool call) {
  take();
  Operand group;
  group.kind = kind;
  if (accept(close)) return group;
  do group.parts.push_back(operand(call));
  while (accept(","));
  expect(close, "operands in brackets");
  return group;
}

/// [base+offset], of textures and tensors [base, {coordinates}]
Operand Parser::address() {
  take();
  Operand address;
  address.kind = Operand::Kind::address;
  if (token_.kind == Token::Kind::word) {
    Operand base = named();
    address.base_is_reg = base.kind == Operand::Kind::reg;
    if (base.kind == Operand::Kind::label && !names_.contains(base.name))
      fail("'" + base.name + "' is not declared");
    if (!address.base_is_reg && base.kind != Operand::Kind::symbol &&
        base.kind != Operand::Kind::label)
      fail("an address has a register, a variable or an integer");
    address.value = base.value;
    address.name = std::move(base.name);
    address.offset = base.offset;
  } else {
    const Constant at = constant();
    if (!at.is_integer()) fail("an address has a register, a variable or an integer");
    address.offset = int64_t(at.bits);
  }
  address.offset += offset();
  while (accept(",")) address.parts.push_back(operand(false));
  expect("]", "an address");
  if (token_.is_dotted("unified")) take();
  return address;
}

/// A register, special register or variable, or what is only known later: kind label.
Operand Parser::named() {
  Operand operand;
  const std::string_view name = take().text;
  if (name == "_") {
    operand.kind = Operand::Kind::sink;
    return operand;
  }
  const Symbol* symbol = find(name);
  if (symbol && symbol->kind == Symbol::Kind::reg) return register_operand(*symbol, name);
  if (!symbol && name[0] == '%') return special(name);
  operand.name = name;
  operand.kind = Operand::Kind::label;
  if (symbol && symbol->kind < Symbol::Kind::label) {
    operand.kind = Operand::Kind::symbol;
    operand.name = name_of_symbol(*symbol, operand.name);
  }
  operand.offset = offset();
  return operand;
}

/// %r, or of a vector %v: all its registers, or one as in %v.x
Operand Parser::register_operand(const Symbol& symbol, std::string_view name) {
  Operand operand;
  operand.kind = Operand::Kind::reg;
  operand.value = symbol.index;
  if (token_.kind == Token::Kind::dotted) {
    const int member = member_of(token_.text);
    if (member < 0 || symbol.width == 1 || uint32_t(member) >= symbol.width)
      fail("register '" + std::string(name) + "' has no member " + describe(token_));
    take();
    operand.value += uint64_t(member);
    return operand;
  }
  if (symbol.width == 1) return operand;
  Operand vector;
  vector.kind = Operand::Kind::vector;
  vector.parts.assign(symbol.width, operand);
  for (uint32_t i = 0; i < symbol.width; ++i) vector.parts[i].value += i;
  return vector;
}

Operand Parser::special(std::string_view name) {
  if (!is_special(name)) fail("register '" + std::string(name) + "' is not declared");
  Operand operand;
  operand.kind = Operand::Kind::special;
  operand.name = name;
  if (token_.kind != Token::Kind::dotted) return operand;
  const bool member = token_.text.size() == 1 && token_.text[0] >= 'w' && token_.text[0] <= 'z';
  if (!is_special_vector(name) || !member)
    fail("register '" + std::string(name) + "' has no member " + describe(token_));
  operand.name.append(".").append(take().text);
  return operand;
}

Operand Parser::constant_operand() {
  const bool begins = token_.kind == Token::Kind::number || token_.kind == Token::Kind::word ||
                      token_.is("(") || token_.is("-") || token_.is("+") || token_.is("~");
  if (!begins) fail_expected("an operand");
  const Constant constant = this->constant();
  Operand operand;
  operand.value = constant.bits;
  operand.kind = constant.kind == Constant::Kind::real32   ? Operand::Kind::real32
                 : constant.kind == Constant::Kind::real64 ? Operand::Kind::real64
                                                           : Operand::Kind::integer;
  return operand;
}

}  // namespace sim::ptx
