// Runs profile/kernels.cu, whose counts are known, and reads what SIM_PROFILE wrote.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

namespace {

using nlohmann::json;

struct Outcome {
  int exit_code = -1;
  std::string output;
};

Outcome run(const std::string& command) {
  Outcome o;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (!pipe) return o;
  std::array<char, 4096> buffer;
  for (size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    o.output.append(buffer.data(), n);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) o.exit_code = WEXITSTATUS(status);
  return o;
}

std::string file(const std::string& name) { return testing::TempDir() + "sim_" + name + ".json"; }

/// Runs the program; gives the text of the profile.
std::string profile(const std::string& name, const std::string& settings = "",
                    const std::string& argument = "", int exit_code = 0) {
  std::filesystem::remove(file(name));
  const Outcome o =
      run("env LD_LIBRARY_PATH='" SIM_LIBRARY_FOLDER "' " SIM_PRELOAD "SIM_PROFILE='" + file(name) +
          "' " + settings + " timeout 120 '" SIM_PROGRAM_FOLDER "/profile_kernels' " + argument);
  EXPECT_EQ(o.exit_code, exit_code) << o.output;
  std::ifstream in(file(name));
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

const json& whole() {
  static const json all = json::parse(profile("whole"));
  return all;
}

const json& kernel(const std::string& start, const json& in = whole()) {
  for (const json& k : in["kernels"]) {
    const std::string name = k["name"];
    if (name.starts_with(start + "(") || name.starts_with("void " + start + "(")) return k;
  }
  throw std::runtime_error("no kernel " + start);
}
const json& shape(const std::string& name, size_t at = 0) { return kernel(name)["shapes"].at(at); }
uint64_t count(const std::string& name, const char* what) {
  return shape(name)["counts"].value(what, uint64_t(0));
}
uint64_t operations(const std::string& name, const char* unit) {
  return shape(name)["operations"].value(unit, uint64_t(0));
}

TEST(Profile, NeighboursMoveNoMoreSectorsThanTheyAskFor) {
  EXPECT_EQ(count("copy", "bytes"), 2 * 4096 * 4);
  EXPECT_EQ(count("copy", "sectors"), 2 * 4096 * 4 / 32);
  EXPECT_EQ(count("copy", "least_sectors"), 2 * 4096 * 4 / 32);
  EXPECT_EQ(count("copy", "requests"), 2 * 4096 / 32);
  EXPECT_EQ(shape("copy")["dram_read_bytes"], 4096 * 4);
  EXPECT_EQ(shape("copy")["dram_written_bytes"], 4096 * 4);
}

TEST(Profile, EverySecondFloatMovesTwiceTheSectors) {
  EXPECT_EQ(count("stride2", "bytes"), 2 * 4096 * 4);
  EXPECT_EQ(count("stride2", "sectors"), 3 * 4096 * 4 / 32);  // two of them read
  EXPECT_EQ(count("stride2", "least_sectors"), 2 * 4096 * 4 / 32);
}

TEST(Profile, OneLaneMovesAWholeSector) {
  EXPECT_EQ(count("one_lane", "bytes"), 2 * 8 * 8 * 4);
  EXPECT_EQ(count("one_lane", "sectors"), 2 * 8 * 8);
}

TEST(Profile, AColumnOf32FloatsIsOneBank) {
  EXPECT_EQ(count("column<32>", "wavefronts"), 32 + 32 * 32);
  EXPECT_EQ(count("column<32>", "least_wavefronts"), 64);
  EXPECT_EQ(count("column<33>", "wavefronts"), 64);
  EXPECT_EQ(count("column<33>", "least_wavefronts"), 64);
  EXPECT_EQ(shape("column<32>")["estimates"]["h100"]["bound"], "shared");
}

TEST(Profile, WideAccessesGoByHalfAndQuarterWarps) {
  EXPECT_EQ(count("wide<double, 1>", "wavefronts"), 2 + 2);
  EXPECT_EQ(count("wide<double, 1>", "least_wavefronts"), 2 + 2);
  EXPECT_EQ(count("wide<float4, 1>", "wavefronts"), 4 + 4);
  EXPECT_EQ(count("wide<float4, 2>", "wavefronts"), 2 * 4 + 2 * 4);  // two writes, one read
  EXPECT_EQ(count("wide<float4, 2>", "least_wavefronts"), 2 * 4 + 4);
}

TEST(Profile, TheSameWordIsNoConflict) {
  EXPECT_EQ(count("same_word", "wavefronts"), count("same_word", "least_wavefronts"));
}

TEST(Profile, LdmatrixReadsARowOfEachMatrixAtOnce) {
  EXPECT_EQ(count("matrices<false>", "wavefronts"), 32 + 4 * 8);
  EXPECT_EQ(count("matrices<true>", "wavefronts"), 32 + 4);
  EXPECT_EQ(count("matrices<true>", "least_wavefronts"), 32 + 4);
}

TEST(Profile, AsynchronousCopiesCountInBothSpaces) {
  EXPECT_EQ(count("copy_async", "bytes"), 2 * 512);
  EXPECT_EQ(count("copy_async", "sectors"), 2 * 16);
  EXPECT_EQ(count("copy_async", "wavefronts"), 4 + 4);
}

TEST(Profile, AtomicsOnOneAddressTakeTurns) {
  EXPECT_EQ(count("atomic_one", "atomics"), 1024);
  EXPECT_EQ(count("atomic_one", "atomic_turns"), 1024);
  EXPECT_EQ(shape("atomic_one")["hottest_address"], 1024);
  EXPECT_EQ(count("atomic_each", "atomics"), 1024);
  EXPECT_EQ(count("atomic_each", "atomic_turns"), 32);
  EXPECT_EQ(count("atomic_shared", "atomic_turns"), 256);
  EXPECT_EQ(count("atomic_shared", "wavefronts"), 256 + 2);
}

TEST(Profile, ABranchThatPartsTheLanesIsSeen) {
  EXPECT_EQ(count("divergent", "splits"), 8);  // one a warp
  EXPECT_EQ(count("copy", "splits"), 0);
  EXPECT_EQ(count("copy", "lanes"), 32 * count("copy", "warps"));
  for (const json& row : kernel("divergent")["rows"])
    if (row["class"] == "global") {
      EXPECT_EQ(row["warps"], 8);
      EXPECT_EQ(row["lanes"], 8 * 16);
    }
}

TEST(Profile, OperationsAreCounted) {
  const uint64_t threads = 96;
  EXPECT_EQ(operations("arithmetic", "f32"), threads * (10 * 2 + 3));
  EXPECT_EQ(operations("arithmetic", "f64"), threads * 3);
  EXPECT_EQ(operations("arithmetic", "f16"), threads * 5 * 4);
  EXPECT_EQ(shape("arithmetic")["classes"]["special"]["lanes"], threads * 4);
  EXPECT_EQ(shape("arithmetic")["classes"]["special"]["warps"], 4 * 4);
  EXPECT_EQ(operations("products", "tensor f16"), 4 * 5 * 2 * 16 * 8 * 16);
  EXPECT_EQ(kernel("looped")["main_loop"]["mma"], 7);
  EXPECT_GT(kernel("looped")["main_loop"]["others"], 0);
}

TEST(Profile, LocalMemoryIsCountedApart) {
  EXPECT_EQ(count("local_array", "local_bytes"), 64 * 33 * 4);
  EXPECT_EQ(count("local_array", "local_sectors"), 2 * 33 * 4);
  EXPECT_EQ(count("local_array", "bytes"), 2 * 64 * 4);
}

TEST(Profile, CachesKeepWhatBlocksShare) {
  EXPECT_EQ(shape("reuse")["dram_read_bytes"], 64 << 10);
  EXPECT_EQ(shape("reuse")["l2_bytes"], 64 * ((64 << 10) + 1024));
}

TEST(Profile, LaunchesOfOneShapeAreAddedUp) {
  EXPECT_EQ(shape("copy", 1)["launches"], 3);
  EXPECT_EQ(shape("copy", 1)["counts"]["bytes"], 3 * 2 * 64 * 4096 * 4);
}

TEST(Profile, StaticFiguresComeFromTheAssembler) {
  const json& figures = kernel("column<33>")["static"];
  EXPECT_EQ(figures["known"], true);
  EXPECT_GT(figures["registers"], 0);
  EXPECT_EQ(figures["shared_bytes"], 32 * 33 * 4);
  const json none = json::parse(profile("no_ptxas", "SIM_PTXAS=/bin/false"));
  EXPECT_EQ(kernel("copy", none)["static"]["known"], false);
}

TEST(Profile, TheSameForAnyNumberOfHostThreadsAndWithoutChecks) {
  const std::string once = profile("once"), again = profile("again");
  EXPECT_FALSE(once.empty());
  EXPECT_EQ(once, again);
  EXPECT_EQ(once, profile("one_thread", "taskset -c 0"));
  EXPECT_EQ(json::parse(once)["kernels"],
            json::parse(profile("no_checks", "SIM_CHECKS=off"))["kernels"]);
}

TEST(Profile, AFaultLeavesWhatWasCounted) {
  const json all = json::parse(profile("fault", "", "fault", 86));
  EXPECT_NE(std::string(all["fault"]).find("null pointer"), std::string::npos);
  EXPECT_EQ(kernel("column<32>", all)["shapes"][0]["counts"]["wavefronts"], 32 + 32 * 32);
}

TEST(Profile, ASampleOfTheBlocksIsScaled) {
  const json all = json::parse(profile("sample", "SIM_SAMPLE=4"));
  const json& s = kernel("copy", all)["shapes"][0];
  EXPECT_EQ(s["blocks_run"], 4);
  EXPECT_EQ(s["counts"], shape("copy")["counts"]);
  EXPECT_EQ(all["settings"]["sample"], 4);
}

class Tool : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string(SIM_PYTHON).empty()) GTEST_SKIP() << "no Python 3";
    whole();
  }
  static std::string print(const std::string& arguments, int exit_code = 0) {
    const Outcome o = run("'" SIM_PYTHON "' '" SIM_TOOL "' '" + file("whole") + "' " + arguments);
    EXPECT_EQ(o.exit_code, exit_code) << o.output;
    std::istringstream lines(o.output);
    for (std::string line; exit_code == 0 && std::getline(lines, line);)
      EXPECT_LE(line.size(), 120u) << line;
    return o.output;
  }
  static std::string line_with(const std::string& text, const std::string& part) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
      if (line.find(part) != line.npos) return line;
    return "";
  }
};

