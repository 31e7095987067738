// The parts of the profile by themselves: the assembler's report, occupancy, caches, estimates.
#include <gtest/gtest.h>

#include "simulator/device/occupancy.h"
#include "simulator/profile/estimate.h"
#include "simulator/profile/ptxas.h"
#include "simulator/run/counts.h"

namespace sim {
namespace {

TEST(PtxasReport, IsReadByKernel) {
  const auto all = read_ptxas_report(
      "ptxas info    : 0 bytes gmem\n"
      "ptxas info    : Compiling entry function '_Z1kPf' for 'sm_90'\n"
      "ptxas info    : Function properties for _Z1fi\n"
      "    8 bytes stack frame, 1 bytes spill stores, 2 bytes spill loads\n"
      "ptxas info    : Function properties for _Z1kPf\n"
      "    96 bytes stack frame, 84 bytes spill stores, 108 bytes spill loads\n"
      "ptxas info    : Used 24 registers, used 1 barriers, 96 bytes cumulative stack size, 4096 "
      "bytes smem, 544 bytes cmem[0]\n"
      "ptxas info    : Compiling entry function '_Z1gv' for 'sm_90'\n"
      "ptxas info    : Used 4 registers, used 0 barriers\n");
  ASSERT_EQ(all.size(), 2u);
  const StaticFigures& k = all.at("_Z1kPf");
  EXPECT_EQ(k.registers, 24u);
  EXPECT_EQ(k.barriers, 1u);
  EXPECT_EQ(k.stack, 96u);
  EXPECT_EQ(k.spill_stores, 84u);
  EXPECT_EQ(k.spill_loads, 108u);
  EXPECT_EQ(k.shared, 4096u);
  EXPECT_EQ(k.constant, 544u);
  EXPECT_EQ(all.at("_Z1gv").registers, 4u);
}

TEST(Occupancy, NamesWhatLimitsIt) {
  const DeviceModel& m = *find_model("h100");
  const auto of = [&](const BlockNeeds& n) { return occupancy_of(m, n); };
  EXPECT_EQ(of({256, 0, 0}).blocks, 8);
  EXPECT_STREQ(of({256, 0, 0}).limit, "threads");
  EXPECT_EQ(of({32, 0, 0}).blocks, 32);
  EXPECT_STREQ(of({32, 0, 0}).limit, "blocks");
  EXPECT_EQ(of({256, 128, 0}).blocks, 2);
  EXPECT_EQ(of({256, 128, 0}).warps, 16);
  EXPECT_STREQ(of({256, 128, 0}).limit, "registers");
  EXPECT_EQ(of({256, 32, 100 << 10}).blocks, 2);
  EXPECT_STREQ(of({256, 32, 100 << 10}).limit, "shared memory");
  EXPECT_EQ(of({256, 32, 228 << 10}).blocks, 0);
}

BlockTraffic reads(uint64_t first, uint64_t sectors, uint64_t times = 1) {
  BlockTraffic t;
  for (uint64_t s = first; s < first + sectors; ++s)
    t.sectors.group(1 + s / 64).read |= uint64_t(1) << (s % 64);
  t.through_l1 = sectors * times;
  t.through_distinct = sectors;
  return t;
}

TEST(TrafficModel, AWaveFetchesASectorOnce) {
  TrafficModel m({.l1_sectors = 1000, .l2_sectors = 1000, .wave_blocks = 4});
  for (uint64_t b = 0; b < 4; ++b) m.add(b, reads(0, 100));
  m.finish();
  EXPECT_EQ(m.dram_read, 100u);
  EXPECT_EQ(m.l2_sectors, 400u);
  EXPECT_EQ(m.distinct_read, 100u);
}

TEST(TrafficModel, LaterWavesFindWhatFits) {
  for (const auto& [l2, expected] : {std::pair<uint64_t, uint64_t>{1024, 1024}, {1023, 1536}}) {
    TrafficModel m({.l1_sectors = 1000, .l2_sectors = l2, .wave_blocks = 1});
    m.add(0, reads(0, 512));
    m.add(1, reads(1024, 512));
    m.add(2, reads(0, 512));
    m.finish();
    EXPECT_EQ(m.dram_read, expected) << l2;
    EXPECT_EQ(m.distinct_read, 1024u);
  }
}

TEST(TrafficModel, TheOrderInWhichBlocksEndChangesNothing) {
  TrafficModel a({.l1_sectors = 10, .l2_sectors = 700, .wave_blocks = 2}), b = a;
  const uint64_t begin[6] = {0, 256, 512, 0, 128, 640};
  for (const uint64_t n : {0, 1, 2, 3, 4, 5}) a.add(n, reads(begin[n], 256, 3));
  for (const uint64_t n : {5, 3, 1, 4, 0, 2}) b.add(n, reads(begin[n], 256, 3));
  a.finish(), b.finish();
  EXPECT_EQ(a.dram_read, b.dram_read);
  EXPECT_EQ(a.l2_sectors, b.l2_sectors);
}

TEST(TrafficModel, L1KeepsWhatFits) {
  TrafficModel all({.l1_sectors = 100, .l2_sectors = 1000}), half({.l1_sectors = 50});
  all.add(0, reads(0, 100, 3));
  half.add(0, reads(0, 100, 3));
  EXPECT_EQ(all.l2_sectors, 100u);
  EXPECT_EQ(half.l2_sectors, 100u + 200 / 2);
}

TEST(Estimate, TheLongestPartBounds) {
  const DeviceModel& m = *find_model("h100");
  Demand d;
  d.blocks = uint64_t(m.sms) * 10;
  d.warps_of_block = 8;
  d.dram_bytes = 3352'000'000;
  d.operations[size_t(Unit::tensor_f16)] = 98'940'000'000;
  const Estimate e = estimate(m, d);
  EXPECT_EQ(e.bound(), Bound::dram);
  EXPECT_NEAR(e.time, 1e6 + kStartTime, 1);
  EXPECT_NEAR(e.parts[size_t(Bound::tensor)], 1e5, 1);
}

TEST(Estimate, AnSmMoreThanTheOthersIsWaitedFor) {
  const DeviceModel& m = *find_model("a100");
  Demand d;
  d.warps_of_block = 8;
  d.blocks = uint64_t(m.sms);
  d.slots = d.blocks * 1'000'000;
  const double even = estimate(m, d).parts[size_t(Bound::issue)];
  EXPECT_NEAR(even, 1e6 / 4 / 1.41, 1);
  ++d.blocks;
  d.slots = d.blocks * 1'000'000;
  EXPECT_NEAR(estimate(m, d).parts[size_t(Bound::issue)], 2 * even, 1);
}

}  // namespace
}  // namespace sim
