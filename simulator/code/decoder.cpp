#include "simulator/code/decoder.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "simulator/code/work.h"

namespace sim {
namespace {

using ptx::Operand;
using ptx::Space;
using ptx::Type;

// What a card's limits leave far behind; more is hostile, and would not fit the fields of a Row.
constexpr int64_t kMostParamBytes = 1 << 20, kMostLocalBytes = 512 << 10;
constexpr int64_t kMostRegisterBytes = 1 << 28;
constexpr size_t kMostRowBytes = size_t(1) << 28;

uint32_t align_up(uint64_t value, uint64_t to) { return uint32_t((value + to - 1) / to * to); }

const std::unordered_map<std::string_view, Special>& specials() {
  static const std::unordered_map<std::string_view, Special> table = {
      {"%tid.x", kTidX},
      {"%tid.y", kTidY},
      {"%tid.z", kTidZ},
      {"%ntid.x", kNtidX},
      {"%ntid.y", kNtidY},
      {"%ntid.z", kNtidZ},
      {"%ctaid.x", kCtaidX},
      {"%ctaid.y", kCtaidY},
      {"%ctaid.z", kCtaidZ},
      {"%nctaid.x", kNctaidX},
      {"%nctaid.y", kNctaidY},
      {"%nctaid.z", kNctaidZ},
      {"%laneid", kLaneId},
      {"%warpid", kWarpId},
      {"%nwarpid", kNwarpId},
      {"%lanemask_eq", kLaneMaskEq},
      {"%lanemask_le", kLaneMaskLe},
      {"%lanemask_lt", kLaneMaskLt},
      {"%lanemask_ge", kLaneMaskGe},
      {"%lanemask_gt", kLaneMaskGt},
      {"%smid", kSmId},
      {"%nsmid", kNsmId},
      {"%gridid", kGridId},
      {"%dynamic_smem_size", kDynamicShared},
      {"%total_smem_size", kTotalShared}};
  return table;
}

const std::unordered_map<std::string_view, Entry>& opcodes() {
  static const auto table = [] {
    std::unordered_map<std::string_view, Entry> all;
    for (const Family& family : families())
      for (const Entry& e : family.entries)
        if (!all.emplace(e.opcode, e).second)
          throw std::logic_error("two rows for " + std::string(e.opcode));
    return all;
  }();
  return table;
}

}  // namespace

const std::vector<Family>& families() {
  static const auto* const all =
      new std::vector<Family>{{"Integers", integer_table()},
                              {"Integers with carry", carry_table()},
                              {"Real numbers", real_table()},
                              {"Bits and shifts", logic_table()},
                              {"Conversions", convert_table()},
                              {"Comparison and selection", compare_table()},
                              {"Moves and addresses", move_table()},
                              {"Loads and stores", memory_table()},
                              {"Atomics", atomic_table()},
                              {"Asynchronous copies and mbarriers", async_table()},
                              {"Control", control_table()},
                              {"Barriers and fences", sync_table()},
                              {"Warps", warp_table()},
                              {"Matrices", tensor_table()},
                              {"Pairs and quarters of integers", video_table()},
                              {"Stack", stack_table()},
                              {"Others", misc_table()}};
  return *all;
}

Decoder::Decoder(const ptx::Function& function, const Symbols& symbols, Image& image)
    : function_(function), symbols_(symbols), image_(image) {
  const auto is_predicate = [](const ptx::Register& r) { return r.type == Type::pred; };
  const auto& registers = function_.registers;
  expect_at_most(std::count_if(registers.begin(), registers.end(), is_predicate), 60'000,
                 "predicates");
  uint32_t predicates = kFixedPredicates;
  for (const auto& r : function_.registers)
    predicates_.push_back(r.type == Type::pred ? uint16_t(predicates++) : kNoPredicate);
}

void Decoder::expect_at_most(int64_t has, int64_t most, const std::string& what) const {
  if (has > most)
    throw Unsupported(function_.name + " at line " + std::to_string(function_.line) +
                      " of the PTX: a function has at most " + std::to_string(most) + " " + what +
                      "; got " + std::to_string(has));
}

void Decoder::run(Code& code) {
  expect_at_most(int64_t(function_.registers.size() * 4 * kRow), kMostRegisterBytes,
                 "bytes of registers");
  plan_ = separate_rows(function_, kSinkBytes);
  Code first;  // only to learn what each instruction touches
  decode_all(first);
  read_.resize(function_.registers.size());
  for (const Touched& t : touched_)
    for (const uint32_t r : t.read) read_[r] = true;
  plan_ = shared_rows(function_, touched_, kSinkBytes);
  decode_all(code);
}

void Decoder::allocate_params() {
  uint64_t bytes = 0;
  const auto add = [&](const ptx::Variable& v) {
    bytes = align_up(bytes, std::max<uint32_t>(v.align, 1));
    params_[v.name] = uint32_t(bytes);
    param_variables_[v.name] = &v;
    bytes += v.bytes;
  };
  for (const auto& v : function_.params) add(v);
  if (function_.entry) {  // a kernel's own lie in the launch, once for all lanes
    for (const auto& v : function_.params) entry_params_.insert(v.name);
    bytes = 0;
  }
  for (const auto& v : function_.results) add(v);
  uint64_t local = 0;
  for (const auto& v : function_.locals) {
    if (v.space == Space::param) {
      add(v);
    } else if (v.space == Space::local) {
      local = align_up(local, std::max<uint32_t>(v.align, 1));
      locals_[v.name] = {Space::local, local, v.bytes};
      local += v.bytes;
    } else {
      locals_[v.name] = symbols_.shared_of.at(&function_).at(v.name);
    }
  }
  expect_at_most(int64_t(bytes), kMostParamBytes, "bytes of parameters");
  expect_at_most(int64_t(local), kMostLocalBytes, "bytes of local memory");
  code_->param_bytes = align_up(bytes, 16);
  code_->local_bytes = align_up(local, 16);
}

void Decoder::decode_all(Code& code) {
  code_ = &code;
  code.function = &function_;
  code.register_bytes = plan_.end;
  code.predicates = kFixedPredicates;
  for (const uint16_t p : predicates_) code.predicates += p != kNoPredicate;
  code.predicate_of = predicates_;
  constants32_.clear(), constants64_.clear();
  touched_.assign(function_.code.size() + 1, {});
  allocate_params();
  code.insts.reserve(function_.code.size() + 1);
  for (size_t n = 0; n < function_.code.size(); ++n) {
    now_ = n;
    const ptx::Instruction& written = function_.code[n];
    const Instruction text(written);
    const auto found = opcodes().find(text.opcode);
    if (found == opcodes().end()) unsupported(text, "no such instruction is simulated");
    Inst inst;
    inst.source = uint32_t(n);
    inst.kind = found->second.kind;
    if (written.guard >= 0) {
      inst.guard = predicates_.at(size_t(written.guard));
      inst.guard_negated = written.guard_negated;
    }
    try {
      found->second.decode(*this, text, inst);
    } catch (const Unsupported&) {
      throw;
    } catch (const std::out_of_range&) {  // of the operands
      unsupported(text, "it has " + std::to_string(text.operands.size()) + " operands");
    } catch (const std::runtime_error& e) {  // of an operand, which does not know its instruction
      unsupported(text, e.what());
    }
    if (!text.operands.known())
      unsupported(text, "it has " + std::to_string(text.operands.size()) + " operands");
    if (const auto modifier = text.unknown())
      unsupported(text, "with ." + *modifier + " it is not simulated");
    inst.kind = class_of(written, inst.kind);
    if (!inst.run) throw std::logic_error("nothing was decoded for " + text.text());
    code.insts.push_back(inst);
  }
  now_ = function_.code.size();
  ptx::Instruction end;  // who runs off the end returns
  end.opcode = "ret";
  Inst inst;
  inst.source = uint32_t(function_.code.empty() ? 0 : function_.code.size() - 1);
  inst.kind = Class::control;
  opcodes().at("ret").decode(*this, Instruction(end), inst);
  code.insts.push_back(inst);
}

Row Decoder::read(uint32_t reg) {
  touched_[now_].read.push_back(reg);
  return Row::at(kRegisters, plan_.byte.at(reg));
}

void Decoder::expect_width(const Operand& reg, Type type, Width width) const {
  const uint32_t has = row_bytes(type_of(reg)), wanted = row_bytes(type);
  if (has == wanted || (has > wanted && width == Width::at_least)) return;
  throw std::runtime_error("a register of " + std::string(ptx::name_of(type_of(reg))) +
                           " stands where " + std::string(ptx::name_of(type)) + " is wanted");
}

Row Decoder::source(const Operand& o, Type type, Width width) {
  switch (o.kind) {
    case Operand::Kind::reg:
      if (predicates_.at(o.value) != kNoPredicate)
        throw std::runtime_error("a predicate stands where a number is read");
      expect_width(o, type, width);
      return read(uint32_t(o.value));
    case Operand::Kind::integer:
      return constant(o.value, type);
    case Operand::Kind::real32:
      if (type == Type::f64) {
        float f;
        std::memcpy(&f, &o.value, 4);
        const double d = f;
        uint64_t bits;
        std::memcpy(&bits, &d, 8);
        return constant(bits, type);
      }
      return constant(o.value, type);
    case Operand::Kind::real64:
      if (ptx::size_of(type) == 4) {
        double d;
        std::memcpy(&d, &o.value, 8);
        const float f = float(d);
        uint32_t bits;
        std::memcpy(&bits, &f, 4);
        return constant(bits, type);
      }
      return constant(o.value, type);
    case Operand::Kind::special: {
      const auto it = specials().find(o.name);
      if (it == specials().end()) throw std::runtime_error("no register " + o.name);
      return Row::at(kSpecials, it->second * kRow);
    }
    default:
      throw std::runtime_error("an operand is not a value");
  }
}

Row Decoder::target(const Operand& o, Type type, Width width) {
  if (o.kind == Operand::Kind::sink) return sink(type);
  if (o.kind != Operand::Kind::reg || predicates_.at(o.value) != kNoPredicate)
    throw std::runtime_error("a result needs a register");
  expect_width(o, type, width);
  touched_[now_].written.push_back(uint32_t(o.value));
  return Row::at(kRegisters, plan_.byte[o.value]);
}

bool Decoder::is_read(const Operand& o) const {
  if (o.kind == Operand::Kind::sink) return false;
  return o.kind != Operand::Kind::reg || read_.empty() || read_.at(o.value);
}

uint16_t Decoder::predicate(const Operand& o) {
  if (o.kind == Operand::Kind::sink) return sink_predicate();
  if (o.kind == Operand::Kind::integer) return o.value ? kTruePredicate : kFalsePredicate;
  if (o.kind != Operand::Kind::reg || predicates_.at(o.value) == kNoPredicate)
    throw std::runtime_error("an operand is not a predicate");
  return predicates_[o.value];
}

Row Decoder::sink(Type) { return Row::at(kRegisters, 0); }
uint16_t Decoder::sink_predicate() { return kSinkPredicate; }

Row Decoder::constant(uint64_t bits, Type type) {
  const int size = ptx::size_of(type);
  const bool wide = size == 8;
  if (size == 1) bits &= 0xff;
  if (size == 2) bits &= 0xffff;
  auto& known = wide ? constants64_ : constants32_;
  if (const auto it = known.find(bits); it != known.end()) return it->second;
  if (code_->constants.size() * 4 >= kMostRowBytes)
    throw std::runtime_error("the function has too many constants");
  const Row row = Row::at(kConstants, uint32_t(code_->constants.size() * 4));
  for (int l = 0; l < kLanes; ++l) {
    code_->constants.push_back(uint32_t(bits));
    if (wide) code_->constants.push_back(uint32_t(bits >> 32));
  }
  return known.emplace(bits, row).first->second;
}

Space Decoder::address(const Operand& o, Space space, Inst& inst) {
  if (o.kind != Operand::Kind::address) throw std::runtime_error("an operand is not an address");
  inst.offset = o.offset;
  if (o.base_is_reg) {
    if (predicates_.at(o.value) != kNoPredicate)
      throw std::runtime_error("a predicate stands where an address is read");
    inst.a = read(uint32_t(o.value));
    if (ptx::size_of(function_.registers[o.value].type) == 8) inst.option |= 1;
    return space;
  }
  inst.option |= 1;
  inst.a = constant(0, Type::u64);
  if (o.name.empty()) return space;
  if (const auto it = params_.find(o.name); it != params_.end()) {
    inst.offset = int64_t(uint64_t(inst.offset) + it->second);
    if (entry_params_.contains(o.name)) inst.option |= 2;
    return Space::param;
  }
  const auto found = place(o.name);
  if (!found) throw std::runtime_error("nothing is called " + o.name);
  inst.offset = int64_t(uint64_t(inst.offset) + found->address);
  return space == Space::generic ? found->space : space;
}

std::optional<Place> Decoder::place(const std::string& name) const {
  if (const auto it = locals_.find(name); it != locals_.end()) return it->second;
  if (const auto it = symbols_.places.find(name); it != symbols_.places.end()) return it->second;
  if (const auto it = symbols_.function_address.find(name); it != symbols_.function_address.end())
    return Place{Space::generic, it->second, 0};
  return std::nullopt;
}

const Row* Decoder::keep(std::vector<Row> rows) {
  code_->row_lists.push_back(std::make_unique<Row[]>(rows.size()));
  std::copy(rows.begin(), rows.end(), code_->row_lists.back().get());
  return code_->row_lists.back().get();
}

const Row* Decoder::rows(const Operand& o, Type type, bool written, uint8_t& count, Width width) {
  std::vector<Row> list;
  Type held = Type::none;
  const auto add = [&](const Operand& part) {
    list.push_back(written ? target(part, type, width) : source(part, type, width));
    const Type t = type_of(part);
    if (t == Type::none) return;
    if (held != Type::none && row_bytes(held) != row_bytes(t))
      throw std::runtime_error("registers of " + std::string(ptx::name_of(held)) + " and " +
                               std::string(ptx::name_of(t)) + " stand in one vector");
    held = t;
  };
  if (o.kind == Operand::Kind::vector) {
    for (const Operand& part : o.parts) add(part);
  } else {
    add(o);
  }
  count = uint8_t(list.size());
  return keep(std::move(list));
}

Type Decoder::type_of(const Operand& o) const {
  return o.kind == Operand::Kind::reg ? function_.registers.at(o.value).type : Type::none;
}

Type Decoder::type(const Instruction& inst, int position) const {
  const auto type = inst.type(position);
  if (!type) unsupported(inst, "it names no type");
  return *type;
}

Type Decoder::type(const Instruction& inst, std::initializer_list<Type> among, int position) const {
  const Type type = this->type(inst, position);
  if (std::find(among.begin(), among.end(), type) == among.end())
    unsupported(inst, "with " + std::string(ptx::name_of(type)) + " it is not simulated");
  return type;
}

uint32_t Decoder::param_offset(const std::string& name) const {
  const auto it = params_.find(name);
  if (it == params_.end()) throw std::runtime_error("no parameter is called " + name);
  return it->second;
}

const ptx::Variable* Decoder::param_variable(const std::string& name) const {
  const auto it = param_variables_.find(name);
  return it == param_variables_.end() ? nullptr : it->second;
}

void Decoder::unsupported(const Instruction& inst, const std::string& why) const {
  throw Unsupported(inst.text() + " in " + function_.name + " at line " +
                    std::to_string(inst.line()) + " of the PTX: " + why);
}

void expect_operands(const Decoder& d, const Instruction& inst, size_t least, size_t most) {
  if (inst.operands.size() < least || inst.operands.size() > most)
    d.unsupported(inst, "it has " + std::to_string(inst.operands.size()) + " operands");
  inst.operands.count();
}

}  // namespace sim
