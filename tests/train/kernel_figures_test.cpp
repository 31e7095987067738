// What the software GPU counts of the CUDA kernels: what is stored in bench/results/ meets the
// bounds that they were made for, and does not get worse.
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/cuda.h"
#include "tests/train/program.h"

namespace noisette {
namespace {

class KernelFigures : public testing::TestWithParam<std::string> {
 protected:
  static std::string stored() {
    return NOISETTE_SOURCE_DIR "/bench/results/simulated-" + GetParam() + ".json";
  }
};
class CudaFigures : public KernelFigures {};

TEST_P(KernelFigures, MeetTheirBounds) {
  int tiled = 0, memory = 0, steps = 0;
  const auto all = nlohmann::json::parse(std::ifstream(stored()));
  for (const auto& k : all.at("kernels")) {
    const std::string name = k.at("name"), family = k.at("family");
    const auto figure = [&](const char* key) { return k.at(key).get<double>(); };
    const auto has = [&](const char* key) { return k.contains(key) && !k.at(key).is_null(); };
    EXPECT_EQ(figure("spilled_bytes"), 0) << name;
    // The first and the last layer's kernels have no tiles 128 wide.
    const bool few = name.find(" 3 -> ") != name.npos || name.find("-> 3,") != name.npos;
    if (!few && (family == "product" || family == "convolution" || family == "attention")) {
      ++tiled;
      EXPECT_EQ(figure("bank_conflicts"), 0) << name;
    }
    if (name.starts_with("4096 x 4096 x 4096") ||
        name.starts_with("conv 3x3 128 -> 128, 128 x 32 x 32")) {
      EXPECT_LE(figure("traffic_over_tiles"), 1.2) << name;
      if (name.find("bf16") != name.npos) {
        EXPECT_LE(figure("others_per_mma"), 2.0) << name;
      }
    }
    if (name.starts_with("conv 3x3") && has("useful_share")) {
      EXPECT_GE(figure("useful_share"), 0.8) << name;
    }
    if (family == "memory") {
      ++memory;
      EXPECT_LE(figure("sectors_over_least"), 1.15) << name;
    }
    if (family == "step") {
      ++steps;
      EXPECT_LE(figure("launches"), 900) << name;
    }
  }
  EXPECT_GT(tiled, 30);
  EXPECT_GT(memory, 20);
  EXPECT_EQ(steps, 1);
}

TEST_P(CudaFigures, AreNotWorseThanStored) {
  NOISETTE_NEEDS_CUDA();
  if (std::getenv("NOISETTE_SIMULATOR") == nullptr) GTEST_SKIP() << "no software GPU is named";
  const test::Folder folder;
  const test::Outcome o = test::noisette(
      folder, {"bench", "kernels", "--simulated", "--card", GetParam(), "--simulator",
               std::getenv("NOISETTE_SIMULATOR"), "--check", stored()});
  EXPECT_EQ(o.code, 0) << o.err;
}

TEST(KernelSpills, AreNone) {
  const char* const registers = std::getenv("NOISETTE_REGISTERS");
  if (registers == nullptr) GTEST_SKIP() << "no simulator_registers is named";
  const std::string command = std::string(registers) + " " NOISETTE_PROGRAM " 80 86 90 2>&1";
  FILE* const pipe = popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string said;
  for (int c; (c = std::fgetc(pipe)) != EOF;) said += char(c);
  EXPECT_EQ(pclose(pipe), 0) << said;
  EXPECT_TRUE(said.starts_with("0 of ")) << said;
  constexpr int kKernels = 1000;  // fewer than there are, on three architectures
  EXPECT_GT(std::atoi(said.substr(std::min(said.size(), std::size_t(5))).c_str()), kKernels)
      << said;
}

const auto cards = testing::Values("h100", "rtx4090");
const auto name_of_card = [](const auto& info) { return info.param; };
INSTANTIATE_TEST_SUITE_P(Cards, KernelFigures, cards, name_of_card);
INSTANTIATE_TEST_SUITE_P(Cards, CudaFigures, cards, name_of_card);

}  // namespace
}  // namespace noisette
