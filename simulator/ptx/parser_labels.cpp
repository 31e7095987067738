// Labels, and the directives that follow one: .branchtargets, .callprototype and .calltargets.
#include "simulator/ptx/parser.h"

namespace sim::ptx {

void Parser::label(std::string_view name) {
  if (token_.is_dotted("branchtargets")) return branch_targets(name);
  if (token_.is_dotted("callprototype")) return call_prototype(name);
  if (token_.is_dotted("calltargets")) return call_targets(name);
  declare(name, {Symbol::Kind::label, uint32_t(function_.code.size())});
  label_at_end_ = true;
}

/// table: .branchtargets L1, L2;
void Parser::branch_targets(std::string_view name) {
  take();
  std::vector<Reference> references;
  do {
    const uint32_t line = token_.line;
    references.push_back({take_word("a label"), line});
  } while (accept(","));
  declare(name, {Symbol::Kind::table, uint32_t(function_.targets.size())});
  std::vector<uint32_t>& code = function_.targets.emplace_back().code;
  function_.targets.back().name = unique_name(name);
  code.resize(references.size());
  for (size_t i = 0; i < code.size(); ++i) {
    references[i].entry = &code[i];
    scopes_.back().references.push_back(references[i]);
  }
  expect(";", ".branchtargets");
}

/// shape: .callprototype (.param .b32 _) _ (.param .b64 _, .param .b64 _);
void Parser::call_prototype(std::string_view name) {
  take();
  Prototype prototype;
  if (token_.is("(")) prototype.results = formals(false);
  take_word("the name of a prototype, _");
  if (token_.is("(")) prototype.params = formals(false);
  while (token_.kind == Token::Kind::dotted) {  // .noreturn, .abi_preserve 8
    take();
    if (token_.kind == Token::Kind::number) take();
  }
  declare(name, {Symbol::Kind::prototype, uint32_t(function_.prototypes.size())});
  prototype.name = unique_name(name);
  function_.prototypes.push_back(std::move(prototype));
  expect(";", ".callprototype");
}

/// list: .calltargets f, g; all have one shape, which the list stands for.
void Parser::call_targets(std::string_view name) {
  take();
  Prototype prototype;
  bool first = true;
  do {
    const std::string_view target = take_word("the name of a function");
    const auto found = names_.find(target);
    if (found == names_.end() || !found->second.is_function)
      fail("[.calltargets] '" + std::string(target) + "' is no declared function");
    const Function& function = module_.functions[found->second.index];
    if (std::exchange(first, false)) {
      target_formals_ += function.results.size() + function.params.size();
      if (target_formals_ > kMostTargetFormals) fail("[.calltargets] too many in one module");
      prototype.results = function.results;
      prototype.params = function.params;
    }
  } while (accept(","));
  declare(name, {Symbol::Kind::prototype, uint32_t(function_.prototypes.size())});
  prototype.name = unique_name(name);
  function_.prototypes.push_back(std::move(prototype));
  expect(";", ".calltargets");
}

}  // namespace sim::ptx
