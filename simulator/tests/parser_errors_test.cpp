// What the PTX parser refuses: each with the line where it went wrong and words that say why.
#include <gtest/gtest.h>

#include "simulator/ptx/module.h"

namespace sim::ptx {
namespace {

struct Bad {
  std::string text;
  uint32_t line;
  const char* says;
};

void expect_error(const std::string& text, uint32_t line, const char* says) {
  const std::string shown = text.substr(0, 200);
  try {
    parse(text);
    ADD_FAILURE() << "no error for: " << shown;
  } catch (const ParseError& error) {
    EXPECT_NE(std::string(error.what()).find(says), std::string::npos)
        << error.what() << "\nfor: " << shown;
    EXPECT_EQ(error.line, line) << error.what() << "\nfor: " << shown;
    EXPECT_TRUE(std::string(error.what()).ends_with("(line " + std::to_string(error.line) + ")"));
  }
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(ParserErrors, Headers) {
  const Bad cases[] = {
      {"", 1, "'.version' at the beginning"},
      {"// nothing\n\n", 3, "the end of the text"},
      {".target sm_80", 1, "'.version'"},
      {".version 8\n.target sm_80", 1, "as in 8.0"},
      {".version 8.0.1\n.target sm_80", 1, "as in 8.0"},
      {".version x", 1, "a version"},
      {".version 8.0\n.entry k() { ret; }", 2, "'.target'"},
      {".version 8.0\n.target debug\n", 2, "no architecture"},
      {".version 8.0\n.target sm_x", 2, "as in sm_80"},
      {".version 8.0\n.target sm_99999999999999", 2, "as in sm_80"},
      {".version 8.0\n.target sm_80\n.address_size 32\n", 3, "only 64"},
  };
  for (const Bad& bad : cases) expect_error(bad.text, bad.line, bad.says);
}

TEST(ParserErrors, Tokens) {
  const Bad cases[] = {
      {"\n\n/* open\n\n", 3, "comment is not closed"},
      {".version 8.0\n.target sm_80\n.file 1 \"open\n\"", 3, "string is not closed"},
      {".version 8.0\n\x01", 2, "no character 0x01"},
      {".version 8.0\n#", 2, "0x23"},
      {".version 8.0\n.target sm_80 \xff", 2, "0xff"},
  };
  for (const Bad& bad : cases) expect_error(bad.text, bad.line, bad.says);
}

/// Texts that follow a head of two lines.
TEST(ParserErrors, Modules) {
  const Bad cases[] = {
      {"mov.b32 a, b;", 3, "expected a directive"},
      {"\n.nonsense 1;", 4, "no directive '.nonsense'"},
      {".visible .reg .b32 r;", 3, "no directive '.reg'"},
      {".file x", 3, "the number of a file"},
      {".file 1 x", 3, "in quotes"},
      {".section .debug_str {\n { }\n", 5, "ends within a section"},
      {".section x", 3, "the name of a section"},
      {".pragma 1;", 3, "in quotes"},
      {".alias f, g;", 3, "'f' is none"},
      {".func f() { ret; }\n.func g();\n.alias f, g;", 5, "has a body"},
      {".func f();.func g();.func h() { ret; }\n.alias f, g;\n.alias g, h;", 5, "alias itself"},
      {".func f(); .func g() { ret; }\n.alias f, g; .alias f, g;", 4, "an alias already"},
      {".attribute(.managed", 3, "no directive '.attribute'"},
      {".global .attribute(.managed\n", 4, "ends within .attribute"},
      {".func f() { ret; }\n.func f() { ret; }", 4, "defined twice"},
      {".global .b32 f;\n.func f() { ret; }", 4, "as a variable too"},
      {".func f() { ret; }\n.global .b32 f;", 4, "as a function too"},
      {".global .b32 x;\n.global .b32 x;", 4, "defined twice"},
  };
  for (const Bad& bad : cases)
    expect_error(".version 8.0\n.target sm_80\n" + bad.text, bad.line, bad.says);
}

TEST(ParserErrors, Functions) {
  const Bad cases[] = {
      {".func", 3, "the name of a function"},
      {".func f(.param .b32 x, .param .b32 x);", 3, "'x' is declared twice"},
      {".func (.param .b32 x) f(.param .b32 x);", 3, "'x' is declared twice"},
      {".func f(.reg .b32 x);", 3, "in registers are not supported"},
      {".func f(.b32 x);", 3, "'.param'"},
      {".func f(.param .pred x);", 3, "only registers"},
      {".func f(.param .b32 x;", 3, "')' after"},
      {".entry k()\n.maxntid\n{ ret; }", 4, "[.maxntid] takes 1 to 3 numbers; got 0"},
      {".entry k()\n.maxntid 1,2,3,4\n{ ret; }", 4, "'{' after"},
      {".entry k() .noreturn 1 { ret; }", 3, "takes 0 to 0"},
      {".entry k()\n.nonsense\n{ ret; }", 4, "no directive '.nonsense'"},
      {".entry k()\nret;", 4, "'{' after the head"},
      {".entry k() {\nret;\n", 5, "an instruction or a label; got the end"},
      {".entry k() { ret; } }", 3, "expected a directive"},
  };
  for (const Bad& bad : cases)
    expect_error(".version 8.0\n.target sm_80\n" + bad.text, bad.line, bad.says);
}

TEST(ParserErrors, Variables) {
  const Bad cases[] = {
      {".global x;", 1, "the type of a variable"},
      {".global .b32 .b32 x;", 1, "the type of a variable; got '.b32'"},
      {".global .nonsense x;", 1, "got '.nonsense'"},
      {".global .pred x;", 1, "only registers"},
      {".global .align 3 .b32 x;", 1, "power of two; got 3"},
      {".global .align 0 .b32 x;", 1, "power of two"},
      {".global .align 131072 .b32 x;", 1, "at most 65536"},
      {".global .b32 x[2;", 1, "']' after"},
      {".global .b32 x[2][];", 1, "only the first size"},
      {".global .b32 x[1.5];", 1, "is an integer"},
      {".global .b32 x[-1];", 1, "is an integer of at most"},
      {".global .b64 x[4294967296];", 1, "more than 4294967296 bytes"},
      {".global .b8 x[65536][65536][65536][65536];", 1, "more than 4294967296 bytes"},
      {".global .b8 x" + repeated("[1]", 17) + ";", 1, "at most 16 dimensions"},
      {".global .b32 x\n.global .b32 y;", 2, "';' after"},
      {".shared .b32 x = 1;", 1, "only .global and .const"},
      {".global .b8 x[2] = {1, 2, 3};", 1, "too many values"},
      {".global .b8 x[2][2] = {{1, 2, 3}};", 1, "too many values"},
      {".global .b8 x[2][2] = {1, {2}};", 1, "no row"},
      {".global .b8 x[2] = {{1}};", 1, "no row"},
      {".global .b8 x[] = " + repeated("{", 99) + "1" + repeated("}", 99) + ";", 1, "no row"},
      {".global .b8 x[2] = 1;", 1, "'{' after"},
      {".global .b8 x[2] = {1\n2};", 2, "',' after"},
      {".global .b8 x[2][0] = {{1}};", 1, "no bytes"},
      {".global .b8 x[99999999] = {1};", 1, "more than 67108864 bytes"},
      {".global .b8 x[60000000] = {1}, y[60000000] = {1};", 1, "more than 67108864 bytes"},
      {".global .b8 x = y;", 1, "4 or 8 bytes"},
      {".global .b16 x = 1.5;", 1, "4 or 8 bytes"},
      {".global .u64 x = 1,\ny = z;", 2, "'z' is not declared"},
      {".global .b8 x[2] = {0xFE(x), 0};", 1, "one byte"},
      {".global .b8 x[2] = {0(x), 0};", 1, "one byte"},
      {".global .b8 x[2] = {0xFF(x), 0xFF0000(x)};", 1, "in order"},
      {".global .b8 x[2] = {0xFF00(x)};", 1, "in order"},
      {".global .b8 x[3] = {0xFF(x), 0, 0xFF00(x)};", 1, "in order"},
      {".global .b32 x[2] = {0xFF(x)};", 1, "elements of one byte"},
      {".global .u64 x = generic(x;", 1, "')' after"},
  };
  for (const Bad& bad : cases)
    expect_error(".version 8.0 .target sm_80 " + bad.text, bad.line, bad.says);
}

TEST(ParserErrors, Constants) {
  const Bad cases[] = {
      {"18446744073709551616", 1, "at most 64 bits"},
      {"0x", 1, "malformed number"},
      {"09", 1, "malformed number"},
      {"12a", 1, "malformed number"},
      {"0b12", 1, "malformed number"},
      {"1.5.2", 1, "malformed number"},
      {"1.0e999", 1, "malformed number"},
      {"0f3F80000", 1, "has 8 hexadecimal digits"},
      {"0d3F800000", 1, "has 16 hexadecimal digits"},
      {"0fgggggggg", 1, "has 8 hexadecimal digits"},
      {"1 / 0", 1, "divides by zero"},
      {"1 % (3 - 3)", 1, "divides by zero"},
      {"1.5 + 1", 1, "'+' takes integers"},
      {"~1.5", 1, "'~' takes integers"},
      {"(1", 1, "')' after"},
      {"1 ? 2", 1, "':' after"},
      {"1 +", 1, "a constant; got '}'"},
      {repeated("(", 100000), 1, "64 levels"},
      {repeated("-", 100000), 1, "64 levels"},
      {repeated("1?", 100000), 1, "64 levels"},
  };
  for (const Bad& bad : cases)
    expect_error(".version 8.0 .target sm_80 .global .u64 x[1] = {" + bad.text + "};", bad.line,
                 bad.says);
}

/// Texts from line 2 on, within a kernel.
TEST(ParserErrors, Bodies) {
  const Bad cases[] = {
      {".reg r;", 2, "the type of a register"},
      {".reg .v3 .b32 r;", 2, "the type of a register; got '.v3'"},
      {".reg .b32 r<2097152>;", 2, "at most 1048576"},
      {".reg .b32 r<-1>;", 2, "a number of registers"},
      {".reg .b32 r<2;", 2, "'>' after"},
      {".reg .b32 a,\na;", 3, "'a' is declared twice"},
      {".reg .b32 a;\n.reg .f32 a;\n", 3, "'a' is declared twice"},
      {".reg .b32 r<3>;\n.reg .b32 r2;", 3, "'r2' is declared twice"},
      {".reg .b32 r2;\n.reg .b32 r<3>;", 3, "'r<3>' are declared twice"},
      {".reg .b32 r<3>; .reg .b32 r<2>;", 2, "'r<2>' are declared twice"},
      {".shared .b32 formal;", 2, "'formal' is declared twice"},
      {"L: ret;\nL:\nret;", 3, "'L' is declared twice"},
      {".local .b32 x = 1;", 2, "initial values"},
      {".global .b32 x;", 2, "no directive '.global'"},
      {repeated("{", 100), 2, "64 scopes"},
      {".loc 1", 3, "a line"},
      {".loc 1 2 3, nonsense", 2, "'function_name' or"},
      {"L: .branchtargets 1;", 2, "a label"},
      {"\nL: .branchtargets X,\nY; X: ret;", 4, "no label 'Y'"},
      {"L: .branchtargets L;", 2, "'L' is no label"},
      {"L: .calltargets g;", 2, "'g' is no declared function"},
      {"L: .callprototype _ (.b32 x);", 2, "'.param'"},
      {"bra X;\nret;", 2, "no label 'X' is in reach"},
      {"bra k;", 2, "no label 'k'"},
      {"{ X: ret; }\nbra X;", 3, "no label 'X'"},
      {"X: .branchtargets L; L: bra X;", 2, "'X' is no label"},
  };
  for (const Bad& bad : cases)
    expect_error(".version 8.0 .target sm_80 .entry k(.param .b32 formal) {\n" + bad.text + "\n}",
                 bad.line, bad.says);
}

TEST(ParserErrors, Instructions) {
  const Bad cases[] = {
      {"mov.b32 a, b", 3, "',' or ';' after an operand of mov.b32; got '}'"},
      {"mov.b32 a b;", 2, "',' or ';'"},
      {"mov.b32 a,;", 2, "an operand; got ';'"},
      {"mov.b32 a, .x;", 2, "an operand; got '.x'"},
      {"mov.b32 a, %x;", 2, "'%x' is not declared"},
      {"mov.b32 a, %tid.a;", 2, "no member '.a'"},
      {"mov.b32 a, %laneid.x;", 2, "no member '.x'"},
      {"mov.b32 a,\nx;", 2, "'x' is not declared"},
      {"mov.b32 a.x, 1;", 2, "no member '.x'"},
      {"mov.b32 v.z, 1;", 2, "no member '.z'"},
      {"mov.b32 r3, 1;", 2, "'r3' is not declared"},
      {"mov.b32 r01, 1;", 2, "'r01' is not declared"},
      {"{ .reg .b32 inner; }\nmov.b32 inner, 1;", 3, "'inner' is not declared"},
      {"ld.b32 a, [x];", 2, "'x' is not declared"},
      {"ld.b32 a, [%tid.x];", 2, "an address has"},
      {"ld.b32 a, [1.5];", 2, "an address has"},
      {"ld.b32 a, [a+1.5];", 2, "an offset is an integer"},
      {"ld.b32 a, [a;", 2, "']' after"},
      {"ld.v2.b32 {a, b, [a];", 2, "'}' after"},
      {"@a ret;", 2, "'a' is no predicate"},
      {"@x ret;", 2, "'x' is no predicate"},
      {"@!1 ret;", 2, "a predicate after '@'"},
      {"@p L: ret;", 2, "an operand; got ':'"},
      {"setp.eq.b32 p|1, a, b;", 2, "both sides of '|'"},
      {"setp.eq.b32 [a]|p, a, b;", 2, "both sides of '|'"},
      {"and.pred p, !a, p;", 2, "'!' takes a predicate"},
      {"and.pred p, !1, p;", 2, "a predicate after '!'"},
      {"bra 1;", 2, "[bra] takes one label"},
      {"bra a;", 2, "[bra] takes one label"},
      {"bra;", 2, "[bra] takes one label"},
      {"call (a, f;", 2, "')' after"},
      {"mov.b32 a, " + repeated("{", 100000), 2, "64 levels"},
      {"mov.b32 a, " + repeated("[a,", 100000), 2, "64 levels"},
      {"call " + repeated("(", 100000), 2, "64 levels"},
  };
  for (const Bad& bad : cases)
    expect_error(
        ".version 8.0 .target sm_80 .entry k() { .reg .b32 a, b, r<3>; .reg .pred p; "
        ".reg .v2 .b32 v;\n" +
            bad.text + "\n}",
        bad.line, bad.says);
}

}  // namespace
}  // namespace sim::ptx
