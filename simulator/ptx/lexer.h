// Splits PTX text into tokens. Grammar: PTX ISA, section 4.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace sim::ptx {

struct Token {
  enum class Kind : uint8_t {
    end,
    word,    // a name or opcode: add, %r1, $L__BB0_2
    dotted,  // .reg, .L2::128B; text is without the first dot
    number,  // as written
    string,  // text is between the quotes, as written
    mark,    // one sign, or two of << >> <= >= == != && ||
  };
  Kind kind = Kind::end;
  std::string_view text;  // points into the PTX text
  uint32_t line = 1;

  bool is(std::string_view mark) const { return kind == Kind::mark && text == mark; }
  bool is_word(std::string_view word) const { return kind == Kind::word && text == word; }
  bool is_dotted(std::string_view word) const { return kind == Kind::dotted && text == word; }
};

/// "'.reg'", shortened where it is long; "the end of the text".
std::string describe(const Token& token);

class Lexer {
 public:
  /// The text must outlive the lexer and its tokens.
  explicit Lexer(std::string_view text) : text_(text) {}

  /// Throws ParseError at a sign that PTX doesn't have and at an open string or comment.
  Token next();

 private:
  char at(size_t ahead = 0) const { return ahead < text_.size() - at_ ? text_[at_ + ahead] : '\0'; }
  void skip_blanks();
  void skip_comment();
  Token token(Token::Kind kind, size_t begin);
  Token dotted();
  Token number();
  Token string();
  Token mark();

  std::string_view text_;
  size_t at_ = 0;
  uint32_t line_ = 1;
};

}  // namespace sim::ptx
