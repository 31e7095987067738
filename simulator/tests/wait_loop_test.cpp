// Which loops around an mbarrier's wait have no other end than that of the phase.
#include "simulator/exec/wait_loop.h"

#include <gtest/gtest.h>

#include <string>

namespace sim {
namespace {

/// Whether the last mbarrier.try_wait of these lines is asked again until its phase is over.
bool asks(const std::string& lines) {
  const ptx::Module module = ptx::parse(
      ".version 8.6\n.target sm_90\n.address_size 64\n.visible .entry k()\n{\n"
      ".reg .pred %p<9>;\n.reg .b32 %r<9>;\n.reg .b64 %rd<9>;\n.shared .b64 bar[2];\n" +
      lines + "\nret;\n}\n");
  const ptx::Function& f = module.functions.at(0);
  uint32_t at = 0;
  for (uint32_t k = 0; k < f.code.size(); ++k)
    if (f.code[k].opcode == "mbarrier" && f.code[k].has("try_wait")) at = k;
  return asks_until_over(f, at);
}

const std::string kWait = "mbarrier.try_wait.parity.shared.b64 %p1, [%r1], %r2;\n";

TEST(WaitLoop, OfOneBranch) {
  EXPECT_TRUE(asks("L: " + kWait + "@!%p1 bra L;"));
  EXPECT_TRUE(asks("L: " + kWait + "@%p1 bra D;\nbra L;\nD: st.shared.u32 [%r1], %r2;"));
  EXPECT_FALSE(asks("L: " + kWait + "@%p1 bra L;"));
  EXPECT_FALSE(asks(kWait));
}

TEST(WaitLoop, ThroughANumberOfThePredicate) {
  const std::string number = kWait + "selp.b32 %r3, 1, 0, %p1;\n";
  EXPECT_TRUE(asks("L: " + number + "setp.eq.s32 %p2, %r3, 0;\n@%p2 bra L;"));
  EXPECT_TRUE(asks("L: " + number + "setp.ne.s32 %p2, %r3, 0;\nnot.pred %p3, %p2;\n@%p3 bra L;"));
  EXPECT_FALSE(asks("L: " + number + "setp.ne.s32 %p2, %r3, 0;\n@%p2 bra L;"));
  EXPECT_FALSE(asks("L: " + number + "setp.eq.s32 %p2, %r3, %r4;\n@%p2 bra L;"));
}

TEST(WaitLoop, SleepsInBetween) {
  EXPECT_TRUE(asks("L: " + kWait +
                   "@%p1 bra D;\nadd.s32 %r4, %r4, 1;\nsetp.lt.s32 %p2, %r4, 16;\n"
                   "@%p2 bra L;\nmov.u64 %rd1, %globaltimer;\ncvt.u32.u64 %r5, %rd1;\n"
                   "nanosleep.u32 %r5;\nbra L;\nD:"));
}

TEST(WaitLoop, OtherEnds) {
  EXPECT_FALSE(
      asks("L: " + kWait +
           "@%p1 bra D;\nadd.s32 %r4, %r4, 1;\nsetp.lt.s32 %p2, %r4, 16;\n@%p2 bra L;\nD:"));
  EXPECT_FALSE(asks("L: " + kWait +
                    "@%p1 bra D;\nld.volatile.global.u32 %r4, [%rd1];\nsetp.eq.s32 %p2, %r4, 0;\n"
                    "@%p2 bra L;\nD:"));
}

TEST(WaitLoop, WhatOthersSee) {
  EXPECT_FALSE(asks("L: st.shared.u32 [%r5], %r2;\n" + kWait + "@!%p1 bra L;"));
  EXPECT_FALSE(asks("L: ld.volatile.global.u32 %r4, [%rd1];\n" + kWait + "@!%p1 bra L;"));
  EXPECT_FALSE(asks("L: mbarrier.arrive.shared.b64 %rd2, [%r5];\n" + kWait + "@!%p1 bra L;"));
  EXPECT_TRUE(asks("L: ld.volatile.shared.u32 %r4, [%r5];\n" + kWait + "@!%p1 bra L;"));
}

TEST(WaitLoop, AnotherPhaseOrMbarrierEachTime) {
  EXPECT_FALSE(asks("L: " + kWait + "xor.b32 %r2, %r2, 1;\n@!%p1 bra L;"));
  EXPECT_FALSE(asks("L: " + kWait + "add.s32 %r1, %r1, 8;\n@!%p1 bra L;"));
  EXPECT_FALSE(asks("L: mov.u32 %r2, %clock;\n" + kWait + "@!%p1 bra L;"));
  EXPECT_TRUE(asks("L: mov.u32 %r1, bar;\n" + kWait + "@!%p1 bra L;"));
  EXPECT_TRUE(asks("L: and.b32 %r2, %r3, 1;\n" + kWait + "@!%p1 bra L;"));
}

TEST(WaitLoop, TwoMbarriersInOneLoop) {
  EXPECT_FALSE(asks("L: mbarrier.test_wait.parity.shared.b64 %p2, [%r3], %r4;\n@%p2 bra D;\n" +
                    kWait + "@!%p1 bra L;\nD:"));
}

}  // namespace
}  // namespace sim
