// The inside of sim::ptx::parse; others use simulator/ptx/module.h. One pass over the text, with
// one token of lookahead. Names are views into the text, which outlives the parser.
#pragma once
#include <compare>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "simulator/ptx/lexer.h"
#include "simulator/ptx/module.h"

namespace sim::ptx {

// What the text may ask for beyond its own length: real modules stay far below.
inline constexpr uint32_t kMostNesting = 64;               // of scopes, parentheses and braces
inline constexpr uint32_t kMostRange = 1u << 20;           // registers of %r<n>
inline constexpr uint64_t kMostBytes = uint64_t(1) << 32;  // of a variable
inline constexpr size_t kMostDimensions = 16;
inline constexpr uint64_t kMostInitBytes = uint64_t(64) << 20;  // of all initial values
inline constexpr uint32_t kMostCalls = 256;                     // inlined in each other
inline constexpr size_t kMostTargetFormals = 1u << 16;          // that .calltargets copies

/// A value known while parsing; bits are sign-extended for the integers.
struct Constant {
  enum class Kind : uint8_t { signed_integer, unsigned_integer, real32, real64 };
  Kind kind = Kind::signed_integer;
  uint64_t bits = 0;
  bool is_integer() const { return kind <= Kind::unsigned_integer; }
};

struct Linkage {
  bool external = false, visible = false, weak = false;
};

/// What precedes the names of a variable's declaration.
struct VariableHead {
  Space space = Space::global;
  Type type = Type::none;
  uint32_t width = 1, align = 0;  // align 0: the type's own
  bool managed = false;
};

/// A name within a function.
struct Symbol {
  enum class Kind : uint8_t { reg, variable, formal, label, table, prototype };
  Kind kind = Kind::reg;
  uint32_t index = 0;  // into the function's list of its kind; of a label: into code
  uint32_t width = 1;  // registers of a vector: index and those after it
};

/// .reg .b32 %r<73>: its registers are made when they are first named.
struct Range {
  Type type = Type::none;
  uint32_t width = 1, count = 0;
};

/// A label, table or prototype that was named: resolved where its scope ends, as it may come later.
struct Reference {
  std::string_view name;
  uint32_t line = 0;
  Operand* operand = nullptr;  // either this
  uint32_t* entry = nullptr;   // or an entry of BranchTargets::code
  bool branch = false;         // only a label will do
};

struct Scope {
  std::unordered_map<std::string_view, Symbol> names;
  std::unordered_map<std::string_view, Range> ranges;
  std::unordered_map<std::string_view, uint32_t> numbered;  // %r: least n of single registers %rn
  std::vector<Reference> references;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) { token_ = lexer_.next(); }
  Module run();

 private:
  // Tokens: parser_tokens.cpp.
  /// At the token taken last.
  [[noreturn]] void fail(const std::string& what) const { throw ParseError(what, line_); }
  /// At the next token.
  [[noreturn]] void fail_next(const std::string& what) const {
    throw ParseError(what, token_.line);
  }
  [[noreturn]] void fail_expected(std::string_view what) const;
  Token take();
  Token take(Token::Kind kind, std::string_view what);
  std::string_view take_word(std::string_view what) { return take(Token::Kind::word, what).text; }
  bool accept(std::string_view mark);
  void expect(std::string_view mark, std::string_view after);
  /// A plain number without sign, at most `most`.
  uint64_t number(std::string_view what, uint64_t most = 0xffffffff);

  // Constant expressions: parser_constants.cpp.
  Constant constant();
  Constant binary(int least);
  Constant unary();
  Constant literal();
  Constant integer(std::string_view text);
  Constant real(std::string_view text);
  Constant apply(std::string_view op, Constant a, Constant b) const;
  uint64_t divide(std::string_view op, Constant a, Constant b) const;
  /// {+n} {-n} after a name, summed.
  int64_t offset();

  // Directives of the module: parser.cpp.
  void header();
  void directive();
  void declaration();
  void file();
  void skip_section();
  void alias();
  void skip_pragma();
  void skip_attribute(bool& managed);
  void finish();
  void resolve_aliases();

  // Functions: parser_functions.cpp.
  void function(const Linkage& linkage, bool entry);
  void function_directive();
  void add_function(std::string_view name);
  std::vector<Variable> formals(bool declared);
  Variable formal(std::string_view& name);
  void body(std::string_view name);
  void end_body();
  void close_scope();
  void resolve(const Reference& reference, const Symbol& symbol) const;
  void resolve_outside(const Reference& reference) const;
  void statement();
  void body_directive();

