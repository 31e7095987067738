// Taking tokens, with errors that say what was expected.
#include "simulator/ptx/parser.h"

namespace sim::ptx {

void Parser::fail_expected(std::string_view what) const {
  fail_next("expected " + std::string(what) + "; got " + describe(token_));
}

Token Parser::take() {
  const Token taken = token_;
  line_ = taken.line;
  token_ = lexer_.next();
  return taken;
}

Token Parser::take(Token::Kind kind, std::string_view what) {
  if (token_.kind != kind) fail_expected(what);
  return take();
}

bool Parser::accept(std::string_view mark) {
  if (!token_.is(mark)) return false;
  take();
  return true;
}

void Parser::expect(std::string_view mark, std::string_view after) {
  if (!accept(mark)) fail_expected("'" + std::string(mark) + "' after " + std::string(after));
}

uint64_t Parser::number(std::string_view what, uint64_t most) {
  const Token token = token_;
  if (token.kind != Token::Kind::number) fail_expected(what);
  const Constant value = literal();
  if (value.is_integer() && value.bits <= most) return value.bits;
  throw ParseError("expected " + std::string(what) + " of at most " + std::to_string(most) +
                       "; got " + describe(token),
                   token.line);
}

}  // namespace sim::ptx
