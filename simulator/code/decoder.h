// From a PTX instruction to a decoded one. Every family of instructions registers its opcodes in a
// table: opcode -> function that fills in an Inst (exec/*.cpp); adding an instruction is one row
// there.
#pragma once
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "simulator/code/image.h"
#include "simulator/code/instruction.h"
#include "simulator/code/registers.h"

namespace sim {

/// Names an instruction, its line, and what of it is not simulated.
struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Decoder;
using DecodeInst = void (*)(Decoder&, const Instruction&, Inst&);

struct Entry {
  std::string_view opcode;
  DecodeInst decode;
  Class kind;
  std::string_view forms;  // for the README's table: what of it is supported
};

// One table a family.
std::span<const Entry> integer_table();
std::span<const Entry> carry_table();
std::span<const Entry> real_table();
std::span<const Entry> logic_table();
std::span<const Entry> convert_table();
std::span<const Entry> compare_table();
std::span<const Entry> move_table();
std::span<const Entry> memory_table();
std::span<const Entry> atomic_table();
std::span<const Entry> async_table();
std::span<const Entry> control_table();
std::span<const Entry> sync_table();
std::span<const Entry> warp_table();
std::span<const Entry> tensor_table();
std::span<const Entry> misc_table();
std::span<const Entry> video_table();
std::span<const Entry> stack_table();

struct Family {
  std::string_view name;
  std::span<const Entry> entries;
};
const std::vector<Family>& families();

/// A register may be wider than the type in ld, st and cvt alone (PTX ISA, section 9.4.1).
enum class Width { exact, at_least };

class Decoder {
 public:
  Decoder(const ptx::Function& function, const Symbols& symbols, Image& image);
  void run(Code& code);

  /// The row of a register, special or immediate operand, read as `type`. Throws where the rows of
  /// the register and of the type differ in width.
  Row source(const ptx::Operand& operand, ptx::Type type, Width width = Width::exact);
  /// The row of a register that is written, as `type`.
  Row target(const ptx::Operand& operand, ptx::Type type, Width width = Width::exact);
  uint16_t predicate(const ptx::Operand& operand);
  /// A register that takes what nobody reads: `_`.
  Row sink(ptx::Type type);
  uint16_t sink_predicate();
  /// Whether some instruction reads what is written to a register. nvcc names one for the result of
  /// an atomic that nobody wants, too.
  bool is_read(const ptx::Operand& target) const;
  /// A row of the same value in every lane.
  Row constant(uint64_t bits, ptx::Type type);
  /// Fills a (base), offset and option of an address operand (bit 0: the base has 64 bits, bit 1: a
  /// parameter of the kernel); returns its space, which a symbol decides where none is written.
  ptx::Space address(const ptx::Operand& operand, ptx::Space space, Inst& inst);
  /// The registers of a vector operand (or of a single one), all of one width.
  const Row* rows(const ptx::Operand& operand, ptx::Type type, bool written, uint8_t& count,
                  Width width = Width::exact);
  const Row* keep(std::vector<Row> rows);

  /// Type of a declared register operand.
  ptx::Type type_of(const ptx::Operand& operand) const;
  /// The last modifier that is a type; position counts types from the left otherwise.
  ptx::Type type(const Instruction& inst, int position = -1) const;
  /// The same, which must be one of these.
  ptx::Type type(const Instruction& inst, std::initializer_list<ptx::Type> among,
                 int position = -1) const;

  const ptx::Function& function() const { return function_; }
  const Symbols& symbols() const { return symbols_; }
  Image& image() { return image_; }
  Code& code() { return *code_; }
  /// Byte of a formal, result or .param variable within a lane's parameters.
  uint32_t param_offset(const std::string& name) const;
  const ptx::Variable* param_variable(const std::string& name) const;
  std::optional<Place> place(const std::string& name) const;

  [[noreturn]] void unsupported(const Instruction& inst, const std::string& why) const;

 private:
  void decode_all(Code& code);
  void expect_at_most(int64_t has, int64_t most, const std::string& what) const;
  void allocate_params();
  Row read(uint32_t reg);
  void expect_width(const ptx::Operand& reg, ptx::Type type, Width width) const;

  const ptx::Function& function_;
  const Symbols& symbols_;
  Image& image_;
  Code* code_ = nullptr;
  RegisterPlan plan_;
  std::vector<Touched> touched_;      // by instruction
  size_t now_ = 0;                    // the instruction that is decoded
  std::vector<bool> read_;            // by register; empty: not known yet
  std::vector<uint16_t> predicates_;  // by register
  std::unordered_map<std::string, uint32_t> params_;
  std::unordered_map<std::string, const ptx::Variable*> param_variables_;
  std::unordered_set<std::string> entry_params_;
  std::unordered_map<std::string, Place> locals_;  // .local and .shared of the function
  std::unordered_map<uint64_t, Row> constants32_, constants64_;
};

/// mov from a special register that changes while the warp runs: clocks, timers (exec/misc.cpp).
/// False: the register is a row (Special).
bool decode_special(Decoder& d, const std::string& name, bool wide, Inst& inst);

/// A call of a function that the device's run time library provides: vprintf, malloc, free,
/// __assertfail (exec/builtin.cpp). False: it is none of these. The offsets are of the caller's
/// parameters.
bool decode_builtin(Decoder& d, const Instruction& text, const std::string& name,
                    const std::vector<uint32_t>& params, const std::vector<uint32_t>& results,
                    Inst& inst);

/// Number of operands must be one of these.
void expect_operands(const Decoder& d, const Instruction& inst, size_t least, size_t most);

}  // namespace sim