  // Places of the .cu source: parser_places.cpp.
  struct Position {
    uint32_t file = 0, line = 0, column = 0;
    auto operator<=>(const Position&) const = default;
  };
  struct Place {
    uint32_t within = 0;                 // the call that its latest .loc is inlined at; 0: none
    std::map<uint32_t, uint32_t> calls;  // made there, by the call that each is inlined at
    uint32_t any = 0;                    // one of these, whichever
  };
  void location();
  Position position();
  uint32_t call_at(const Position& at);
  uint32_t add_call(const Place& place, const Position& at);

  // Labels: parser_labels.cpp.
  void label(std::string_view name);
  void branch_targets(std::string_view name);
  void call_prototype(std::string_view name);
  void call_targets(std::string_view name);

  // Names of a function: parser_names.cpp.
  void declare(std::string_view name, Symbol symbol);
  const Symbol* find(std::string_view name);
  const Symbol* find_in(Scope& scope, std::string_view name);
  void check_new(std::string_view name);
  void registers();
  Range register_head();
  void declare_single(std::string_view name, const Range& range);
  void declare_range(std::string_view prefix, const Range& range);
  const Symbol& add_register(Scope& scope, std::string_view name, Type type, uint32_t width);
  std::string unique_name(std::string_view name);
  const std::string& name_of_symbol(const Symbol& symbol, const std::string& name) const;

  // Variables: parser_variables.cpp.
  VariableHead variable_head(Space space);
  void pointer_attributes();
  uint32_t alignment();
  Variable variable(const VariableHead& head, std::string_view name, std::vector<uint64_t>& sizes);
  void module_variables(Space space, const Linkage& linkage);
  void add_variable(std::string_view name, Variable&& variable);
  void local_variables(Space space);

  // Initialisers: parser_initialisers.cpp.
  void initialiser(Variable& variable, const std::vector<uint64_t>& sizes);
  void values(Variable& variable, const std::vector<uint64_t>& sizes, size_t level, uint64_t begin,
              uint64_t bytes);
  void value(Variable& variable, uint64_t at);
  void store(Variable& variable, uint64_t at, const Constant& value) const;
  Relocation symbol_address();
  void masked_address(Variable& variable, uint64_t at, const Constant& mask);

  // Instructions: parser_instructions.cpp.
  void instruction(Instruction&& instruction, std::string_view opcode);
  void guard(Instruction& instruction);
  void collect(Operand& operand, uint32_t line, bool branch);
  Operand operand(bool call);
  Operand single(bool call);
  Operand group(Operand::Kind kind, std::string_view close, bool call);
  Operand address();
  Operand named();
  Operand register_operand(const Symbol& symbol, std::string_view name);
  Operand special(std::string_view name);
  Operand constant_operand();

  /// Counts how deep the grammar recurs, so that no text can exhaust the stack.
  struct Depth {
    explicit Depth(Parser& parser) : parser(parser) {
      if (++parser.depth_ > kMostNesting)
        parser.fail("at most " + std::to_string(kMostNesting) + " levels may be nested");
    }
    ~Depth() { --parser.depth_; }
    Parser& parser;
  };

  Lexer lexer_;
  Token token_;        // the next one
  uint32_t line_ = 1;  // of the one before it
  Module module_;
  uint32_t depth_ = 0;

  struct ModuleName {
    bool is_function;
    uint32_t index;  // into module_.functions or variables
  };
  std::unordered_map<std::string_view, ModuleName> names_;
  std::unordered_map<std::string, std::string> aliases_;
  std::vector<std::pair<std::string, uint32_t>> initial_symbols_;  // and their lines
  uint64_t init_bytes_ = 0;
  size_t target_formals_ = 0;

  // Of the function at hand.
  Function function_;
  std::vector<Scope> scopes_;
  std::unordered_map<std::string_view, uint32_t> times_;  // that a name was declared
  Location here_;
  std::map<Position, Place> places_;  // of .loc, so far
  Position before_;                   // of the latest .loc
  size_t code_before_ = 0;            // instructions before it
  bool label_at_end_ = false;
};

}  // namespace sim::ptx
