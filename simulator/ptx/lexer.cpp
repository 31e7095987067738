#include "simulator/ptx/lexer.h"

#include "simulator/ptx/module.h"

namespace sim::ptx {
namespace {

// Not <cctype>: these must not depend on the locale.
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_follower(char c) { return is_letter(c) || is_digit(c) || c == '_' || c == '$'; }

constexpr std::string_view kMarks = "{}[]()<>,;:=+-*/%!~&|^?@";
constexpr std::string_view kPairs[] = {"<<", ">>", "<=", ">=", "==", "!=", "&&", "||"};

}  // namespace

std::string describe(const Token& token) {
  constexpr size_t kMost = 40;
  if (token.kind == Token::Kind::end) return "the end of the text";
  std::string text(token.text.substr(0, kMost));
  if (token.text.size() > kMost) text += "...";
  if (token.kind == Token::Kind::dotted) text.insert(0, 1, '.');
  return "'" + text + "'";
}

Token Lexer::next() {
  skip_blanks();
  const size_t begin = at_;
  if (begin == text_.size()) return token(Token::Kind::end, begin);
  const char c = at();
  if (is_letter(c) || c == '_' || c == '$' || (c == '%' && is_follower(at(1)))) {
    do ++at_;
    while (is_follower(at()));
    return token(Token::Kind::word, begin);
  }
  if (c == '.' && is_follower(at(1))) return dotted();
  if (is_digit(c)) return number();
  if (c == '"') return string();
  return mark();
}

Token Lexer::token(Token::Kind kind, size_t begin) {
  return {kind, text_.substr(begin, at_ - begin), line_};
}

void Lexer::skip_blanks() {
  for (; at_ < text_.size(); ++at_) {
    const char c = at();
    if (c == '\n') {
      ++line_;
    } else if (c == '/' && (at(1) == '/' || at(1) == '*')) {
      skip_comment();
    } else if (c != ' ' && c != '\t' && c != '\r' && c != '\f' && c != '\v') {
      return;
    }
  }
}

/// Stops at the comment's last character, so that the caller steps over it.
void Lexer::skip_comment() {
  if (at(1) == '/') {
    while (at_ + 1 < text_.size() && at(1) != '\n') ++at_;
    return;
  }
  const uint32_t first = line_;
  for (at_ += 2; at_ < text_.size(); ++at_) {
    if (at() == '\n') ++line_;
    if (at() == '*' && at(1) == '/') {
      ++at_;
      return;
    }
  }
  throw ParseError("a comment is not closed", first);
}

Token Lexer::dotted() {
  const size_t begin = ++at_;
  while (is_follower(at())) ++at_;
  while (at() == ':' && at(1) == ':' && is_follower(at(2)))
    for (at_ += 2; is_follower(at());) ++at_;
  return token(Token::Kind::dotted, begin);
}

Token Lexer::number() {
  const size_t begin = at_;
  // 0x1e+4 is a sum, 1e+4 a number: only decimal literals have points and exponents.
  const bool decimal = at() != '0' || is_digit(at(1)) || at(1) == '.';
  while (is_follower(at()) || (decimal && at() == '.' && is_digit(at(1)))) {
    const bool exponent = decimal && (at() == 'e' || at() == 'E');
    ++at_;
    if (exponent && (at() == '+' || at() == '-')) ++at_;
  }
  return token(Token::Kind::number, begin);
}

Token Lexer::string() {
  const size_t begin = ++at_;
  for (; at_ < text_.size() && at() != '\n'; ++at_) {
    if (at() == '"') {
      Token result = token(Token::Kind::string, begin);
      ++at_;
      return result;
    }
    if (at() == '\\' && at(1) != '\n') ++at_;
  }
  throw ParseError("a string is not closed on its line", line_);
}

Token Lexer::mark() {
  const size_t begin = at_;
  const std::string_view two = text_.substr(at_, 2);
  for (const std::string_view pair : kPairs) {
    if (two != pair) continue;
    at_ += 2;
    return token(Token::Kind::mark, begin);
  }
  if (kMarks.find(at()) == std::string_view::npos) {
    constexpr char kHex[] = "0123456789abcdef";
    const auto byte = uint8_t(at());
    throw ParseError(std::string("PTX has no character 0x") + kHex[byte >> 4] + kHex[byte & 15],
                     line_);
  }
  ++at_;
  return token(Token::Kind::mark, begin);
}

}  // namespace sim::ptx
