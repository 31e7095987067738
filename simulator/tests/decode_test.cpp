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

TEST(Refused, NamesKernelsAsTheSourceDoes) {
  const Program program(
      ".version 8.6\n.target sm_90\n.address_size 64\n"
      ".visible .entry _Z1kPi(.param .u64 p) .reqnctapercluster 2, 1, 1\n{\nret;\n}\n",
      0);
  try {
    program.kernel("_Z1kPi");
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_TRUE(std::string(e.what()).starts_with(".reqnctapercluster of k(int*) at")) << e.what();
  }
}

/// Before anything is executed as if a word were not there.
TEST(Refused, ModifiersThatNobodyKnows) {
  const std::pair<const char*, const char*> lines[] = {
      {"add.sat.u32 %r1, %r2, %r3;", ".sat"},
      {"add.sat.f64 %rd1, %rd2, %rd3;", ".sat"},
      {"mul.rn.ftz.f64 %rd1, %rd2, %rd3;", ".ftz"},
      {"add.rz.f16 %rs1, %rs2, %rs3;", ".rz"},
      {"min.relu.u32 %r1, %r2, %r3;", ".relu"},
      {"fma.rn.oob.f16 %rs1, %rs2, %rs3, %rs4;", ".oob"},
      {"setp.lt.ftz.f64 %p1, %rd1, %rd2;", ".ftz"},
      {"cvt.rna.f16.f32 %rs1, %f1;", ".rna"},
      {"cvt.rni.satfinite.s32.f32 %r1, %f1;", ".satfinite"},
      {"mad.lo.sat.s32 %r1, %r2, %r3, %r4;", ".sat"},
      {"ld.global.mystery.u32 %r1, [%rd1];", ".mystery"},
      {"ld.acquire.release.gpu.global.u32 %r1, [%rd1];", ".release"},
      {"st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%r1], %r2, [%r3];",
       ".async"},
      {"red.async.relaxed.cluster.global.add.u32 [%rd1], %r2;", ".async"},
      {"mma.sync.aligned.m16n8k8.row.col.kind::x.f32.tf32.tf32.f32 {%f1, %f2, %f3, %f4}, "
       "{%r1, %r2, %r3, %r4}, {%r5, %r6}, {%f1, %f2, %f3, %f4};",
       ".kind::x"},
      {"fence.proxy.tensormap::generic.release.gpu;", ".tensormap::generic"},
      {"shfl.sync.up.aligned.b32 %r1, %r2, 1, 0, -1;", ".aligned"},
  };
  for (const auto& [line, modifier] : lines)
    expect_refused(line, "", "with " + std::string(modifier) + " it is not simulated");
}

TEST(Refused, TypesThatAnInstructionDoesNotHave) {
  for (const char* line : {"redux.sync.min.f32 %f1, %f2, -1;", "popc.b16 %r1, %rs1;",
                           "prmt.b64 %rd1, %rd2, %rd3, %r1;", "sqrt.approx.f16 %rs1, %rs2;"})
    EXPECT_NE(refusal(line).find("it is not simulated"), std::string::npos) << line;
  expect_refused("atom.global.min.f32 %f1, [%rd1], %f2;", "atom", "this form is not simulated");
  expect_refused("ld.global.v4.u32 {%r1, %r2}, [%rd1];", "ld", "it has 2 registers");
}

/// A row of 32 bits that takes 64 would write over its neighbour.
TEST(Refused, RegistersOfAnotherWidth) {
  const std::pair<const char*, const char*> lines[] = {
      {"add.u64 %r1, %rd1, %rd2;", "a register of b32 stands where u64 is wanted"},
      {"add.u64 %rd1, %r1, %rd2;", "a register of b32 stands where u64 is wanted"},
      {"add.u32 %rd1, %r1, %r2;", "a register of b64 stands where u32 is wanted"},
      {"add.u32 %r1, %rd1, %r2;", "a register of b64 stands where u32 is wanted"},
      {"mul.wide.u32 %r1, %r2, %r3;", "a register of b32 stands where u64 is wanted"},
      {"mad.wide.s32 %rd1, %r2, %r3, %r4;", "a register of b32 stands where u64 is wanted"},
      {"mul.wide.u16 %rd1, %rs2, %rs3;", "a register of b64 stands where u32 is wanted"},
      {"ld.global.u64 %r1, [%rd1];", "a register of b32 stands where u64 is wanted"},
      {"ld.global.v2.u32 {%r1, %rd2}, [%rd1];", "registers of b32 and b64 stand in one vector"},
      {"st.global.u64 [%rd1], %r1;", "a register of b32 stands where u64 is wanted"},
      {"cvt.u64.u32 %r1, %r2;", "a register of b32 stands where u64 is wanted"},
      {"atom.global.add.u64 %r1, [%rd1], %rd2;", "a register of b32 stands where u64 is wanted"},
      {"mov.b64 %rd1, {%r1, %rd2};", "a register of b64 stands where b32 is wanted"},
      {"mov.u64 %r1, %clock64;", "a register of b32 stands where u64 is wanted"},
      {"shfl.sync.bfly.b32 %rd1, %r2, 1, 31, -1;", "a register of b64 stands where b32 is wanted"},
      {"popc.b64 %rd1, %rd2;", "a register of b64 stands where u32 is wanted"},
      {"selp.b64 %r1, %rd1, %rd2, %p1;", "a register of b32 stands where b64 is wanted"},
      {"wmma.load.a.sync.aligned.row.m8n8k4.global.f64 {%r1}, [%rd1];",
       "a register of b32 stands where f64 is wanted"},
  };
  for (const auto& [line, why] : lines) expect_refused(line, "", why);
}

