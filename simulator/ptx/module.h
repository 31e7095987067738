// A PTX module as it is written: what the parser makes and the decoder reads. Nothing here runs.
// Grammar: NVIDIA, "Parallel Thread Execution ISA", sections 4 (syntax), 5 (state spaces and
// types), 6 (operands) and 11 (directives).
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sim::ptx {

/// Malformed or unsupported PTX. The message ends in "(line N)".
struct ParseError : std::runtime_error {
  ParseError(const std::string& what, uint32_t line)
      : std::runtime_error(what + " (line " + std::to_string(line) + ")"), line(line) {}
  uint32_t line;
};

// clang-format off
enum class Type : uint8_t {
  none, pred,
  b8, b16, b32, b64, b128,
  u8, u16, u32, u64,
  s8, s16, s32, s64,
  f16, f16x2, bf16, bf16x2, tf32, f32, f64,
};
// clang-format on
/// Bytes of a value; 1 for pred, 0 for none.
int size_of(Type type);
/// "u32" for Type::u32.
std::string_view name_of(Type type);
/// The type that is written so, without its dot; nothing for any other word.
std::optional<Type> type_named(std::string_view name);

enum class Space : uint8_t { reg, global, constant, shared, local, param, generic };

/// A place in the .cu source: file is a number of Module::files, 0 where nothing is known. What is
/// made of it for reports: ptx/places.h.
struct Location {
  uint32_t file = 0, line = 0;
  uint32_t call = 0;  // of the inlined function that the line is of: Module::calls[call - 1]
};

/// A call in whose place the body of the function stands.
struct InlinedCall {
  Location at;  // its own `call` is lower than that of the lines within
  uint32_t column = 0;
  uint32_t other = 0;  // or it is this one, of the same place: the text doesn't say which
};

/// A register of a function. Written as a range, %r<73> declares %r0 to %r72.
struct Register {
  std::string name;
  Type type = Type::none;
};

/// Bytes of a variable's initial value that are the address of another variable or function.
struct Relocation {
  uint64_t at = 0;  // byte within the variable
  std::string symbol;
  int64_t addend = 0;
  bool generic = false;  // written generic(symbol)
  int size = 8;          // bytes that are written
};

/// A variable of any space but reg; a parameter too.
struct Variable {
  std::string name;
  Space space = Space::global;
  Type type = Type::b8;
  uint64_t bytes = 0;  // of the whole array; 0 for an extern array without a size
  uint32_t align = 1;
  bool external = false, visible = false, weak = false, managed = false;
  std::vector<uint8_t> init;  // empty: zeros (global, constant) or nothing (shared, local)
  std::vector<Relocation> relocations;
};

struct Operand {
  enum class Kind : uint8_t {
    none,
    reg,      // value: index into Function::registers
    special,  // name: "%tid.x"
    integer,  // value: the bits, sign-extended to 64
    real32,   // value: the bits of a float (0f...)
    real64,   // value: the bits of a double (0d..., and decimal literals with a point)
    symbol,   // name: a variable or function, offset added: its address
    label,    // value: index into Function::code
    address,  // in brackets: base in reg (value) or symbol (name) or neither, offset added
    vector,   // parts
    pair,     // d|p: parts[0] and parts[1]
    list,     // in parentheses: parts of call
    sink,     // _
  };
  Kind kind = Kind::none;
  bool negated = false;      // !%p
  bool base_is_reg = false;  // of an address
  uint64_t value = 0;
  int64_t offset = 0;
  std::string name;
  std::vector<Operand> parts;
};

struct Instruction {
  std::string opcode;  // "ld"
  std::vector<std::string>
      modifiers;  // "global", "nc", "v4", "f32", as written, without dots; "::" stays
  std::vector<Operand> operands;
  int guard = -1;              // @%p: index into Function::registers
  bool guard_negated = false;  // @!%p
  uint32_t line = 0;           // of the PTX text
  Location where;              // of the .cu source
  std::string text() const;    // "ld.global.f32", for messages

  bool has(std::string_view modifier) const;
};

/// Labels that an indirect branch may lead to.
struct BranchTargets {
  std::string name;
  std::vector<uint32_t> code;  // indices into Function::code
};

/// A function's shape for an indirect call: .callprototype.
struct Prototype {
  std::string name;
  std::vector<Variable> results, params;
};

struct Function {
  std::string name;
  bool entry = false, external = false, visible = false, weak = false;
  bool no_return = false;
  std::vector<Variable> results, params;
  std::vector<Register> registers;
  std::vector<Variable>
      locals;  // .local, .shared and .param variables of the body; names are unique
  std::vector<Instruction> code;
  std::vector<BranchTargets> targets;
  std::vector<Prototype> prototypes;
  uint32_t line = 0;
  std::vector<uint32_t> max_threads, required_threads;  // .maxntid, .reqntid
  std::vector<uint32_t> cluster;                        // blocks of one: .reqnctapercluster
  uint32_t min_blocks = 0;                              // .minnctapersm
};

struct Module {
  int version_major = 0, version_minor = 0;
  uint32_t target = 0;  // 80 for sm_80
  std::vector<Variable> variables;
  std::vector<Function> functions;
  std::unordered_map<uint32_t, std::string> files;  // .file
  std::vector<InlinedCall> calls;                   // .loc ... inlined_at
};

/// Reads a whole module. Throws ParseError for anything that is not well formed, a name that is
/// declared twice or not at all, and a label that leads nowhere.
///
/// Inner scopes ({ ... } around calls) may declare names again: the parser gives each its own
/// register or variable, so that a Function is flat.
Module parse(std::string_view text);

}  // namespace sim::ptx
