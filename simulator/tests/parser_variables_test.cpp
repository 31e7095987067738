// The PTX parser on variables of modules and their initial values.
#include <gtest/gtest.h>

#include "simulator/ptx/module.h"

namespace sim::ptx {
namespace {

Module module_of(const std::string& text) {
  return parse(".version 9.0\n.target sm_80\n.address_size 64\n" + text);
}

std::vector<uint8_t> bytes(std::initializer_list<int> values) {
  return {values.begin(), values.end()};
}

TEST(ParserVariables, Variables) {
  const Module module = module_of(R"(
    .visible .global .attribute(.managed) .align 8 .u32 m;
    .extern .shared .align 16 .b8 dynamic[];
    .weak .const .f64 c[2][3];
    .common .global .v4 .f32 v[5], w;
    .extern .global .s16 e;
    .global .s16 e = -2;)");
  ASSERT_EQ(module.variables.size(), 6u);
  const Variable& m = module.variables[0];
  EXPECT_TRUE(m.managed && m.visible);
  EXPECT_EQ(m.align, 8u);
  EXPECT_EQ(m.bytes, 4u);
  EXPECT_TRUE(m.init.empty());
  const Variable& dynamic = module.variables[1];
  EXPECT_TRUE(dynamic.external);
  EXPECT_EQ(dynamic.space, Space::shared);
  EXPECT_EQ(dynamic.bytes, 0u);
  EXPECT_EQ(dynamic.align, 16u);
  EXPECT_EQ(module.variables[2].bytes, 48u);
  EXPECT_EQ(module.variables[2].space, Space::constant);
  EXPECT_TRUE(module.variables[2].weak);
  EXPECT_EQ(module.variables[3].bytes, 80u);
  EXPECT_EQ(module.variables[3].align, 16u);
  EXPECT_EQ(module.variables[4].bytes, 16u);
  EXPECT_EQ(module.variables[4].name, "w");
  EXPECT_FALSE(module.variables[5].external);
  EXPECT_EQ(module.variables[5].init, bytes({0xfe, 0xff}));
}

TEST(ParserVariables, InitialValues) {
  const auto init = [](const std::string& declaration) {
    const Variable variable = module_of(".global " + declaration + ";").variables.at(0);
    EXPECT_EQ(variable.init.size(), variable.bytes) << declaration;
    return variable.init;
  };
  EXPECT_EQ(init(".b8 x[4] = {1, -1, 0xFE}"), bytes({1, 255, 254, 0}));
  EXPECT_EQ(init(".b8 x[] = {1, 2, 3}"), bytes({1, 2, 3}));
  EXPECT_EQ(init(".u16 x = {0x1234}"), bytes({0x34, 0x12}));
  EXPECT_EQ(init(".f32 x[4] = {0f3F800000, 1.0, 1, -0f3F800000}"),
            bytes({0, 0, 0x80, 0x3f, 0, 0, 0x80, 0x3f, 0, 0, 0x80, 0x3f, 0, 0, 0x80, 0xbf}));
  EXPECT_EQ(init(".f64 x = 0d3FF0000000000000"), bytes({0, 0, 0, 0, 0, 0, 0xf0, 0x3f}));
  EXPECT_EQ(init(".f64 x = -1"), bytes({0, 0, 0, 0, 0, 0, 0xf0, 0xbf}));
  EXPECT_EQ(init(".b8 x[2][3] = {{1}, {2, 3}}"), bytes({1, 0, 0, 2, 3, 0}));
  EXPECT_EQ(init(".b8 x[][2] = {{1}, 2}"), bytes({1, 0, 2, 0}));
  EXPECT_EQ(init(".v2 .b8 x[2] = {{1, 2}, {3}}"), bytes({1, 2, 3, 0}));
  EXPECT_EQ(init(".b8 x[2] = {}"), bytes({0, 0}));
  EXPECT_EQ(init(".s32 x = (1 + 2) * 3 - 010 % 5 << 1"), bytes({12, 0, 0, 0}));
  EXPECT_EQ(init(".b8 x = 7 / -2 == -3 && !(1 > 2) ? 0b101 : WARP_SZ"), bytes({5}));
  EXPECT_EQ(init(".b8 x[2] = {~0xF0U ^ 1 | 2, -1 >> 70}"), bytes({0x0e, 0xff}));
  EXPECT_EQ(init(".b128 x = -2").at(15), 0xff);
}

TEST(ParserVariables, InitialAddresses) {
  const Module module = module_of(R"(
    .global .u64 table[3] = {f, generic(x)+8, generic(x+4)-1};
    .global .align 8 .b8 mixed[12] = {7, 0, 0, 0, 0xFF(generic(x)), 0xFF00(generic(x)),
        0xFF0000(generic(x)), 0xFF000000(generic(x)), 0xFF(x+2), 0xFF00(x+2), 9};
    .shared .b8 x[16];
    .const .u32 low = x;
    .func f() { ret; })");
  const std::vector<Relocation>& table = module.variables.at(0).relocations;
  ASSERT_EQ(table.size(), 3u);
  EXPECT_EQ(table[0].symbol, "f");
  EXPECT_FALSE(table[0].generic);
  EXPECT_EQ(table[0].size, 8);
  EXPECT_EQ(table[1].at, 8u);
  EXPECT_EQ(table[1].addend, 8);
  EXPECT_TRUE(table[1].generic);
  EXPECT_EQ(table[2].addend, 3);

  const Variable& mixed = module.variables[1];
  ASSERT_EQ(mixed.relocations.size(), 2u);
  EXPECT_EQ(mixed.relocations[0].at, 4u);
  EXPECT_EQ(mixed.relocations[0].size, 4);
  EXPECT_TRUE(mixed.relocations[0].generic);
  EXPECT_EQ(mixed.relocations[1].at, 8u);
  EXPECT_EQ(mixed.relocations[1].size, 2);
  EXPECT_EQ(mixed.relocations[1].addend, 2);
  EXPECT_EQ(mixed.init, bytes({7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0}));
  EXPECT_EQ(module.variables[3].relocations.at(0).size, 4);
}

}  // namespace
}  // namespace sim::ptx