TEST(Refused, OperandsThatNobodyLooksAt) {
  for (const char* line : {"add.u32 %r1, %r2;",
                           "add.u32 %r1, %r2, %r3, %r4;",
                           "cvt.u32.u64 %r1, %rd1, %rd2;",
                           "ld.global.u32 %r1;",
                           "bar.sync 0, 32, 32;",
                           "mov.u32 %r1;",
                           "setp.lt.u32 %p1, %r1;",
                           "activemask.b32 %r1, %r2;",
                           "membar.gl %r1;",
                           "ret %r1;",
                           "fence.acq_rel.gpu %r1;",
                           "createpolicy.fractional.L2::evict_last.b64 %rd1, 1.0, %f4;",
                           "trap %r1;",
                           "nanosleep.u32;",
                           "nanosleep.u32 %r1, %r2;",
                           "atom.global.add.u32 %r1, [%rd1];",
                           "cp.async.wait_all %r1;",
                           "cp.async.commit_group %r1;",
                           "mapa.u64 %rd1, %rd2;",
                           "fma.rn.f16 %rs1, %rs2, %rs3;",
                           "sad.u32 %r1, %r2, %r3;"}) {
    const std::string said = refusal(line);
    EXPECT_NE(said.find("operands"), said.npos) << line << ": " << said;
  }
}

TEST(Decoded, RegistersWiderThanTheType) {
  for (const char* line :
       {"ld.global.u8 %rd1, [%rd2];", "ld.global.s32 %rd1, [%rd2];", "st.global.u32 [%rd1], %rd2;",
        "cvt.u16.u64 %rd1, %rd2;", "cvt.u32.u8 %rd1, %rd2;",
        "ld.global.v2.u32 {%rd1, %rd3}, [%rd2];", "ld.global.v2.u32 {%rd1, _}, [%rd2];"})
    EXPECT_EQ(refusal(line), "") << line;
}

TEST(Decoded, SharedVariablesTakeRoomWhereTheyAreNamed) {
  const Program program(
      ".version 8.6\n.target sm_90\n.address_size 64\n"
      ".shared .align 4 .b8 large[1000];\n.shared .align 16 .b8 small[20];\n"
      ".extern .shared .align 16 .b8 dynamic[];\n"
      ".visible .entry none()\n{\nret;\n}\n"
      ".visible .entry one()\n{\n.reg .b32 %r<2>;\nld.shared.b32 %r1, [small+4];\nret;\n}\n"
      ".visible .entry both()\n{\n.reg .b32 %r<3>;\nmov.u32 %r1, large;\nld.shared.b32 %r2, "
      "[small];\nret;\n}\n",
      0);
  EXPECT_EQ(program.kernel("none")->info.static_shared, 0u);
  EXPECT_EQ(program.kernel("one")->info.static_shared, 32u);  // whole sixteens before `dynamic`
  EXPECT_EQ(program.kernel("both")->info.static_shared, 1040u);
}

TEST(Decoded, HintsScopesAndOrders) {
  for (const char* line :
       {"ld.global.nc.L1::no_allocate.L2::128B.v2.f32 {%f1, %f2}, [%rd1];",
        "ld.global.L1::evict_last.L2::cache_hint.u32 %r1, [%rd1], %rd2;",
        "ld.acquire.gpu.global.u32 %r1, [%rd1];", "ld.mmio.relaxed.sys.global.u32 %r1, [%rd1];",
        "ld.volatile.shared.u32 %r1, [%r2];", "st.release.sys.global.u64 [%rd1], %rd2;",
        "st.global.wt.u8 [%rd1], %rs1;", "ldu.global.u32 %r1, [%rd1];",
        "atom.acq_rel.sys.global.cas.b32 %r1, [%rd1], %r2, %r3;",
        "atom.add.noftz.f16 %rs1, [%rd1], %rs2;", "fence.acq_rel.cluster;", "membar.gl;",
        "fence.proxy.async::generic.acquire.sync_restrict::shared::cluster.cluster;",
        "barrier.cluster.arrive.relaxed.aligned;", "prefetch.global.L2::evict_last [%rd1];",
        "bar.red.popc.u32 %r1, 0, %p1;", "createpolicy.fractional.L2::evict_first.b64 %rd1;",
        "mad.hi.sat.s32 %r1, %r2, %r3, %r4;", "max.s32.relu %r1, %r2, %r3;"})
    EXPECT_EQ(refusal(line), "");
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
