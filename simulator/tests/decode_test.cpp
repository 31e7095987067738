// What is not simulated is refused before the kernel runs, in one sentence that names the
// instruction, its line and why; rare forms that no program of the tests has are decoded.
#include <gtest/gtest.h>

#include <string>

#include "simulator/run/program.h"

namespace sim {
namespace {

const char* const kRegisters =
    ".reg .pred %p<9>;\n.reg .b16 %rs<9>;\n.reg .b32 %r<9>;\n.reg .b64 %rd<9>;\n.reg .f32 %f<9>;\n";

/// A kernel of these lines, whose first is line 11 of the text; empty where it is decoded.
std::string refusal(const std::string& lines, const std::string& directives = "") {
  const std::string text = ".version 8.6\n.target sm_90\n.address_size 64\n.visible .entry k()" +
                           directives + "\n{\n" + kRegisters + lines + "\nret;\n}\n";
  const Program program(text, 0);
  try {
    program.kernel("k");
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

void expect_refused(const std::string& line, const std::string& opcode, const std::string& why) {
  const std::string said = refusal(line);
  EXPECT_EQ(said.find(opcode), 0u) << said;
  EXPECT_NE(said.find("in k at line 11 of the PTX: "), said.npos) << said;
  EXPECT_NE(said.find(why), said.npos) << said;
}

TEST(Refused, InstructionsOfWarpGroups) {
  const std::string why = "products of warp groups are not simulated yet";
  expect_refused("wgmma.fence.sync.aligned;", "wgmma.fence", why);
  expect_refused("wgmma.commit_group.sync.aligned;", "wgmma.commit_group", why);
}

TEST(Refused, TensorMaps) {
  expect_refused(
      "cp.async.bulk.tensor.1d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%r1], [%rd1, {%r2}], [%r3];",
      "cp.async.bulk.tensor.1d", "copies by tensor maps are not simulated yet");
  expect_refused("tensormap.replace.tile.rank.global.b1024.b32 [%rd1], 1;", "tensormap.replace",
                 "no such instruction is simulated");
}

TEST(Refused, ReducingCopies) {
  expect_refused("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.s32 [%rd1], [%r1], %r2;",
                 "cp.reduce.async.bulk", "reducing copies are not simulated");
}

TEST(Refused, TexturesAndSurfaces) {
  const std::string why = "no such instruction is simulated";
  expect_refused("tex.1d.v4.f32.s32 {%f1, %f2, %f3, %f4}, [%rd1, {%r1}];", "tex.1d", why);
  expect_refused("suld.b.1d.b32.trap %r1, [%rd1, {%r2}];", "suld.b.1d", why);
}

TEST(Refused, ProductsOfPartsOfBytes) {
  expect_refused("wmma.load.a.sync.aligned.row.m8n8k32.global.s4 {%r1}, [%rd1];", "wmma.load",
                 "products of s4 are not simulated");
  expect_refused(
      "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e5m2.f32 {%f1, %f2, %f3, %f4}, "
      "{%r1, %r2, %r3, %r4}, {%r5, %r6}, {%f1, %f2, %f3, %f4};",
      "mma.sync", "products of e4m3 are not simulated");
}

TEST(Refused, SeveralDevicesAtOnce) {
  expect_refused("multimem.ld_reduce.relaxed.sys.global.add.u32 %r1, [%rd1];", "multimem.ld_reduce",
                 "no such instruction is simulated");
}

TEST(Refused, ClustersOfSeveralBlocks) {
  const std::string said = refusal("", " .explicitcluster .reqnctapercluster 2, 1, 1");
  EXPECT_EQ(said,
            ".reqnctapercluster of k at line 4 of the PTX: clusters of more than one block are not "
            "simulated");
  EXPECT_EQ(refusal("", " .explicitcluster .reqnctapercluster 1, 1, 1"), "");
}

TEST(Decoded, VideoInstructions) {
  for (const char* op : {"vadd", "vsub", "vavrg", "vabsdiff", "vmin", "vmax"})
    for (const char* width : {"2", "4"})
      for (const char* types :
           {".u32.u32.u32", ".s32.s32.u32", ".u32.s32.s32.sat", ".u32.u32.u32.add"})
        EXPECT_EQ(refusal(std::string(op) + width + types + " %r1, %r2, %r3, %r4;"), "");
  EXPECT_EQ(refusal("vset4.s32.s32.ge.add %r1, %r2, %r3, %r4;"), "");
}

TEST(Decoded, SpecialRegisters) {
  for (const char* name :
       {"%clusterid.x", "%nclusterid.y", "%cluster_ctaid.z", "%cluster_nctaid.x",
        "%cluster_ctarank", "%cluster_nctarank", "%aggr_smem_size", "%total_smem_size",
        "%dynamic_smem_size", "%reserved_smem_offset_1", "%envreg1", "%envreg7", "%pm3", "%clock",
        "%globaltimer_lo", "%nsmid", "%lanemask_ge"})
    EXPECT_EQ(refusal(std::string("mov.u32 %r1, ") + name + ";"), "");
  for (const char* name : {"%clock64", "%globaltimer", "%gridid", "%current_graph_exec"})
    EXPECT_EQ(refusal(std::string("mov.u64 %rd1, ") + name + ";"), "");
  EXPECT_EQ(refusal("mov.pred %p1, %is_explicit_cluster;"), "");
}

TEST(Decoded, PackedConversions) {
  for (const char* line :
       {"cvt.rn.satfinite.e4m3x2.f32 %rs1, %f1, %f2;",
        "cvt.rn.satfinite.relu.e5m2x2.f16x2 %rs1, %r1;", "cvt.rn.relu.f16x2.e4m3x2 %r1, %rs1;",
        "cvt.pack.sat.u16.s32 %r1, %r2, %r3;", "cvt.pack.sat.s8.s32.b32 %r1, %r2, %r3, %r4;"})
    EXPECT_EQ(refusal(line), "");
}

}  // namespace
}  // namespace sim
