// Constants and constant expressions: PTX ISA, section 4.5.
#include <bit>
#include <charconv>

#include "simulator/ptx/parser.h"

namespace sim::ptx {
namespace {

struct Operator {
  std::string_view mark;
  int level;  // greater binds tighter
};
constexpr Operator kOperators[] = {
    {"*", 10}, {"/", 10}, {"%", 10}, {"+", 9}, {"-", 9},  {"<<", 8},
    {">>", 8}, {"<", 7},  {"<=", 7}, {">", 7}, {">=", 7}, {"==", 6},
    {"!=", 6}, {"&", 5},  {"^", 4},  {"|", 3}, {"&&", 2}, {"||", 1},
};

/// 0 where the token is no operator of two sides.
int level_of(const Token& token) {
  for (const Operator& op : kOperators)
    if (token.is(op.mark)) return op.level;
  return 0;
}

template <class T>
bool compare(std::string_view op, T a, T b) {
  if (op == "<") return a < b;
  if (op == "<=") return a <= b;
  if (op == ">") return a > b;
  if (op == ">=") return a >= b;
  return op == "==" ? a == b : a != b;
}

uint64_t shift(std::string_view op, const Constant& a, uint64_t by) {
  const bool negative = a.kind == Constant::Kind::signed_integer && int64_t(a.bits) < 0;
  if (by > 63) return op == ">>" && negative ? ~uint64_t(0) : 0;
  if (op == "<<") return a.bits << by;
  return negative ? uint64_t(int64_t(a.bits) >> by) : a.bits >> by;
}

}  // namespace

Constant Parser::constant() {
  const Depth depth(*this);
  const Constant condition = binary(1);
  if (!accept("?")) return condition;
  const Constant yes = constant();
  expect(":", "the first choice of '?'");
  const Constant no = constant();
  return condition.bits != 0 ? yes : no;
}

/// Operators of `least` and tighter, from the left.
Constant Parser::binary(int least) {
  Constant left = unary();
  for (int level = level_of(token_); level >= least && level > 0; level = level_of(token_)) {
    const Token op = take();
    left = apply(op.text, left, binary(level + 1));
  }
  return left;
}

Constant Parser::unary() {
  const Depth depth(*this);
  if (accept("(")) {
    const Constant inner = constant();
    expect(")", "a constant expression");
    return inner;
  }
  if (!token_.is("-") && !token_.is("+") && !token_.is("~") && !token_.is("!")) return literal();
  const Token op = take();
  Constant value = unary();
  if (op.is("+")) return value;
  if (value.is_integer()) {
    if (op.is("-")) value.bits = 0 - value.bits;
    if (op.is("~")) value.bits = ~value.bits;
    if (op.is("!")) value.bits = value.bits == 0;
    return value;
  }
  if (!op.is("-")) fail("operator " + describe(op) + " takes integers");
  value.bits ^= value.kind == Constant::Kind::real32 ? uint64_t(1) << 31 : uint64_t(1) << 63;
  return value;
}

Constant Parser::literal() {
  if (token_.is_word("WARP_SZ")) {
    take();
    return {Constant::Kind::signed_integer, 32};
  }
  if (token_.kind != Token::Kind::number) fail_expected("a constant");
  const std::string_view text = token_.text;
  const char second = text.size() > 1 && text[0] == '0' ? char(text[1] | 0x20) : '\0';
  const bool hexadecimal = second == 'x';
  const bool is_real = second == 'f' || second == 'd' || text.find('.') != text.npos ||
                       (!hexadecimal && text.find_first_of("eE") != text.npos);
  const Constant value = is_real ? real(text) : integer(text);
  take();
  return value;
}

Constant Parser::integer(std::string_view text) {
  std::string_view digits = text;
  const bool is_unsigned = digits.size() > 1 && digits.back() == 'U';
  if (is_unsigned) digits.remove_suffix(1);
  int base = 10;
  if (digits.size() > 1 && digits[0] == '0') {
    const char second = char(digits[1] | 0x20);
    base = second == 'x' ? 16 : second == 'b' ? 2 : 8;
    digits.remove_prefix(base == 8 ? 1 : 2);
  }
  uint64_t bits = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, bits, base);
  if (error == std::errc::result_out_of_range)
    fail_next("a constant has at most 64 bits; got " + describe(token_));
  if (error != std::errc() || stop != end) fail_next("malformed number " + describe(token_));
  const bool fits = !is_unsigned && int64_t(bits) >= 0;
  return {fits ? Constant::Kind::signed_integer : Constant::Kind::unsigned_integer, bits};
}

