// Places of the .cu source: the chain of inlined calls that .loc gives piece by piece, and how a
// report says it.
#include <gtest/gtest.h>

#include "simulator/ptx/places.h"

namespace sim::ptx {
namespace {

using Texts = std::vector<std::string>;

/// A kernel of such statements; every instruction is one of its own line.
Module module_of(const std::string& body) {
  return parse(".version 9.0\n.target sm_80\n.visible .entry k() {\n.reg .u32 %r<4>;\n" + body +
               "}\n.file 1 \"/src/a.cu\"\n.file 2 \"/src/b.h\"\n.file 3 \"/src/c.cuh\"\n");
}

const Instruction& code(const Module& module, size_t k) {
  return module.functions.at(0).code.at(k);
}

Texts calls(const Module& module, size_t k) { return calls_of(module, code(module, k).where); }

constexpr char kMov[] = "mov.u32 %r1, %r2;\n";

TEST(Places, ALineOfTheKernelHasNoCalls) {
  const Module module = module_of(std::string(".loc 1 7 3\n") + kMov);
  EXPECT_EQ(place_of(module, code(module, 0).where), "/src/a.cu:7");
  EXPECT_EQ(calls(module, 0), Texts{});
  EXPECT_EQ(brief_place_of(module, code(module, 0)), "/src/a.cu:7, PTX line 6");
}

TEST(Places, WithoutLinesOnlyThePtxIsKnown) {
  const Module module = module_of(kMov + std::string(".loc 9 7 3\n") + kMov);
  for (const size_t k : {0, 1}) EXPECT_EQ(place_of(module, code(module, k).where), "");
  EXPECT_EQ(brief_place_of(module, code(module, 0)), "PTX line 5");
  EXPECT_EQ(brief_place_of(module, code(module, 1)), "PTX line 7");
}

// As nvcc 13 writes it: a function that is called twice, of a header's function that calls another.
constexpr char kThreeDeep[] = R"(.loc 1 9 5
.loc 1 3 3, function_name $s0, inlined_at 1 9 5
.loc 2 13 3, function_name $s1, inlined_at 1 3 3
.loc 2 8 5, function_name $s2, inlined_at 2 13 3
mov.u32 %r1, %r2;
.loc 2 13 3, function_name $s1, inlined_at 1 3 3
mov.u32 %r1, %r2;
.loc 1 4 3, function_name $s0, inlined_at 1 9 5
.loc 2 13 3, function_name $s1, inlined_at 1 4 3
.loc 2 8 5, function_name $s2, inlined_at 2 13 3
mov.u32 %r1, %r2;
.loc 1 10 3
mov.u32 %r1, %r2;
)";

TEST(Places, CallsAreTheLatestOfTheirPlace) {
  const Module module = module_of(kThreeDeep);
  EXPECT_EQ(place_of(module, code(module, 0).where), "/src/b.h:8");
  EXPECT_EQ(calls(module, 0), (Texts{"/src/b.h:13", "/src/a.cu:3", "/src/a.cu:9"}));
  EXPECT_EQ(calls(module, 1), (Texts{"/src/a.cu:3", "/src/a.cu:9"}));
  EXPECT_EQ(calls(module, 2), (Texts{"/src/b.h:13", "/src/a.cu:4", "/src/a.cu:9"}));
  EXPECT_EQ(calls(module, 3), Texts{});
}

/// Instructions of two calls are mixed, and nvcc says of a call where it was inlined only once.
TEST(Places, WhereThePtxLeavesItOpenAllCallsAreNamed) {
  const Module module = module_of(std::string(R"(.loc 1 11 3
.loc 2 18 5, function_name $s0, inlined_at 1 11 3
.loc 3 24 5, function_name $s1, inlined_at 2 18 5
mov.u32 %r1, %r2;
.loc 3 25 5, function_name $s1, inlined_at 2 18 5
mov.u32 %r1, %r2;
.loc 1 12 3
.loc 2 18 5, function_name $s0, inlined_at 1 12 3
.loc 3 24 5, function_name $s1, inlined_at 2 18 5
mov.u32 %r1, %r2;
.loc 3 25 5, function_name $s1, inlined_at 2 18 5
mov.u32 %r1, %r2;
)"));
  const std::string header = "/src/b.h:18";
  EXPECT_EQ(calls(module, 0), (Texts{header, "/src/a.cu:11"}));
  EXPECT_EQ(calls(module, 1), (Texts{header, "/src/a.cu:11"}));
  EXPECT_EQ(calls(module, 2), (Texts{header, "/src/a.cu:12"}));
  EXPECT_EQ(calls(module, 3), (Texts{header, "/src/a.cu:12 or /src/a.cu:11"}));
  EXPECT_EQ(brief_place_of(module, code(module, 3)),
            "/src/c.cuh:25 (called at /src/a.cu:12 or /src/a.cu:11), PTX line 16");
}

TEST(Places, ASentenceNamesTheNearestCallOfTheCu) {
  const Module module = module_of(kThreeDeep);
  EXPECT_EQ(brief_place_of(module, code(module, 0)),
            "/src/b.h:8 (called at /src/a.cu:3), PTX line 9");
  const Module headers = module_of(std::string(R"(.loc 3 2 1
.loc 2 9 1, function_name $s0, inlined_at 3 2 1
.loc 2 5 1, function_name $s0, inlined_at 2 9 1
)") + kMov);
  EXPECT_EQ(brief_place_of(headers, code(headers, 0)),
            "/src/b.h:5 (called at /src/c.cuh:2), PTX line 8");
}

TEST(Places, ColumnsTellCallsOfALineApart) {
  const Module module = module_of(std::string(R"(.loc 1 9 5
.loc 1 20 1, function_name $s0, inlined_at 1 9 5
.loc 1 9 30, function_name $s0, inlined_at 1 20 1
.loc 2 5 1, function_name $s0, inlined_at 1 9 30
)") + kMov);
  EXPECT_EQ(calls(module, 0), (Texts{"/src/a.cu:9", "/src/a.cu:20", "/src/a.cu:9"}));
}

TEST(Places, ACallWithoutALocOfItsOwnEndsTheChain) {
  const Module module =
      module_of(std::string(".loc 2 5 1, function_name $s0+12, inlined_at 1 30 3\n") + kMov);
  EXPECT_EQ(calls(module, 0), Texts{"/src/a.cu:30"});
}

/// Which turn of a recursion a .loc means is not written: the chain stays what one turn makes it.
TEST(Places, ARecursionThatWasInlinedDoesNotGrow) {
  std::string turns = ".loc 1 9 5\n.loc 1 3 3, function_name $s0, inlined_at 1 9 5\n";
  for (int k = 0; k < 50; ++k)
    turns +=
        ".loc 1 6 3, function_name $s1, inlined_at 1 3 3\n"
        ".loc 1 3 3, function_name $s0, inlined_at 1 6 3\n";
  const Module module = module_of(turns + kMov);
  EXPECT_EQ(calls(module, 0), (Texts{"/src/a.cu:6", "/src/a.cu:3", "/src/a.cu:9"}));
}

TEST(Places, ChainsHaveAnEnd) {
  std::string deep = ".loc 1 1 1\n";
  for (int k = 1; k <= 1000; ++k)
    deep += ".loc 1 " + std::to_string(k + 1) + " 1, function_name $s0, inlined_at 1 " +
            std::to_string(k) + " 1\n";
  const Module module = module_of(deep + kMov);
  EXPECT_LE(calls(module, 0).size(), 256u);
  EXPECT_EQ(calls(module, 0).front(), "/src/a.cu:1000");
}

}  // namespace
}  // namespace sim::ptx
