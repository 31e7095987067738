// Functions: their heads, and the statements of their bodies that are not instructions.
#include "simulator/ptx/parser.h"

namespace sim::ptx {

void Parser::function(const Linkage& linkage, bool entry) {
  function_ = {};
  scopes_.assign(1, {});
  times_.clear();
  function_.line = token_.line;
  function_.entry = entry;
  function_.visible = linkage.visible;
  function_.weak = linkage.weak;
  bool managed = false;
  while (token_.is_dotted("attribute")) skip_attribute(managed);
  if (token_.is_dotted("noreturn")) function_directive();
  if (!entry && token_.is("(")) function_.results = formals(true);
  const std::string_view name = take_word("the name of a function");
  function_.name = name;
  if (token_.is("(")) function_.params = formals(true);
  while (token_.kind == Token::Kind::dotted) function_directive();

  function_.external = accept(";");
  if (!function_.external) expect("{", "the head of a function");
  add_function(name);
  if (!function_.external) body(name);
}

/// .maxntid 256, 1, 1 and its kind: between head and body.
void Parser::function_directive() {
  const Token word = take();
  if (word.is_dotted("pragma")) {
    take(Token::Kind::string, "a pragma in quotes");
    expect(";", "a pragma");
    return;
  }
  std::vector<uint32_t> numbers;
  if (token_.kind == Token::Kind::number) {
    do numbers.push_back(uint32_t(number("a number")));
    while (accept(",") && numbers.size() < 3);
  }
  const auto takes = [&](std::string_view name, size_t least, size_t most) {
    if (!word.is_dotted(name)) return false;
    if (numbers.size() >= least && numbers.size() <= most) return true;
    throw ParseError("[." + std::string(name) + "] takes " + std::to_string(least) + " to " +
                         std::to_string(most) + " numbers; got " + std::to_string(numbers.size()),
                     word.line);
  };
  if (takes("maxntid", 1, 3)) {
    function_.max_threads = numbers;
  } else if (takes("reqntid", 1, 3)) {
    function_.required_threads = numbers;
  } else if (takes("reqnctapercluster", 1, 3)) {
    function_.cluster = numbers;
  } else if (takes("minnctapersm", 1, 1)) {
    function_.min_blocks = numbers[0];
  } else if (takes("noreturn", 0, 0)) {
    function_.no_return = true;
  } else if (!takes("maxnctapersm", 1, 1) && !takes("maxnreg", 1, 1) &&
             !takes("maxclusterrank", 1, 1) && !takes("explicitcluster", 0, 0) &&
             !takes("blocksareclusters", 0, 0) && !takes("abi_preserve", 1, 1) &&
             !takes("abi_preserve_control", 1, 1)) {
    throw ParseError("a function has no directive " + describe(word), word.line);
  }
}

/// Enters the function at hand by its name, so that its body may call it. A definition takes the
/// place of earlier declarations.
void Parser::add_function(std::string_view name) {
  const auto [entry, added] =
      names_.emplace(name, ModuleName{true, uint32_t(module_.functions.size())});
  if (added) {
    module_.functions.push_back(function_);
    return;
  }
  if (!entry->second.is_function) fail("'" + std::string(name) + "' is declared as a variable too");
  Function& known = module_.functions[entry->second.index];
  if (function_.external) return;
  if (!known.external) fail("function '" + std::string(name) + "' is defined twice");
  known = function_;
}

std::vector<Variable> Parser::formals(bool declared) {
  std::vector<Variable> formals;
  expect("(", "the head of a function");
  if (accept(")")) return formals;
  do {
    std::string_view name;
    formals.push_back(formal(name));
    if (!declared) continue;
    declare(name, {Symbol::Kind::formal, uint32_t(formals.size() - 1)});
    ++times_[name];
  } while (accept(","));
  expect(")", "the parameters of a function");
  return formals;
}

/// .param .align 8 .b8 name[16]
Variable Parser::formal(std::string_view& name) {
  if (token_.is_dotted("reg")) fail("parameters of functions in registers are not supported");
  if (!token_.is_dotted("param")) fail_expected("'.param'");
  take();
  const VariableHead head = variable_head(Space::param);
  name = take_word("the name of a parameter");
  std::vector<uint64_t> sizes;
  return variable(head, name, sizes);
}

void Parser::body(std::string_view name) {
  here_ = {};
  places_.clear();
  before_ = {};
  label_at_end_ = false;
  while (!scopes_.empty()) statement();
  module_.functions[names_.at(name).index] = std::move(function_);
}

/// A body may be left at its brace; with the `ret` written out, every label has an instruction.
void Parser::end_body() {
  const auto& code = function_.code;
  const auto leaves = [](const Instruction& last) {
    return last.guard < 0 &&
           (last.opcode == "ret" || last.opcode == "exit" || last.opcode == "trap" ||
            last.opcode == "bra" || last.opcode == "brx");
  };
  if (!label_at_end_ && !code.empty() && leaves(code.back())) return;
  Instruction ret;
  ret.opcode = "ret";
  ret.line = token_.line;
  ret.where = here_;
  function_.code.push_back(std::move(ret));
}

/// Resolves the references of the innermost scope; those left over go to the scope around it.
void Parser::close_scope() {
  if (scopes_.size() == 1) end_body();
  Scope scope = std::move(scopes_.back());
  scopes_.pop_back();
  for (Reference& reference : scope.references) {
    const auto found = scope.names.find(reference.name);
    if (found != scope.names.end() && found->second.kind >= Symbol::Kind::label) {
      resolve(reference, found->second);
    } else if (!scopes_.empty()) {
      scopes_.back().references.push_back(reference);
    } else {
      resolve_outside(reference);
    }
  }
}

void Parser::resolve(const Reference& reference, const Symbol& symbol) const {
  const bool is_label = symbol.kind == Symbol::Kind::label;
  if (reference.entry && is_label) {
    *reference.entry = symbol.index;
  } else if (reference.operand && is_label) {
    reference.operand->value = symbol.index;
  } else if (reference.operand && !reference.branch) {
    reference.operand->kind = Operand::Kind::symbol;
    reference.operand->name = name_of_symbol(symbol, reference.operand->name);
  } else {
    throw ParseError("'" + std::string(reference.name) + "' is no label", reference.line);
  }
}

/// A name that the function doesn't have: one of the module's.
void Parser::resolve_outside(const Reference& reference) const {
  const bool is_branch = reference.branch || reference.entry;
  if (!is_branch && names_.contains(reference.name)) {
    reference.operand->kind = Operand::Kind::symbol;
    return;
  }
  const std::string name = "'" + std::string(reference.name) + "'";
  throw ParseError(is_branch ? "no label " + name + " is in reach" : name + " is not declared",
                   reference.line);
}

void Parser::statement() {
  if (accept("{")) {
    if (scopes_.size() == kMostNesting)
      fail("at most " + std::to_string(kMostNesting) + " scopes may be nested");
    scopes_.emplace_back();
  } else if (token_.is("}")) {
    close_scope();
    take();
  } else if (token_.kind == Token::Kind::dotted) {
    body_directive();
  } else if (!accept(";")) {
    Instruction next;
    next.line = token_.line;
    next.where = here_;
    if (token_.is("@")) guard(next);
    const std::string_view word = take_word("an instruction or a label");
    if (next.guard < 0 && accept(":")) return label(word);
    instruction(std::move(next), word);
    label_at_end_ = false;
  }
}

void Parser::body_directive() {
  if (token_.is_dotted("reg")) return registers();
  if (token_.is_dotted("loc")) return location();
  if (token_.is_dotted("file")) return file();
  if (token_.is_dotted("pragma")) return skip_pragma();
  if (token_.is_dotted("section")) return skip_section();
  const Token word = take();
  if (word.is_dotted("local")) return local_variables(Space::local);
  if (word.is_dotted("shared")) return local_variables(Space::shared);
  if (word.is_dotted("param")) return local_variables(Space::param);
  throw ParseError("a function's body has no directive " + describe(word), word.line);
}

}  // namespace sim::ptx
