// The PTX parser on operands of every kind.
#include <gtest/gtest.h>

#include <bit>

#include "simulator/ptx/module.h"

namespace sim::ptx {
namespace {

using Kind = Operand::Kind;

/// One instruction within a kernel that has registers of all sorts, with its function.
struct Read {
  explicit Read(const std::string& instruction) {
    Module module = parse(
        ".version 8.0\n.target sm_90a, debug\n.global .b32 g;\n"
        ".func f() { ret; }\n"
        ".entry k(.param .u64 formal) {\n.reg .b32 %r<9>;\n.reg .b64 %rd<9>;\n"
        ".reg .f32 %f<9>;\n.reg .pred %p<4>;\n.reg .v4 .b32 %v;\n"
        ".shared .b8 s[8];\n" +
        instruction + "\nL: ret;\n}");
    function = std::move(module.functions.at(1));
  }
  const Instruction& code() const { return function.code.at(0); }
  const Operand& operand(size_t i = 0) const { return code().operands.at(i); }
  std::string reg(const Operand& operand) const {
    return function.registers.at(operand.value).name;
  }
  Function function;
};

TEST(ParserOperands, Registers) {
  const Read read("setp.lt.and.s32 %p1|%p2, %r1, %v.z, !%p3;");
  EXPECT_EQ(read.code().text(), "setp.lt.and.s32");
  EXPECT_EQ(read.operand(0).kind, Kind::pair);
  EXPECT_EQ(read.reg(read.operand(0).parts.at(0)), "%p1");
  EXPECT_EQ(read.reg(read.operand(0).parts.at(1)), "%p2");
  EXPECT_EQ(read.operand(1).kind, Kind::reg);
  EXPECT_EQ(read.reg(read.operand(1)), "%r1");
  EXPECT_EQ(read.reg(read.operand(2)), "%v.z");
  EXPECT_FALSE(read.operand(2).negated);
  EXPECT_TRUE(read.operand(3).negated);
  EXPECT_EQ(read.reg(read.operand(3)), "%p3");
  EXPECT_EQ(read.function.registers.at(read.operand(3).value).type, Type::pred);
}

TEST(ParserOperands, PairsWithSinks) {
  const Read shuffle("shfl.sync.down.b32 %r1|%p1, %r2, %r3, 31, -1;");
  EXPECT_EQ(shuffle.reg(shuffle.operand(0).parts.at(1)), "%p1");
  EXPECT_EQ(shuffle.operand(4).value, ~uint64_t(0));
  const Read left("setp.eq.s32 _|%p1, %r1, 0;"), right("setp.eq.s32 %p1 | _, %r1, 0;");
  EXPECT_EQ(left.operand(0).parts.at(0).kind, Kind::sink);
  EXPECT_EQ(right.operand(0).parts.at(1).kind, Kind::sink);
}

TEST(ParserOperands, Guards) {
  const Read plain("@%p1 mov.b32 %r1, %r2;"), negated("@!%p2 bra L;");
  EXPECT_EQ(plain.function.registers.at(plain.code().guard).name, "%p1");
  EXPECT_FALSE(plain.code().guard_negated);
  EXPECT_EQ(negated.function.registers.at(negated.code().guard).name, "%p2");
  EXPECT_TRUE(negated.code().guard_negated);
  EXPECT_EQ(Read("bra L;").code().guard, -1);
}

struct Number {
  const char* text;
  Kind kind;
  uint64_t value;
};

TEST(ParserOperands, Constants) {
  const Number numbers[] = {
      {"0", Kind::integer, 0},
      {"-1", Kind::integer, ~uint64_t(0)},
      {"4294967295U", Kind::integer, 0xffffffff},
      {"0xFFFFFFFFFFFFFFFF", Kind::integer, ~uint64_t(0)},
      {"-0x8000000000000000", Kind::integer, uint64_t(1) << 63},
      {"0b1011", Kind::integer, 11},
      {"017", Kind::integer, 15},
      {"0X1eU", Kind::integer, 30},
      {"WARP_SZ", Kind::integer, 32},
      {"WARP_SZ-1", Kind::integer, 31},
      {"(4*8+1)", Kind::integer, 33},
      {"0x1e+4", Kind::integer, 34},
      {"0f3F800000", Kind::real32, 0x3f800000},
      {"0FbF800000", Kind::real32, 0xbf800000},
      {"-0f3F800000", Kind::real32, 0xbf800000},
      {"0d3FF0000000000000", Kind::real64, 0x3ff0000000000000},
      {"-0d3FF0000000000000", Kind::real64, 0xbff0000000000000},
      {"1.5", Kind::real64, std::bit_cast<uint64_t>(1.5)},
      {"-0.25", Kind::real64, std::bit_cast<uint64_t>(-0.25)},
      {"1.0e-3", Kind::real64, std::bit_cast<uint64_t>(1e-3)},
      {"12E+2", Kind::real64, std::bit_cast<uint64_t>(1200.0)},
  };
  for (const Number& number : numbers) {
    const Read read(std::string("mov.b64 %rd1, ") + number.text + ";");
    EXPECT_EQ(read.operand(1).kind, number.kind) << number.text;
    EXPECT_EQ(read.operand(1).value, number.value) << number.text;
  }
}

TEST(ParserOperands, SpecialRegisters) {
  for (const char* name : {"%tid.x", "%cluster_nctaid.w", "%laneid", "%lanemask_lt", "%clock64",
                           "%envreg31", "%pm7", "%pm3_64", "%globaltimer_hi", "%dynamic_smem_size",
                           "%reserved_smem_offset_1", "%is_explicit_cluster"}) {
    const Read read(std::string("mov.u32 %r1, ") + name + ";");
    EXPECT_EQ(read.operand(1).kind, Kind::special) << name;
    EXPECT_EQ(read.operand(1).name, name);
  }
}

TEST(ParserOperands, Symbols) {
  const Read global("mov.u64 %rd1, g;"), offset("mov.u64 %rd1, g+8-4;"), local("mov.u32 %r1, s+4;");
  EXPECT_EQ(global.operand(1).kind, Kind::symbol);
  EXPECT_EQ(global.operand(1).name, "g");
  EXPECT_EQ(offset.operand(1).offset, 4);
  EXPECT_EQ(local.operand(1).kind, Kind::symbol);
  EXPECT_EQ(local.operand(1).name, "s");
  EXPECT_EQ(local.operand(1).offset, 4);
  EXPECT_EQ(Read("mov.u64 %rd1, formal;").operand(1).name, "formal");
  EXPECT_EQ(Read("mov.u64 %rd1, f;").operand(1).kind, Kind::symbol);
}

struct At {
  const char* text;
  bool base_is_reg;
  const char* name;
  int64_t offset;
};

TEST(ParserOperands, Addresses) {
  const At addresses[] = {
      {"[%rd1]", true, "", 0},         {"[%rd1+8]", true, "", 8},
      {"[ %rd1 + -8 ]", true, "", -8}, {"[%rd1-0x10]", true, "", -16},
      {"[g]", false, "g", 0},          {"[g+4].unified", false, "g", 4},
      {"[s+(2*2)]", false, "s", 4},    {"[formal]", false, "formal", 0},
      {"[16]", false, "", 16},
  };
  for (const At& at : addresses) {
    const Read read(std::string("ld.b32 %r1, ") + at.text + ";");
    const Operand& operand = read.operand(1);
    EXPECT_EQ(operand.kind, Kind::address) << at.text;
    EXPECT_EQ(operand.base_is_reg, at.base_is_reg) << at.text;
    EXPECT_EQ(operand.name, at.name) << at.text;
    EXPECT_EQ(operand.offset, at.offset) << at.text;
    EXPECT_EQ(at.base_is_reg ? read.reg(operand) : "%rd1", "%rd1") << at.text;
  }
}

TEST(ParserOperands, AddressesWithCoordinates) {
  const Read read(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%r1], [%rd1, {%r2, %r3}], [s];");
  EXPECT_TRUE(read.code().has("shared::cluster"));
  EXPECT_TRUE(read.code().has("mbarrier::complete_tx::bytes"));
  EXPECT_TRUE(read.operand(1).base_is_reg);
  ASSERT_EQ(read.operand(1).parts.size(), 1u);
  EXPECT_EQ(read.reg(read.operand(1).parts[0].parts.at(1)), "%r3");
}

TEST(ParserOperands, Vectors) {
  const Read read("ld.global.nc.L1::no_allocate.L2::128B.v4.f32 {%f1, _, %v.x, %f2}, [%rd1];");
  EXPECT_EQ(read.code().modifiers,
            (std::vector<std::string>{"global", "nc", "L1::no_allocate", "L2::128B", "v4", "f32"}));
  const Operand& vector = read.operand(0);
  ASSERT_EQ(vector.kind, Kind::vector);
  ASSERT_EQ(vector.parts.size(), 4u);
  EXPECT_EQ(read.reg(vector.parts[0]), "%f1");
  EXPECT_EQ(vector.parts[1].kind, Kind::sink);
  EXPECT_EQ(read.reg(vector.parts[2]), "%v.x");

  const Read whole("st.v4.b32 [%rd1], %v;");
  ASSERT_EQ(whole.operand(1).kind, Kind::vector);
  EXPECT_EQ(whole.reg(whole.operand(1).parts.at(3)), "%v.w");
  EXPECT_EQ(Read("mov.b64 %rd1, {1, %r1};").operand(1).parts.at(0).value, 1u);
}

TEST(ParserOperands, Matrices) {
  const Read read(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1,%f2,%f3,%f4},\n"
      "{%r1,%r2,%r3,%r4}, {%r5,%r6}, {%f1,%f2,%f3,%f4};");
  EXPECT_EQ(read.code().text(), "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32");
  ASSERT_EQ(read.code().operands.size(), 4u);
  EXPECT_EQ(read.operand(2).parts.size(), 2u);
  EXPECT_EQ(read.operand(3).parts[3].value, read.operand(0).parts[3].value);
}

TEST(ParserOperands, Calls) {
  const Read plain("call.uni f;"), none("call.uni (), f, ();"), some("call (%r1), f, (%r2, s, 7);");
  EXPECT_EQ(plain.operand().kind, Kind::symbol);
  EXPECT_EQ(none.operand(0).kind, Kind::list);
  EXPECT_TRUE(none.operand(0).parts.empty());
  ASSERT_EQ(some.operand(2).kind, Kind::list);
  EXPECT_EQ(some.operand(2).parts.at(0).kind, Kind::reg);
  EXPECT_EQ(some.operand(2).parts.at(1).kind, Kind::symbol);
  EXPECT_EQ(some.operand(2).parts.at(2).kind, Kind::integer);
}

TEST(ParserOperands, NoOperands) {
  EXPECT_TRUE(Read("bar.warp.sync;").code().operands.empty());
  EXPECT_EQ(Read("fence.proxy.async.shared::cta;").code().text(), "fence.proxy.async.shared::cta");
}

}  // namespace
}  // namespace sim::ptx