Constant Parser::real(std::string_view text) {
  const char second = text[0] == '0' ? char(text[1] | 0x20) : '\0';
  const char* end = text.data() + text.size();
  if (second == 'f' || second == 'd') {
    uint64_t bits = 0;
    const auto [stop, error] = std::from_chars(text.data() + 2, end, bits, 16);
    const size_t digits = second == 'f' ? 8 : 16;
    if (error != std::errc() || stop != end || text.size() != digits + 2)
      fail_next("a number that begins with 0" + std::string(1, second) + " has " +
                std::to_string(digits) + " hexadecimal digits; got " + describe(token_));
    return {second == 'f' ? Constant::Kind::real32 : Constant::Kind::real64, bits};
  }
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) fail_next("malformed number " + describe(token_));
  return {Constant::Kind::real64, std::bit_cast<uint64_t>(value)};
}

Constant Parser::apply(std::string_view op, Constant a, Constant b) const {
  using enum Constant::Kind;
  if (!a.is_integer() || !b.is_integer()) fail("operator '" + std::string(op) + "' takes integers");
  const bool both_signed = a.kind == signed_integer && b.kind == signed_integer;
  Constant result{both_signed ? signed_integer : unsigned_integer, 0};
  if (op == "<<" || op == ">>") {
    result = {a.kind, shift(op, a, b.bits)};
  } else if (op[0] == '<' || op[0] == '>' || op == "==" || op == "!=") {
    const bool holds =
        both_signed ? compare(op, int64_t(a.bits), int64_t(b.bits)) : compare(op, a.bits, b.bits);
    result = {signed_integer, holds};
  } else if (op == "&&" || op == "||") {
    const bool holds = op == "&&" ? a.bits && b.bits : a.bits || b.bits;
    result = {signed_integer, holds};
  } else if (op == "/" || op == "%") {
    result.bits = divide(op, a, b);
  } else {
    switch (op[0]) {
      case '*':
        result.bits = a.bits * b.bits;
        break;
      case '+':
        result.bits = a.bits + b.bits;
        break;
      case '-':
        result.bits = a.bits - b.bits;
        break;
      case '&':
        result.bits = a.bits & b.bits;
        break;
      case '^':
        result.bits = a.bits ^ b.bits;
        break;
      default:
        result.bits = a.bits | b.bits;
        break;
    }
  }
  return result;
}

uint64_t Parser::divide(std::string_view op, Constant a, Constant b) const {
  if (b.bits == 0) fail("a constant expression divides by zero");
  const bool both_signed =
      a.kind == Constant::Kind::signed_integer && b.kind == Constant::Kind::signed_integer;
  if (!both_signed) return op == "/" ? a.bits / b.bits : a.bits % b.bits;
  if (int64_t(b.bits) == -1) return op == "/" ? 0 - a.bits : 0;  // the least integer / -1 traps
  return uint64_t(op == "/" ? int64_t(a.bits) / int64_t(b.bits)
                            : int64_t(a.bits) % int64_t(b.bits));
}

int64_t Parser::offset() {
  uint64_t sum = 0;
  while (token_.is("+") || token_.is("-")) {
    const bool minus = take().is("-");
    const Constant value = unary();
    if (!value.is_integer()) fail("an offset is an integer");
    sum += minus ? 0 - value.bits : value.bits;
  }
  return int64_t(sum);
}

}  // namespace sim::ptx