TEST_F(Tool, SaysWhatIsNoProfile) {
  for (const char* text : {"{}", "[]", "3"}) {
    std::ofstream(file("other")) << text;
    const Outcome o = run("'" SIM_PYTHON "' '" SIM_TOOL "' '" + file("other") + "'");
    EXPECT_EQ(o.exit_code, 1) << o.output;
    EXPECT_NE(o.output.find("is JSON, but not what SIM_PROFILE wrote"), o.output.npos) << o.output;
  }
}

TEST_F(Tool, PrintsATableByEstimatedTime) {
  const std::string text = print("");
  EXPECT_TRUE(text.starts_with("Simulated estimate for NVIDIA H100")) << text;
  EXPECT_LT(text.find("copy  <<<1024, 256>>>"), text.find("column<33>  <<<1, 32x32>>>")) << text;
  EXPECT_TRUE(print("--device a100").starts_with("Simulated estimate for NVIDIA A100"));
}

TEST_F(Tool, ShowsWhichLineConflicts) {
  const std::string text = print("--kernel 'column<32>'");
  EXPECT_NE(line_with(text, "= tile[threadIdx.x]").find(" 992 "), std::string::npos) << text;
  EXPECT_NE(print("--kernel 'column<32>' --ptx").find("ld.shared.f32"), std::string::npos);
}

TEST_F(Tool, PrintsEveryKernel) {
  const std::string text = print("--kernel '('");
  for (const json& k : whole()["kernels"])
    EXPECT_NE(text.find("\n" + std::string(k["name"]) + "\n"), text.npos) << k["name"];
}

TEST_F(Tool, SaysWhatThereIsForAnUnknownName) {
  EXPECT_NE(print("--kernel nothing", 1).find("there are: copy, "), std::string::npos);
  EXPECT_NE(print("--device nothing", 1).find("one of a100, h100, rtx4090"), std::string::npos);
}

}  // namespace
